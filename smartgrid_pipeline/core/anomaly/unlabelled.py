"""Readings of a meter that no detector knows teach one: from what came before, else from themselves."""

import numpy as np
import pandas as pd

from smartgrid_pipeline.core.anomaly.detector import AnomalyDetector
from smartgrid_pipeline.core.anomaly.scoring import thresholds
from smartgrid_pipeline.core.schema import DataError, Meter

HISTORY_DAYS = 365
"""So much before the first day to be judged teaches alone: the days to be judged then teach nothing."""

FEWEST_DAYS = 32
"""Readings that judge themselves must last so long: two weeks to learn, two to calibrate, a margin."""


def teach(
    detector: AnomalyDetector, grid: pd.DataFrame, meter: Meter, since: np.datetime64 | None = None
) -> str:
    """Fit a detector on the readings it is to judge from ``since`` on; returns in words what taught it.

    Raises DataError when the readings are too short to learn from.
    """
    days = (grid.index[-1] - grid.index[0]) / pd.Timedelta(days=1)
    if days < FEWEST_DAYS:
        raise DataError(
            f"No detector knows meter {meter.meter_id}, and to learn from these readings alone at least "
            f"{FEWEST_DAYS} days are needed: found {days:.1f}. Give a longer file, or `smartgrid run` on "
            "this meter's history first."
        )
    before = grid if since is None else grid[grid.index < pd.Timestamp(since)]
    long = since is not None and len(before) * meter.step_minutes >= HISTORY_DAYS * 1440
    taught = before if long else grid
    first, last = taught.index[0], taught.index[-1]
    detector.fit(taught, meter, thresholds.begins(first, last), contaminated=not long)
    if long:
        return f"a detector learned from the {(last - first).days} days before {pd.Timestamp(since):%Y-%m-%d}"
    return f"a detector learned from these {days:.0f} days themselves"
