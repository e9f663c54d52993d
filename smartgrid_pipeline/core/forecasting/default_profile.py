"""Default load profile of a home: the forecast with no readings at all, or with a few hours of them.

The shape of the day and the spread are those of the UCI house in 2007 and 2008 (CC BY 4.0). The shape is
averaged with a flat day, since homes differ. The default level is that of 3,500 kWh a year.
"""

import numpy as np

from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.schema import Floats, LeadInterval, Rows, Times

DEFAULT_LEVEL_KW = 0.4

HOUR_SHAPE = np.array(
    [0.81, 0.75, 0.72, 0.70, 0.70, 0.71, 0.87, 1.16, 1.17, 1.09, 1.06, 1.04,
     1.03, 1.02, 0.99, 0.95, 0.93, 0.97, 1.11, 1.32, 1.39, 1.39, 1.17, 0.93]
)  # fmt: skip
"""Power at each hour of the day divided by the mean power."""

HOUR_SPREAD = np.array([0.24, 0.37, 0.50, 0.63, 0.77, 1.01, 1.23, 1.50, 1.95])
"""QUANTILES of an hour's power divided by the profile at that hour, for a home whose level is known."""

DAY_SPREAD = np.array([0.60, 0.74, 0.83, 0.91, 0.98, 1.06, 1.15, 1.26, 1.42])
"""QUANTILES of a day's or a week's power divided by the level, for a home whose level is known."""

LEVEL_SPREAD = np.array([0.48, 0.62, 0.74, 0.86, 1.0, 1.16, 1.35, 1.61, 2.07])
"""QUANTILES of the levels of homes divided by their median."""

PRIOR_HOURS = 6
"""Observed hours at which the estimated level counts half, and the default level half."""

LEVEL_WINDOW_DAYS = 28


def estimate_level(history: History, rows: Rows) -> tuple[Floats, Floats]:
    """Level (kW) of a home at each of ``rows``, and its weight 0 … 1 against the default, both (rows,).

    The level is the energy of the last days divided by the profile of the same hours. Its weight is
    n / (n + PRIOR_HOURS) after n observed hours; the level returned is already averaged with the default.
    """
    per_hour = 60 // history.meter.working_minutes
    observed = np.isfinite(history.power_kw)
    hours = (history.starts - history.starts.astype("datetime64[D]")).astype(np.int64) // 60
    energy, profile = (
        np.concatenate([[0.0], np.cumsum(np.where(observed, values, 0), dtype=np.float64)])
        for values in (history.power_kw, HOUR_SHAPE[hours])
    )
    count = np.concatenate([[0], np.cumsum(observed)])
    last = np.clip(rows + 1, 0, len(observed))
    first = np.maximum(last - LEVEL_WINDOW_DAYS * 24 * per_hour, 0)
    observed_hours = (count[last] - count[first]) / per_hour
    with np.errstate(invalid="ignore", divide="ignore"):
        measured = (energy[last] - energy[first]) / (profile[last] - profile[first])
    measured = np.where(observed_hours > 0, measured, DEFAULT_LEVEL_KW)
    weight = observed_hours / (observed_hours + PRIOR_HOURS)
    level = weight * measured + (1 - weight) * DEFAULT_LEVEL_KW
    return level.astype(np.float32), weight.astype(np.float32)


def profile_forecast(
    origins: Times, leads: tuple[LeadInterval, ...], level_kw: Floats, level_weight: Floats
) -> tuple[Floats, Floats]:
    """Mean (origins, leads) and quantiles (origins, leads, 9) in kW of the profile at a level (origins,).

    The less ``level_weight`` (origins,) the level has, the more of the spread of all homes is added.
    """
    middle = np.array([(lead.start_minutes + lead.end_minutes) // 2 for lead in leads])
    is_wide = np.array([lead.width_minutes > 60 for lead in leads])
    hour = ((origins - origins.astype("datetime64[D]")).astype(np.int64)[:, None] + middle) // 60 % 24
    mean = level_kw[:, None] * np.where(is_wide, 1.0, HOUR_SHAPE[hour])
    spread = np.where(is_wide[:, None], DAY_SPREAD, HOUR_SPREAD)
    # Logarithms of independent factors add as squares; medians multiply.
    median = spread[:, 4:5]
    distance = np.hypot(np.log(spread / median), (1 - level_weight)[:, None, None] * np.log(LEVEL_SPREAD))
    factor = median * np.exp(np.sign(np.arange(9) - 4) * distance)
    return mean.astype(np.float32), (mean[..., None] * factor).astype(np.float32)
