"""A ``History`` made from frames, and kept in a file: save and load as one npz archive without pickle."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from smartgrid_pipeline.core import meter_data
from smartgrid_pipeline.core.features.feature_table import IntervalFeatures, Intervals, names
from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.schema import ACTIVE_POWER, CHANNELS, OBSERVED_SHARE, DataError, Meter


def features_of(intervals: pd.DataFrame, meter: Meter) -> pd.DataFrame:
    """The columns ``feature_table.names(meter)`` of every working interval, float32, NaN where the readings
    behind one are missing.

    ``intervals`` is the regular frame of ``meter_data.resample``.
    """
    channels = {name: intervals[name].to_numpy(np.float64) for name in CHANNELS if name in meter.channels}
    found = IntervalFeatures.transform(Intervals(intervals.index.to_numpy(), channels), meter)
    return pd.DataFrame(found.values, index=intervals.index, columns=list(names(meter)))


def build_feature_table(intervals: pd.DataFrame, meter: Meter) -> pd.DataFrame:
    """The feature table: features beside the other columns of ``resample`` (UTC, shares, within)."""
    features = features_of(intervals, meter)
    return pd.concat([intervals.drop(columns=[c for c in intervals if c in features]), features], axis=1)


def history_from_table(table: pd.DataFrame, meter: Meter) -> History:
    """The history a feature table holds (as asset ``feature_table`` stores it).

    Raises DataError when the table is empty or not regular.
    """
    if table.empty:
        raise DataError("The feature table is empty; materialise feature_table first.")
    starts = table.index.to_numpy().astype("datetime64[m]")
    step = np.timedelta64(meter.working_minutes, "m")
    if len(starts) > 1 and not (np.diff(starts) == step).all():
        at = starts[1:][np.diff(starts) != step][0]
        raise DataError(f"The feature table is not a regular grid of {step}: it breaks before {at}.")
    per_interval = meter.working_minutes // meter.step_minutes
    within = {
        channel: np.ascontiguousarray(table[columns].to_numpy(np.float32))
        for channel in CHANNELS
        if (columns := meter_data.within_columns(channel, per_interval)) and columns[0] in table
    }
    return History(
        meter,
        starts,
        table[ACTIVE_POWER].to_numpy(np.float32),
        table[OBSERVED_SHARE].to_numpy(np.float32),
        np.ascontiguousarray(table[list(names(meter))].to_numpy(np.float32)),
        within,
    )


def history_from_readings(recorded: pd.DataFrame, meter: Meter) -> History:
    """The history of readings as recorded, on the meter's grid: defects left out, features built, nothing
    filled.
    """
    clean = meter_data.mask(recorded, meter_data.defect_types(recorded))
    return history_from_table(build_feature_table(meter_data.resample(clean, meter), meter), meter)


_ARRAYS = ("starts", "power_kw", "observed_share", "features")
_WITHIN = "within."


def save(history: History, path: Path) -> Path:
    """Write a history to ``path`` (an ``.npz`` file), whole or not at all; returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {name: getattr(history, name) for name in _ARRAYS}
    within = {f"{_WITHIN}{channel}": values for channel, values in history.within.items()}
    unfinished = path.with_name(f"unfinished-{path.name}")
    np.savez(
        unfinished, allow_pickle=False, meter=np.array(json.dumps(asdict(history.meter))), **arrays, **within
    )
    return unfinished.replace(path)


def load(path: Path) -> History:
    """Read what ``save`` wrote: the same meter and the same arrays, bit for bit."""
    with np.load(path, allow_pickle=False) as file:
        kept = {name: file[name] for name in file.files}
    facts = json.loads(str(kept["meter"]))
    meter = Meter(**{**facts, "channels": tuple(facts["channels"])})
    within = {name.removeprefix(_WITHIN): kept[name] for name in kept if name.startswith(_WITHIN)}
    return History(meter, within=within, **{name: kept[name] for name in _ARRAYS})
