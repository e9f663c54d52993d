"""Readings on the regular grid of the civil clock, with UTC beside it."""

import numpy as np
import pandas as pd

from smartgrid_pipeline.core.schema import CHANNELS, INTERVAL_START, INTERVAL_START_UTC, DataError, Meter


def step_minutes(readings: pd.DataFrame) -> int:
    """Minutes between rows of a regular readings frame. Raises DataError when it is not regular."""
    if len(readings) < 2:
        raise DataError(f"Too few readings to find their step: found {len(readings)}, at least 2 are needed.")
    steps = np.diff(readings.index.to_numpy().astype("datetime64[s]")).astype(int)
    if (steps != steps[0]).any() or steps[0] <= 0 or steps[0] % 60:
        found = sorted({int(step) for step in np.unique(steps)})[:4]
        raise DataError(
            f"Readings are not on one regular minute grid: found steps of {found} s. "
            "Load them through smartgrid_pipeline.sources, which orders and completes them."
        )
    return int(steps[0]) // 60


def to_grid(readings: pd.DataFrame, meter: Meter) -> pd.DataFrame:
    """Recorded readings on the complete civil grid of the meter, in order; rows never recorded are NaN.

    Of several rows with one civil time (the autumn hour, or a repeat) the first is kept. Raises DataError on
    an empty frame.
    """
    if readings.empty:
        raise DataError("No readings to put on a grid: the frame is empty.")
    ordered = readings[~readings.index.duplicated(keep="first")].sort_index()
    step = pd.Timedelta(minutes=meter.step_minutes)
    grid = pd.date_range(ordered.index[0].floor(step), ordered.index[-1], freq=step, name=INTERVAL_START)
    channels = [channel for channel in CHANNELS if channel in ordered]
    complete = ordered[channels].reindex(grid)
    complete.insert(0, INTERVAL_START_UTC, civil_to_utc(grid, meter.timezone))
    return complete


def civil_to_utc(civil: pd.DatetimeIndex, timezone: str) -> pd.DatetimeIndex:
    """Civil times to UTC: NaT in the spring hour that does not exist, the first pass of the autumn hour."""
    first_pass = np.ones(len(civil), bool)
    return civil.tz_localize(timezone, nonexistent="NaT", ambiguous=first_pass).tz_convert("UTC")
