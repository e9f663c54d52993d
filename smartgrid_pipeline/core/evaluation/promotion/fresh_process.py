"""Peak memory of a process that only loads one saved model and forecasts once: what a place must have for it.

A process that has trained and judged ten models holds all their libraries and caches; what one more model
adds to it says nothing. So the model is loaded in a new process, started from here.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import reduce
from importlib import import_module
from pathlib import Path

import numpy as np

from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.forecasting.forecaster import Forecaster
from smartgrid_pipeline.core.schema import Meter, leads_for

TIMEOUT_SECONDS = 120
STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class PeakMemory:
    """``whole_mb`` of the process at its peak; ``model_mb`` the part that came with loading the model and its
    first forecast, libraries and readings being there. NaN with a ``reason`` where it could not be measured.
    """

    whole_mb: float = float("nan")
    model_mb: float = float("nan")
    reason: str = ""


def write_history(history: History, days: int, path: Path) -> Path:
    """Keep the last days of a history in a file that a new process can read."""
    n = days * 1440 // history.meter.working_minutes
    arrays = {name: getattr(history, name)[-n:] for name in ("power_kw", "observed_share", "features")}
    arrays |= {f"within.{channel}": values[-n:] for channel, values in history.within.items()}
    starts = history.starts[-n:].astype("datetime64[m]").astype(np.int64)
    np.savez(path, allow_pickle=False, meter=json.dumps(asdict(history.meter)), starts=starts, **arrays)
    return path


def read_history(path: Path) -> History:
    """The inverse of ``write_history``."""
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    facts = json.loads(str(arrays.pop("meter")))
    meter = Meter(**{**facts, "channels": tuple(facts["channels"])})
    starts = arrays.pop("starts").astype("datetime64[m]")
    names = [name for name in arrays if name.startswith("within.")]
    within = {name.removeprefix("within."): arrays.pop(name) for name in names}
    return History(meter, starts, within=within, **arrays)


def peak_memory(
    load: Callable[[Path], Forecaster], directory: Path, history: Path, python: str = sys.executable
) -> PeakMemory:
    """Load a saved model by its class's ``load`` in a new process and forecast once from a history file.

    Never raises: where no process can be started, or it fails, the reason takes the place of the numbers.
    """
    kind = getattr(load, "__self__", None)
    if not isinstance(kind, type):
        return PeakMemory(reason="the model is not loaded by its class, so no new process can find it")
    words = [python, "-W", "ignore", "-m", __name__, kind.__module__, kind.__qualname__]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        done = subprocess.run(  # noqa: S603 - this interpreter and this module
            [*words, str(directory), str(history)], env=environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False,
        )  # fmt: skip
    except OSError as error:
        return PeakMemory(reason=f"no process could be started: {error}")
    except subprocess.TimeoutExpired:
        return PeakMemory(reason=f"no forecast within {TIMEOUT_SECONDS} s")
    if done.returncode:
        said = done.stderr.strip().splitlines()
        return PeakMemory(reason=said[-1] if said else f"the process ended with code {done.returncode}")
    return PeakMemory(**json.loads(done.stdout.splitlines()[-1]))


def _peak_mb() -> float:
    """The largest resident set this process has had, in MB (of its own: getrusage counts its parent's too).

    Raises RuntimeError where the system does not tell.
    """
    lines = STATUS.read_text().splitlines() if STATUS.exists() else []
    peak = next((line.split()[1] for line in lines if line.startswith("VmHWM:")), None)
    if peak is None:
        raise RuntimeError(f"this system tells no peak of a process's memory (VmHWM in {STATUS})")
    return int(peak) * 1024 / 1e6


def _main(module: str, name: str, directory: str, history_file: str) -> None:
    """What the new process does; prints a PeakMemory as JSON."""
    kind = reduce(getattr, name.split("."), import_module(module))
    history = read_history(Path(history_file))
    before = _peak_mb()
    forecaster: Forecaster = kind.load(Path(directory))
    forecaster.predict(history, np.array([history.end]), leads_for(history.meter.working_minutes))
    after = _peak_mb()
    sys.stdout.write(json.dumps({"whole_mb": after, "model_mb": after - before}) + "\n")


if __name__ == "__main__":
    _main(*sys.argv[1:])
