"""python -m benchmarks.training: time, samples and share of the processor's peak, by expert."""

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accuracy.house import house
from benchmarks.result_head import ROOT, compact, head
from benchmarks.training.gauge import counting, flops, gemm_peak
from smartgrid_pipeline.core.models.experts import EXPERTS
from smartgrid_pipeline.core.models.forecaster import FULL, TINY, Budget, History, Split
from smartgrid_pipeline.core.models.mixture_of_experts import MixtureOfExperts

RESULT = ROOT / "benchmarks" / "results" / "training.json"
MONTH, NEXT_MONTH = np.datetime64("2010-10-01", "m"), np.datetime64("2010-11-01", "m")
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


def of_expert(
    name: str, past: History, split: Split, budget: Budget, peak: float
) -> tuple[Any, dict[str, Any]]:
    """A fitted expert and its figures."""
    expert = EXPERTS[name](budget)
    with counting() as count:
        cost = timed(lambda: expert.fit(past, split))
    per_step = flops_per_step(name, past, split, budget)
    operations = sum(per_step.get(kind, 0.0) * steps for kind, steps in count.steps.items())
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


def flops_per_step(name: str, past: History, split: Split, budget: Budget) -> dict[str, float]:
    """Kind of network → operations of one of its training steps."""
    found = []
    for steps in SHORT_STEPS:
        with counting() as count, flops() as total:
            EXPERTS[name](replace(budget, max_steps=steps, max_rows=2_000)).fit(past, split)
        found.append((count.steps, total))
    (few, less), (many, more) = found
    return {kind: (more[kind] - less[kind]) / (many[kind] - few[kind]) for kind in many}


def main() -> None:
    """Fit each expert, then the gate, then update everything by a month; write the result file."""
    options = arguments()
    began, history, peak = time.monotonic(), house(options.cache), gemm_peak()
    budget = TINY if options.tiny else FULL
    past = history.until(MONTH)
    split = Split.before(MONTH, past)
    experts, figures = [], {}
    for name in EXPERTS:
        expert, figures[name] = of_expert(name, past, split, budget, peak)
        experts.append(expert)
        print(f"{name}: {figures[name]['seconds']:.0f} s", file=sys.stderr, flush=True)
    mixture = MixtureOfExperts(budget)
    gate = timed(lambda: mixture.fit(past, split, experts))
    total = gate["seconds"] + sum(row["seconds"] for row in figures.values())
    result = head("python -m benchmarks.training", [budget.seed], began, []) | {
        "threads": budget.threads,
        "gemm_peak_gflop_per_second": peak / 1e9,
        "experts": figures,
        "gate_and_supports": gate,
        "total_seconds": total,
        "total_cpu_seconds": gate["cpu_seconds"] + sum(row["cpu_seconds"] for row in figures.values()),
        **warm(mixture, history),
    }
    options.result.parent.mkdir(parents=True, exist_ok=True)
    options.result.write_text(compact(result))
    print(options.result.read_text())


def warm(mixture: Any, history: History) -> dict[str, float]:
    """Seconds of the update by one further month, and of a calibration alone, where the mixture has them."""
    past = history.until(NEXT_MONTH)
    split = Split.before(NEXT_MONTH, past)
    out = {}
    for method, key in (("updated", "warm_update_seconds"), ("recalibrated", "recalibration_seconds")):
        if hasattr(mixture, method):
            out[key] = timed(lambda m=method: getattr(mixture, m)(past, split))["seconds"]
    return out


if __name__ == "__main__":
    main()
