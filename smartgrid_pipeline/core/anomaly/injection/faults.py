"""Inject one fault into recorded readings.

Only readings between start and end change, in steps of the meter's resolution; all others stay bit-identical.
What each fault type does is in ``fault_types``, how strongly and for how long in ``catalogue``.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from smartgrid_pipeline.core.anomaly.injection.fault_types import BENIGN, FAULTS
from smartgrid_pipeline.core.anomaly.injection.window import Window
from smartgrid_pipeline.core.anomaly.rules.rules import RESOLUTION
from smartgrid_pipeline.core.meter_data import step_minutes
from smartgrid_pipeline.core.schema import CHANNELS, DataError

__all__ = ["BENIGN", "FAULTS", "Event", "inject"]


@dataclass(frozen=True)
class Event:
    """An injected fault: ``labels`` marks the rows that it changed, (readings,); ``end`` is exclusive."""

    fault_type: str
    magnitude: float
    start: np.datetime64
    end: np.datetime64
    channels: tuple[str, ...]
    labels: npt.NDArray[np.bool_]


def inject(
    readings: pd.DataFrame,
    fault_type: str,
    magnitude: float,
    start: np.datetime64,
    duration: np.timedelta64,
    rng: np.random.Generator,
) -> tuple[pd.DataFrame, Event]:
    """Readings with one fault between ``start`` and ``start + duration``, and the injected event.

    Missing readings stay missing. Raises DataError on an unknown fault type, an event outside the readings,
    or a meter without the channels that the fault needs.
    """
    apply = (FAULTS | BENIGN).get(fault_type)
    if apply is None:
        raise DataError(f"Unknown fault type {fault_type!r}: choose one of {sorted(FAULTS | BENIGN)}.")
    step = step_minutes(readings)
    index = readings.index.to_numpy().astype("datetime64[m]")
    first = int((start.astype("datetime64[m]") - index[0]) // np.timedelta64(step, "m"))
    n = max(1, int(duration // np.timedelta64(step, "m")))
    if first < 0 or first + n > len(index):
        raise DataError(f"The event {start} + {duration} lies outside the readings {index[0]} … {index[-1]}.")
    channels = [channel for channel in CHANNELS if channel in readings]
    whole = {channel: readings[channel].to_numpy(np.float64) for channel in channels}
    at = slice(first, first + n)
    minutes = ((index[at] - index[at].astype("datetime64[D]")) // np.timedelta64(1, "m")).astype(np.int64)
    window = Window({c: v[at].copy() for c, v in whole.items()}, whole, at, magnitude, step, minutes, rng)
    try:
        apply(window)
    except KeyError as error:
        raise DataError(f"Fault {fault_type!r} needs channel {error}, which this meter lacks.") from error
    end = index[first] + np.timedelta64(n * step, "m")
    return _write(readings, window, Event(fault_type, magnitude, index[first], end, (), np.zeros(0, bool)))


def _write(readings: pd.DataFrame, window: Window, event: Event) -> tuple[pd.DataFrame, Event]:
    changed = readings.copy()
    labels = np.zeros(len(readings), bool)
    touched = []
    for channel, values in window.values.items():
        before = window.whole[channel][window.at]
        resolution = RESOLUTION[channel]
        rounded = np.round(values / resolution) * resolution
        after = np.where(np.abs(rounded - values) < 1e-9, values, rounded)  # copies stay what they copy
        after = np.where(np.isnan(before), np.nan, after)
        differs = ~((after == before) | (np.isnan(after) & np.isnan(before)))
        if differs.any():
            touched.append(channel)
            labels[window.at] |= differs
            column = window.whole[channel].copy()
            column[window.at] = after
            changed[channel] = column
    return changed, Event(event.fault_type, event.magnitude, event.start, event.end, tuple(touched), labels)
