"""What it costs to run a model, and which model suits which place."""

import json
import lzma
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.forecasting.forecaster import Forecaster
from smartgrid_pipeline.core.learning.lightgbm_text import read_texts
from smartgrid_pipeline.core.schema import leads_for

COST_COLUMNS = (
    "model",
    "fit_seconds",
    "latency_ms",
    "memory_mb",
    "model_memory_mb",
    "size_mb",
    "parameters",
    "memory_reason",
)
"""One row per model: CPU seconds of its fit, median milliseconds of one forecast of all leads, peak memory of
a process that only loads it and forecasts once and the model's part of that, size on disk, number of fitted
numbers. NaN where not measured; ``memory_reason`` says why memory was not.
"""


@dataclass(frozen=True)
class Scenario:
    """A place to run a model, and what it allows; memory is that of the whole process."""

    name: str
    place: str
    latency_ms: float
    memory_mb: float
    size_mb: float


SCENARIOS = (
    Scenario("Home gateway", "a board of 512 MB beside the meter, half of it taken", 250, 256, 1.5),
    Scenario("Online service", "an API that answers while people wait", 45, 500, 7.22),
    Scenario("Nightly batch", "a server that has the night", 10_000, 2_048, 100),
)


def measure(
    load: Callable[[Path], Forecaster], directory: Path, history: History, repeats: int = 15
) -> dict[str, float]:
    """Latency, size and parameters of a saved model, forecasting all leads from the history's end."""
    leads, origin = leads_for(history.meter.working_minutes), np.array([history.end])
    forecaster = load(directory)
    forecaster.predict(history, origin, leads)
    seconds = []
    for _ in range(repeats):
        begin = time.perf_counter()
        forecaster.predict(history, origin, leads)
        seconds.append(time.perf_counter() - begin)
    size = sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
    return {
        "latency_ms": 1e3 * float(np.median(seconds)),
        "size_mb": size / 1e6,
        "parameters": float(count_parameters(directory)),
    }


def count_parameters(directory: Path) -> int:
    """Fitted numbers in the files of a saved model: weights, error levels, cuts and leaves of trees."""
    count = 0
    for path in directory.rglob("*"):
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                arrays = [file[name] for name in file.files]
            count += sum(array.size for array in arrays if array.dtype.kind == "f")
            texts = (read_texts(array) for array in arrays if array.dtype == np.uint8)
            count += sum(_in_trees(text.encode()) for each in texts for text in each)
        elif path.suffix == ".safetensors":
            content = path.read_bytes()
            head = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
            count += sum(math.prod(each["shape"]) for name, each in head.items() if name != "__metadata__")
        elif path.name.endswith(".txt.xz"):
            count += _in_trees(lzma.decompress(path.read_bytes()))
    return count


def _in_trees(text: bytes) -> int:
    """Cuts and leaves in LightGBM texts."""
    lines = [line for line in text.splitlines() if line.startswith((b"threshold=", b"leaf_value="))]
    return sum(len(line.split()) for line in lines)


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
