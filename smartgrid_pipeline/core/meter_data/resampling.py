"""Masked readings → working intervals: channel means, and the share of each interval that was observed."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from smartgrid_pipeline.core.meter_data.grid import civil_to_utc
from smartgrid_pipeline.core.schema import (
    ACTIVE_POWER,
    CHANNELS,
    INTERVAL_START,
    INTERVAL_START_UTC,
    OBSERVED_SHARE,
    REACTIVE_POWER,
    SUB_METERS,
    DataError,
    Meter,
)

WITHIN_CHANNELS = (ACTIVE_POWER, REACTIVE_POWER, *SUB_METERS)
"""Channels whose single readings inside a working interval are kept beside the mean."""


def mask(readings: pd.DataFrame, types: pd.Series) -> pd.DataFrame:
    """Readings with all channels NaN where ``types`` (of ``defect_types``) is not ""; no row is dropped."""
    clean = readings.copy()
    clean.loc[types.to_numpy() != "", [c for c in CHANNELS if c in readings]] = np.nan
    return clean


def within_columns(channel: str, per_interval: int) -> list[str]:
    """Names of the single readings kept inside a working interval; none when it holds only one."""
    if per_interval < 2 or channel not in WITHIN_CHANNELS:
        return []
    return [f"{channel}_within_{i}" for i in range(per_interval)]


def resample(readings: pd.DataFrame, meter: Meter) -> pd.DataFrame:
    """Masked readings to working intervals of the meter, float32, indexed by INTERVAL_START.

    Columns: each channel's mean over its observed rows, OBSERVED_SHARE of active power, and the single
    readings of WITHIN_CHANNELS where the meter is finer than the interval. Intervals begin at whole multiples
    from midnight on; rows before the first or after the last reading count as not observed. Raises DataError
    on an empty or irregular frame.
    """
    if readings.empty:
        raise DataError("No readings to resample: the frame is empty.")
    step, per = meter.step_minutes, meter.working_minutes // meter.step_minutes
    index = readings.index.to_numpy().astype("datetime64[m]")
    width = np.timedelta64(meter.working_minutes, "m")
    day = index[0].astype("datetime64[D]").astype("datetime64[m]")
    first = day + (index[0] - day) // width * width
    lead = int((index[0] - first) / np.timedelta64(step, "m"))
    n = -(-(lead + len(index)) // per)
    if len(index) > 1 and (np.diff(index) != np.timedelta64(step, "m")).any():
        raise DataError(f"Readings are not on a regular {step}-minute grid.")
    starts = first + np.arange(n) * width
    out: dict[str, npt.NDArray[np.generic]] = {}
    for channel in [c for c in CHANNELS if c in readings]:
        padded = np.full(n * per, np.nan)
        padded[lead : lead + len(index)] = readings[channel].to_numpy(np.float64)
        block = padded.reshape(n, per)
        observed = ~np.isnan(block)
        with np.errstate(invalid="ignore"):
            out[channel] = (np.where(observed, block, 0).sum(1) / observed.sum(1)).astype(np.float32)
        if channel == ACTIVE_POWER:
            out[OBSERVED_SHARE] = (observed.sum(1) / per).astype(np.float32)
        for i, name in enumerate(within_columns(channel, per)):
            out[name] = block[:, i].astype(np.float32)
    frame = pd.DataFrame(out, index=pd.DatetimeIndex(starts.astype("datetime64[s]"), name=INTERVAL_START))
    frame.insert(0, INTERVAL_START_UTC, civil_to_utc(frame.index, meter.timezone))
    return frame
