"""What it costs to run a model, and which model suits which place."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from smartgrid_pipeline.core.models.forecaster import Forecaster, History
from smartgrid_pipeline.core.schema import leads_for

COST_COLUMNS = ("model", "fit_seconds", "latency_ms", "memory_mb", "size_mb", "parameters")
"""One row per model: CPU seconds of its fit, median milliseconds of one forecast of all leads, memory that
loading and first use add to the process, size on disk, number of parameters; NaN where not measured.
"""


@dataclass(frozen=True)
class Scenario:
    """A place to run a model, and what it allows."""

    name: str
    place: str
    latency_ms: float
    memory_mb: float
    size_mb: float


SCENARIOS = (
    Scenario("Home gateway", "a small board beside the meter", 250, 128, 1.5),
    Scenario("Online service", "an API that answers while people wait", 45, 500, 7.22),
    Scenario("Nightly batch", "a server that has the night", 10_000, 2_048, 100),
)


def measure(
    load: Callable[[Path], Forecaster], directory: Path, history: History, repeats: int = 15
) -> dict[str, float]:
    """Latency, memory and size of a saved model, forecasting all leads from the history's end.

    Memory is the growth of the resident set (Linux; NaN elsewhere) from before loading to after the first
    forecast, so load each model once per process for the truest figure.
    """
    leads, origin = leads_for(history.meter.working_minutes), np.array([history.end])
    before = _resident_mb()
    forecaster = load(directory)
    forecaster.predict(history, origin, leads)
    memory = _resident_mb() - before
    seconds = []
    for _ in range(repeats):
        begin = time.perf_counter()
        forecaster.predict(history, origin, leads)
        seconds.append(time.perf_counter() - begin)
    size = sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
    return {
        "latency_ms": 1e3 * float(np.median(seconds)),
        "memory_mb": max(memory, 0.0) if np.isfinite(memory) else memory,
        "size_mb": size / 1e6,
    }


def choose(costs: pd.DataFrame, composite: pd.Series, scenario: Scenario) -> str | None:
    """The most accurate model (lowest composite) that keeps within every limit of the scenario, or None.

    A figure that was not measured does not fit.
    """
    fits = costs[
        (costs["latency_ms"] <= scenario.latency_ms)
        & (costs["memory_mb"] <= scenario.memory_mb)
        & (costs["size_mb"] <= scenario.size_mb)
    ]
    ranked = [model for model in composite.index if model in set(fits["model"])]
    return ranked[0] if ranked else None


def _resident_mb() -> float:
    """Resident memory of this process in MB; NaN where the system does not tell."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return float("nan")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
