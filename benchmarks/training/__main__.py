"""python -m benchmarks.training: time, samples and share of the processor's peak, by expert."""

import argparse
import resource
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.shared.result_head import ROOT, compact, head
from benchmarks.shared.uci import uci_history
from benchmarks.training.gauge import counting, flops, gemm_peak
from smartgrid_pipeline.core.evaluation.scoring import comparison
from smartgrid_pipeline.core.evaluation.scoring.backtest import forecast_tasks
from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.forecasting.experts.expert import EXPERTS
from smartgrid_pipeline.core.forecasting.forecaster import FULL, TINY, Split, TrainingBudget
from smartgrid_pipeline.core.forecasting.mixture.mixture import MixtureOfExperts

RESULT = ROOT / "benchmarks" / "results" / "training.json"
MONTH, NEXT_MONTH = np.datetime64("2010-09-01", "m"), np.datetime64("2010-10-01", "m")
UNTIL = np.datetime64("2010-11-26", "m")
LOSSES = ("crps", "absolute", "squared")
SHORT_STEPS = (4, 10)
"""Two short trainings: what the longer one does more is steps and nothing else."""


def arguments() -> argparse.Namespace:
    """Where the house is kept and the result goes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("--cache", type=Path, default=ROOT / "data" / "benchmarks" / "accuracy")
    parser.add_argument("--result", type=Path, default=RESULT)
    parser.add_argument("--tiny", action="store_true", help="hardly any training: does every line run?")
    return parser.parse_args()


def timed(work: Any) -> dict[str, float]:
    """Wall and CPU seconds of a piece of work."""
    wall, cpu = time.monotonic(), time.process_time()
    work()
    return {"seconds": time.monotonic() - wall, "cpu_seconds": time.process_time() - cpu}


def peak_mb() -> float:
    """The most memory this process has held so far, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def print_progress(part: str, seconds: float) -> None:
    """Progress on the console."""
    print(f"{part}: {seconds:.0f} s, peak {peak_mb():.0f} MB", file=sys.stderr, flush=True)


def of_expert(
    name: str, past: History, split: Split, budget: TrainingBudget, peak: float
) -> tuple[Any, dict[str, Any]]:
    """A fitted expert and its figures."""
    expert = EXPERTS[name](budget)
    with counting() as count:
        cost = timed(lambda: expert.fit(past, split))
    per_step = flops_per_step(name, past, split, budget)
    operations = sum(per_step.get(network, 0.0) * steps for network, steps in count.steps.items())
    settings = expert.parameters()
    return expert, {
        **cost,
        "steps": dict(count.steps),
        "samples": count.samples,
        "samples_per_second": count.samples / cost["seconds"],
        "parameters": sum(value for key, value in settings.items() if key.endswith("_weights")),
        "gflop": operations / 1e9,
        "share_of_gemm_peak": operations / cost["cpu_seconds"] / peak,
    }


def flops_per_step(name: str, past: History, split: Split, budget: TrainingBudget) -> dict[str, float]:
    """Class of network → operations of one of its training steps."""
    found = []
    for steps in SHORT_STEPS:
        with counting() as count, flops() as total:
            EXPERTS[name](replace(budget, max_steps=steps, max_rows=2_000)).fit(past, split)
        found.append((count.steps, total))
    (few, less), (many, more) = found
    return {name: (more[name] - less[name]) / (many[name] - few[name]) for name in many}


def main() -> None:
    """Fit each expert, then the mixture, recalibrate it by a month and score that; write the result."""
    options = arguments()
    began, history, peak = time.monotonic(), uci_history(options.cache), gemm_peak()
    budget = TINY if options.tiny else FULL
    past = history.until(MONTH)
    split = Split.before(MONTH, past)
    experts, figures = [], {}
    for name in EXPERTS:
        expert, figures[name] = of_expert(name, past, split, budget, peak)
        experts.append(expert)
        print_progress(name, figures[name]["seconds"])
    mixture = MixtureOfExperts(budget)
    gate = timed(lambda: mixture.fit(past, split, experts))
    print_progress("gate and base learners", gate["seconds"])
    fit_peak_mb = peak_mb()
    total = gate["seconds"] + sum(row["seconds"] for row in figures.values())
    later = recalibration(mixture, history, budget)
    result = head("python -m benchmarks.training", [budget.seed], began, []) | {
        "threads": budget.threads,
        "fit_peak_memory_mb": fit_peak_mb,
        "gemm_peak_gflop_per_second": peak / 1e9,
        "experts": figures,
        "gate_and_supports": gate,
        "total_seconds": total,
        "total_cpu_seconds": gate["cpu_seconds"] + sum(row["cpu_seconds"] for row in figures.values()),
        **later,
    }
    options.result.parent.mkdir(parents=True, exist_ok=True)
    options.result.write_text(compact(result))
    print(options.result.read_text())


def recalibration(mixture: MixtureOfExperts, history: History, budget: TrainingBudget) -> dict[str, Any]:
    """Seconds of a recalibration after one further month and of a fit from nothing, and by how much the
    recalibrated mixture forecasts the months after that worse.
    """
    past = history.until(NEXT_MONTH)
    split = Split.before(NEXT_MONTH, past)
    afresh = MixtureOfExperts(budget)
    recalibrated: list[MixtureOfExperts] = []
    recalibrating = timed(lambda: recalibrated.append(mixture.recalibrated(past, split)))["seconds"]
    fitting = timed(lambda: afresh.fit(past, split))["seconds"]
    print_progress("fit afresh", fitting)
    full = forecast_tasks(afresh, history, NEXT_MONTH, UNTIL)
    frame = forecast_tasks(recalibrated[0], history, NEXT_MONTH, UNTIL)
    return {
        "recalibration_seconds": recalibrating,
        "fit_afresh_seconds": fitting,
        "recalibrated_against_fit_afresh": {
            task: {loss: against(frame, full, task, loss) for loss in LOSSES}
            for task in frame["card"].unique()
        },
    }


def against(a: pd.DataFrame, b: pd.DataFrame, card: str, loss: str) -> dict[str, Any]:
    """How much worse (per cent, with its 95 % interval) ``a`` forecasts a card than ``b``."""
    found = asdict(comparison.paired(a, b, card, loss))
    shown = ("mean_difference_percent", "low_percent", "high_percent", "p", "n_days")
    return {key: found[key] for key in shown}


if __name__ == "__main__":
    main()
