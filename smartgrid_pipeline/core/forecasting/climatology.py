"""Climatology: mean and quantiles by hour of the day, the forecast where nothing recent was observed."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.forecasting.forecaster import Split
from smartgrid_pipeline.core.schema import QUANTILES, DataError, Doubles, Floats, LeadInterval, Times

HOURS = 24
DAY_ROW = HOURS
"""Row of a climatology for leads wider than an hour, after one row for each hour of the day."""


@dataclass(frozen=True)
class Climatology:
    """``kw`` (25, 10): for 24 hours and for whole days the mean, then QUANTILES, in kW."""

    kw: Floats

    @classmethod
    def fit(cls, history: History, split: Split) -> Self:
        """From all observed hours and days of the split. Raises DataError when no whole hour was observed."""
        origins = history.origins(split.start, split.end, 60)
        hour_kw = history.targets(origins, (LeadInterval(0, 60),), split.end)[:, 0]
        day_kw = history.targets(origins, (LeadInterval(0, 1440),), split.end)[:, 0]
        if not np.isfinite(hour_kw).any():
            raise DataError(
                f"No whole hour was observed between {split.start} and {split.end}; give other readings."
            )
        clock_hour = (origins - origins.astype("datetime64[D]")).astype(int) // 60
        all_hours = _mean_and_quantiles(hour_kw)
        rows = [_mean_and_quantiles(hour_kw[clock_hour == hour], all_hours) for hour in range(HOURS)]
        return cls(np.stack([*rows, _mean_and_quantiles(day_kw, all_hours)]).astype(np.float32))

    @classmethod
    def unknown(cls) -> Self:
        """That of a model before its fit: all zeros."""
        return cls(np.zeros((HOURS + 1, 1 + len(QUANTILES)), np.float32))

    def predict(self, origins: Times, leads: tuple[LeadInterval, ...]) -> Floats:
        """Mean, then QUANTILES, of each lead from each origin, (origins, leads, 10) kW.

        A lead is given the hour of the day that holds its middle.
        """
        middle = np.array([(lead.start_minutes + lead.end_minutes) // 2 for lead in leads])
        minute = (origins - origins.astype("datetime64[D]")).astype(int)[:, None] + middle
        wide = np.array([lead.width_minutes > 60 for lead in leads])
        return self.kw[np.where(wide, DAY_ROW, minute // 60 % HOURS)]


def _mean_and_quantiles(values: Floats, otherwise: Doubles | None = None) -> Doubles:
    """Mean, then QUANTILES, of the observed values, (10,); ``otherwise`` where none was observed."""
    observed = values[np.isfinite(values)].astype(np.float64)
    if not len(observed) and otherwise is not None:
        return otherwise
    return np.concatenate([[observed.mean()], np.quantile(observed, QUANTILES)])
