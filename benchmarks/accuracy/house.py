"""The UCI house as a history: restored gaps, five-minute grid, features; made once and kept as arrays."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from benchmarks.accuracy import fingerprint
from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.forecasting.history import history_from_readings
from smartgrid_pipeline.core.schema import Meter

ARRAYS = ("starts", "power_kw", "observed_share", "features")


def house(cache: Path) -> History:
    """The whole house; read from the cache where code and data are those it was made with."""
    path = cache / f"house-{identity()}.npz"
    if not path.exists():
        save(_make(), path)
    return load(path)


def identity() -> str:
    """Hash of the code that turns the published file into a history."""
    return fingerprint.of_modules(
        "smartgrid_pipeline.sources",
        "smartgrid_pipeline.core.meter_data",
        "smartgrid_pipeline.core.features.feature_table",
    )


def _make() -> History:
    from smartgrid_pipeline.core import meter_data
    from smartgrid_pipeline.sources import SourceSpec, read

    found = read(SourceSpec("uci"))
    return history_from_readings(meter_data.to_grid(found.frame, found.meter), found.meter)


def save(history: History, path: Path) -> None:
    """Keep a history as plain arrays, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f"half-{path.name}")
    arrays = {name: getattr(history, name) for name in ARRAYS}
    within = {f"within.{channel}": values for channel, values in history.within.items()}
    np.savez(half, meter=np.array(json.dumps(asdict(history.meter))), **arrays, **within)
    half.rename(path)


def load(path: Path) -> History:
    """The inverse of ``save``."""
    with np.load(path) as kept:
        facts = json.loads(str(kept["meter"]))
        meter = Meter(**{**facts, "channels": tuple(facts["channels"])})
        within = {
            name.removeprefix("within."): kept[name] for name in kept.files if name.startswith("within.")
        }
        return History(meter, *(kept[name] for name in ARRAYS), within)
