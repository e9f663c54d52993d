"""What any home is thought to use before it has shown anything, and after a few hours of showing.

The day's shape and the spread are those of the UCI house in 2007 and 2008 (CC BY 4.0), half way to a flat day
since homes differ; the level is that of 3,500 kWh a year.
"""

import numpy as np

from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.features.tabular import Rows
from smartgrid_pipeline.core.schema import Floats, LeadInterval, Times

LEVEL_KW = 0.4

HOUR_SHAPE = np.array(
    [0.81, 0.75, 0.72, 0.70, 0.70, 0.71, 0.87, 1.16, 1.17, 1.09, 1.06, 1.04,
     1.03, 1.02, 0.99, 0.95, 0.93, 0.97, 1.11, 1.32, 1.39, 1.39, 1.17, 0.93]
)  # fmt: skip
"""Power at each hour of the day over its mean."""

HOUR_SPREAD = np.array([0.24, 0.37, 0.50, 0.63, 0.77, 1.01, 1.23, 1.50, 1.95])
"""QUANTILES of an hour's power over what is usual at that hour, of a home whose level is known."""

DAY_SPREAD = np.array([0.60, 0.74, 0.83, 0.91, 0.98, 1.06, 1.15, 1.26, 1.42])
"""The same of a whole day or week."""

LEVEL_SPREAD = np.array([0.48, 0.62, 0.74, 0.86, 1.0, 1.16, 1.35, 1.61, 2.07])
"""Homes' levels over a typical one."""

BELIEF_HOURS = 6
"""With so many hours seen, half of what they say of the level is believed."""

LOOK_BACK_DAYS = 28


def known_level(history: History, rows: Rows) -> tuple[Floats, Floats]:
    """Level (kW) of a home at each of some rows, and how far it is believed (0 … 1), both (origins,).

    Looks at the readings of the last days as they came, each against what is usual at its hour.
    """
    per_hour = 60 // history.meter.working_minutes
    seen = np.isfinite(history.power_kw)
    hours = (history.starts - history.starts.astype("datetime64[D]")).astype(np.int64) // 60
    used, usual = (
        np.concatenate([[0.0], np.cumsum(np.where(seen, values, 0), dtype=np.float64)])
        for values in (history.power_kw, HOUR_SHAPE[hours])
    )
    count = np.concatenate([[0], np.cumsum(seen)])
    last = np.clip(rows + 1, 0, len(seen))
    first = np.maximum(last - LOOK_BACK_DAYS * 24 * per_hour, 0)
    number = (count[last] - count[first]) / per_hour
    with np.errstate(invalid="ignore", divide="ignore"):
        own = np.where(number > 0, (used[last] - used[first]) / (usual[last] - usual[first]), LEVEL_KW)
    belief = number / (number + BELIEF_HOURS)
    return (belief * own + (1 - belief) * LEVEL_KW).astype(np.float32), belief.astype(np.float32)


def typical(
    origins: Times, leads: tuple[LeadInterval, ...], level_kw: Floats, belief: Floats
) -> tuple[Floats, Floats]:
    """Mean (origins, leads) and quantiles (origins, leads, 9) in kW of a home of which only that is known."""
    middle = np.array([(lead.start_minutes + lead.end_minutes) // 2 for lead in leads])
    wide = np.array([lead.width_minutes > 60 for lead in leads])
    hour = ((origins - origins.astype("datetime64[D]")).astype(np.int64)[:, None] + middle) // 60 % 24
    mean = level_kw[:, None] * np.where(wide, 1.0, HOUR_SHAPE[hour])
    spread = np.where(wide[:, None], DAY_SPREAD, HOUR_SPREAD)
    # Logarithms of independent factors add as squares; medians multiply.
    centre = spread[:, 4:5]
    apart = np.hypot(np.log(spread / centre), (1 - belief)[:, None, None] * np.log(LEVEL_SPREAD))
    factor = centre * np.exp(np.sign(np.arange(9) - 4) * apart)
    return mean.astype(np.float32), (mean[..., None] * factor).astype(np.float32)
