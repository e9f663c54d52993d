"""A detector for a meter without one: fitted on what was recorded before, else on the file it searches."""

import numpy as np
import pandas as pd

from smartgrid_pipeline.core.anomaly.detector import AnomalyDetector
from smartgrid_pipeline.core.anomaly.scoring import thresholds
from smartgrid_pipeline.core.schema import DataError, Meter

HISTORY_DAYS = 365
"""With this much before the first day to be searched, the searched days are left out of the fit."""

MIN_DAYS = 32
"""Shortest file to fit on: two weeks of training, two of calibration, a margin."""


def fit(
    detector: AnomalyDetector, grid: pd.DataFrame, meter: Meter, since: np.datetime64 | None = None
) -> str:
    """Fit a detector on the readings that it is to search from ``since`` on; returns what it rests on.

    ``grid`` are readings on the meter's grid. Raises DataError when they are too short.
    """
    days = (grid.index[-1] - grid.index[0]) / pd.Timedelta(days=1)
    if days < MIN_DAYS:
        raise DataError(
            f"No detector was fitted on meter {meter.meter_id}, and to fit one on these readings at least "
            f"{MIN_DAYS} days are needed: found {days:.1f}. Give a longer file, or `smartgrid run` on "
            "this meter's history first."
        )
    before = grid if since is None else grid[grid.index < pd.Timestamp(since)]
    long = since is not None and len(before) * meter.step_minutes >= HISTORY_DAYS * 1440
    training = before if long else grid
    first, last = training.index[0], training.index[-1]
    detector.fit(training, meter, thresholds.calibration_start(first, last), contaminated=not long)
    if long:
        return f"a detector learned from the {(last - first).days} days before {pd.Timestamp(since):%Y-%m-%d}"
    return f"a detector learned from these {days:.0f} days themselves"
