"""python -m benchmarks.accuracy: every model on tasks T1–T5 of the UCI house; resumable; JSON and HTML."""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.accuracy import jobs, peers, summary
from benchmarks.accuracy.console import print_table
from benchmarks.accuracy.jobs import ALL_MODELS, MIXTURE, NEURAL, Job
from benchmarks.accuracy.page import write_page
from benchmarks.accuracy.protocol import Protocol
from benchmarks.accuracy.targets import against_targets
from benchmarks.shared.result_head import ROOT, compact, head
from benchmarks.shared.uci import uci_history
from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.schema import FORECAST_TASKS, MODEL_NAMES

RESULT = ROOT / "benchmarks" / "results" / "accuracy.json"
DEVELOPMENT_RESULT = ROOT / "data" / "benchmarks" / "accuracy" / "development.json"


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    """What to run, on which test, and where half-done work is kept."""
    cards = [card.name for card in FORECAST_TASKS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=__doc__)
    parser.add_argument("--models", nargs="+", default=list(ALL_MODELS), choices=ALL_MODELS, metavar="MODEL")
    parser.add_argument(
        "--cards", nargs="+", choices=cards, metavar="CARD", help=f"some of {', '.join(cards)}"
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], metavar="SEED", help="of neural models")
    parser.add_argument(
        "--test-year", type=int, default=2010, choices=(2009, 2010),
        help="2009: fit before 2008-11-27 and judge 2009, so that choices are never made on 2010",
    )  # fmt: skip
    parser.add_argument("--until", metavar="DATE", help="end the test early")
    parser.add_argument("--skip-peers", action="store_true")
    parser.add_argument("--skip-explanations", action="store_true")
    parser.add_argument("--workers", type=int, default=2, help="processes side by side, one thread each")
    parser.add_argument("--cache", type=Path, default=ROOT / "data" / "benchmarks" / "accuracy")
    parser.add_argument("--tiny", action="store_true", help="hardly any training: does every line run?")
    parser.add_argument("--result", type=Path, help="where the JSON goes; the page lies beside it")
    options = parser.parse_args(given)
    plain = options.test_year == 2010 and not options.until and not options.tiny
    options.result = options.result or (RESULT if plain else DEVELOPMENT_RESULT)
    return options


def main() -> None:
    """Run, resume or finish the benchmark; write its result file and page; print the targets."""
    options = arguments()
    began = time.monotonic()
    history = uci_history(options.cache)
    chosen = jobs.chosen(options.models, options.seeds, options.test_year, options.until, options.cards,
                        options.cache, options.tiny)  # fmt: skip
    facts: dict[Job, dict[str, Any]] = {}
    failed: dict[str, str] = {}
    for job, job_facts in jobs.run_all(chosen, options.workers):
        if "failed" in job_facts:
            failed[f"{job.model} seed {job.seed}"] = job_facts["failed"]
        else:
            facts[job] = job_facts
        print_progress(job, job_facts, len(facts) + len(failed), len(chosen), time.monotonic() - began)
    protocol = chosen[0].protocol(history)
    peer_runs = {} if options.skip_peers else peers.run(history, protocol, options.cache)
    found = _found(facts, peer_runs, protocol, history, not options.skip_explanations)
    costs = [*facts.values(), *(peer.facts for peer in peer_runs.values())]
    command = "python -m benchmarks.accuracy " + " ".join(sys.argv[1:])
    result = {**head(command, options.seeds, began, costs), "failed": failed, **found}
    options.result.parent.mkdir(parents=True, exist_ok=True)
    options.result.write_text(compact(result))
    write_page(json.loads(options.result.read_text()), options.result.with_suffix(".html"))
    print_table(result)
    print(f"\n{options.result}\n{options.result.with_suffix('.html')}")
    if failed:
        sys.exit(f"{len(failed)} failed and are left out: {', '.join(failed)}")


def _found(
    facts: dict[Job, dict[str, Any]], peer_runs: dict[str, peers.Peer], protocol: Protocol, history: History,
    explain: bool,
) -> dict[str, Any]:  # fmt: skip
    """What the result file says below its head: cards, targets, costs and explanations."""
    runs = _collected(list(facts), history) | {
        name: {None: peer.forecasts} for name, peer in peer_runs.items()
    }
    cards = {
        window.name: summary.of_window(window, runs, protocol, history, tuple(peer_runs))
        for window in protocol.windows
    }
    cards = {name: entry for name, entry in cards.items() if entry}
    found = {
        "cpu_seconds_by_seed": _by_seed(facts),
        "protocol": {"fit_before": str(protocol.fit_before), "until": str(protocol.end)},
        "cards": cards,
        "targets": _targets(cards),
        "models": _costs(facts) | {name: peer.facts for name, peer in peer_runs.items()},
    }
    mixture = next((job for job in facts if job.model == MIXTURE), None)
    if mixture and explain:
        from benchmarks.accuracy import explanations

        found["explanations"] = explanations.of_job(mixture, history, runs)
    return found


def print_progress(job: Job, facts: dict[str, Any], count: int, total: int, seconds: float) -> None:
    """One line of progress on standard error."""
    if "failed" in facts:
        print(
            f"{count:3d} of {total}  {job.model} seed {job.seed}: FAILED, {facts['failed']}", file=sys.stderr
        )
        return
    fit, forecast = facts["fit"]["cpu_seconds"], facts["forecast"]["cpu_seconds"]
    print(
        f"{count:3d} of {total}  {job.model} seed {job.seed}: "
        f"fit {fit:.0f} s, forecasts {forecast:.0f} s CPU  [{seconds:.0f} s]",
        file=sys.stderr,
        flush=True,
    )


def _collected(finished: list[Job], history: History) -> dict[str, dict[int | None, Any]]:
    """Row of the table → seed → forecasts."""
    runs: dict[str, dict[int | None, Any]] = {}
    for job in finished:
        for name, frame in jobs.forecasts(job, history).items():
            runs.setdefault(name, {})[job.seed if job.model in NEURAL else None] = frame
    return runs


def _targets(cards: dict[str, Any]) -> list[dict[str, Any]]:
    """The targets against the mixture, and against the best of the eight models and boosting by CRPS."""
    rows = against_targets(cards, MIXTURE)
    for card, entry in cards.items():
        best = summary.best_of(entry["models"], (*MODEL_NAMES, "lightgbm"))
        if best and best != MIXTURE:
            rows += [row for row in against_targets(cards, best) if row["card"] == card]
    return rows


def _by_seed(facts: dict[Job, dict[str, Any]]) -> dict[str, float]:
    """CPU seconds of the fits and forecasts of each seed."""
    out: dict[str, float] = {}
    for job, job_facts in facts.items():
        seconds = job_facts["fit"]["cpu_seconds"] + job_facts["forecast"]["cpu_seconds"]
        out[str(job.seed)] = out.get(str(job.seed), 0.0) + seconds
    return out


def _costs(facts: dict[Job, dict[str, Any]]) -> dict[str, Any]:
    """Cost and size of each model, of its first seed."""
    out: dict[str, Any] = {}
    for job, job_facts in facts.items():
        out.setdefault(
            job.model, {key: job_facts[key] for key in ("fit", "forecast", "parameters", "size_mb")}
        )
    return out


if __name__ == "__main__":
    main()
