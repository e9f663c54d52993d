"""What it costs to run a saved model: latency, memory, size; and which model suits which deployment.

Memory is measured in a new process that only loads the model and forecasts once. A process that has trained
and evaluated ten models holds all their libraries and caches: what one more model adds to it means nothing.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd

from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.forecasting import history_frames as history_files
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
numbers. NaN where not measured; ``memory_reason`` states why memory was not.
"""

TIMEOUT_SECONDS = 120
STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class Scenario:
    """A deployment and its limits; ``memory_mb`` is that of the whole process."""

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


def choose(costs: pd.DataFrame, composite: pd.Series, scenario: Scenario) -> str | None:
    """The most accurate model (lowest composite) within every limit of the scenario, or None.

    A cost that was not measured (NaN) is outside its limit.
    """
    fits = costs[
        (costs["latency_ms"] <= scenario.latency_ms)
        & (costs["memory_mb"] <= scenario.memory_mb)
        & (costs["size_mb"] <= scenario.size_mb)
    ]
    ranked = [model for model in composite.index if model in set(fits["model"])]
    return ranked[0] if ranked else None


# --- latency, size, parameters ----------------------------------------------------------------------


def measure(
    load: Callable[[Path], Forecaster], directory: Path, history: History, repeats: int = 15
) -> dict[str, float]:
    """Latency, size and parameter count of a saved model that forecasts all leads from the history's end."""
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
    """How many fitted numbers a saved model has: weights, quantiles, thresholds and leaves of trees."""
    count = 0
    for path in directory.rglob("*.npz"):
        with np.load(path, allow_pickle=False) as file:
            arrays = [file[name] for name in file.files]
        count += sum(array.size for array in arrays if array.dtype.kind == "f")
        texts = (read_texts(array) for array in arrays if array.dtype == np.uint8)
        count += sum(_in_trees(text) for each in texts for text in each)
    return count


def _in_trees(text: str) -> int:
    """Number of thresholds and leaf values in the text of a LightGBM model."""
    lines = [line for line in text.splitlines() if line.startswith(("threshold=", "leaf_value="))]
    return sum(len(line.split()) for line in lines)


# --- memory, in a new process -----------------------------------------------------------------------


@dataclass(frozen=True)
class PeakMemory:
    """Peak memory of a process that loads one model and forecasts once.

    ``whole_mb`` is the process at its peak; ``model_mb`` is the part added by loading the model and by its
    first forecast, after libraries and readings. Both are NaN where they could not be measured, and
    ``reason`` states why.
    """

    whole_mb: float = float("nan")
    model_mb: float = float("nan")
    reason: str = ""


def peak_memory(
    load: Callable[[Path], Forecaster], directory: Path, history_file: Path, python: str = sys.executable
) -> PeakMemory:
    """Load a saved model by its class's ``load`` in a new process and forecast once from a history file.

    ``history_file`` was written by ``history_frames.save``. Never raises: where no process can be
    started, or the process fails, the result holds the reason instead of numbers.
    """
    model_class = getattr(load, "__self__", None)
    if not isinstance(model_class, type):
        return PeakMemory(reason="the model is not loaded by its class, so no new process can find it")
    words = [python, "-W", "ignore", "-m", __name__, model_class.__module__, model_class.__qualname__]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        done = subprocess.run(  # noqa: S603 - this interpreter and this module
            [*words, str(directory), str(history_file)], env=environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False,
        )  # fmt: skip
    except OSError as error:
        return PeakMemory(reason=f"no process could be started: {error}")
    except subprocess.TimeoutExpired:
        return PeakMemory(reason=f"no forecast within {TIMEOUT_SECONDS} s")
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        return PeakMemory(reason=lines[-1] if lines else f"the process ended with code {done.returncode}")
    return PeakMemory(**json.loads(done.stdout.splitlines()[-1]))


def _peak_mb() -> float:
    """Largest resident set of this process so far, in MB (its own: getrusage would count its parent's too).

    Raises RuntimeError on a system without that number.
    """
    lines = STATUS.read_text().splitlines() if STATUS.exists() else []
    peak = next((line.split()[1] for line in lines if line.startswith("VmHWM:")), None)
    if peak is None:
        raise RuntimeError(f"this system has no peak of a process's memory (VmHWM in {STATUS})")
    return int(peak) * 1024 / 1e6


def _main(module: str, class_name: str, directory: str, history_file: str) -> None:
    """What the new process runs: load, forecast once, print a PeakMemory as JSON."""
    model_class = reduce(getattr, class_name.split("."), import_module(module))
    history = history_files.load(Path(history_file))
    before = _peak_mb()
    forecaster: Forecaster = model_class.load(Path(directory))
    forecaster.predict(history, np.array([history.end]), leads_for(history.meter.working_minutes))
    after = _peak_mb()
    sys.stdout.write(json.dumps({"whole_mb": after, "model_mb": after - before}) + "\n")


if __name__ == "__main__":
    _main(*sys.argv[1:])
