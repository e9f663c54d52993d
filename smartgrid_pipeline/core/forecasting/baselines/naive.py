"""Naive forecasters, which every model must beat: the last value, or the same time on earlier days.

Nothing is fitted but quantiles of their errors, and a climatology for origins before which nothing usable was
observed.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd

from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.features.rolling import mean_of_observed
from smartgrid_pipeline.core.forecasting.climatology import Climatology
from smartgrid_pipeline.core.forecasting.forecaster import (
    FULL,
    Forecast,
    Split,
    TrainingBudget,
    sort_and_clip,
)
from smartgrid_pipeline.core.forecasting.leads import RESIDUALS
from smartgrid_pipeline.core.forecasting.recalibration import ResidualQuantiles
from smartgrid_pipeline.core.learning import storage
from smartgrid_pipeline.core.schema import QUANTILES, Floats, LeadInterval, Times, leads_for

ERROR_ORIGIN_MINUTES = 300
"""Origins whose errors are measured are this far apart: no divisor of a week, so every hour of it occurs."""

DAYS_TO_TRY = 7
WEEKS_TO_TRY = 4


class _NaiveForecaster:
    """What all naive forecasters share; a subclass forecasts from the history alone."""

    name: str

    def __init__(self, budget: TrainingBudget = FULL) -> None:
        self.budget = budget
        self._fitted_on: dict[str, Any] = {}
        self._climatology = Climatology.unknown()

    def fit(self, history: History, split: Split) -> None:
        """Fit the climatology and, where the subclass needs them, quantiles of its errors."""
        self._climatology = Climatology.fit(history, split)
        self._fit_errors(history, split)
        self._fitted_on = storage.fitted_on(history.meter)

    def predict(self, history: History, origins: Times, leads: tuple[LeadInterval, ...]) -> Forecast:
        """Forecast each lead from each origin, using only rows available at that origin."""
        storage.require_fit(self.name, self._fitted_on, history.meter)
        origins = origins.astype("datetime64[m]")
        mean, quantiles = self._from_history(history, origins, leads)
        climatology = self._climatology.predict(origins, leads)
        known = np.isfinite(mean)
        mean = np.where(known, mean, climatology[..., 0])
        quantiles = np.where(known[..., None], quantiles, climatology[..., 1:])
        return Forecast(origins, leads, *sort_and_clip(mean, quantiles))

    def _fit_errors(self, history: History, split: Split) -> None:
        """Nothing by default."""

    def _from_history(
        self, history: History, origins: Times, leads: tuple[LeadInterval, ...]
    ) -> tuple[Floats, Floats]:
        """Mean (origins, leads) and quantiles (origins, leads, 9) in kW, NaN where nothing was observed."""
        raise NotImplementedError

    def _to_arrays(self) -> storage.Arrays:
        return {"climatology_kw": self._climatology.kw}

    def _restore(self, arrays: storage.Arrays) -> None:
        """The inverse of ``_to_arrays``."""
        self._climatology = Climatology(arrays["climatology_kw"])

    def parameters(self) -> dict[str, Any]:
        """Flat settings, for the tracking run."""
        return {"model": self.name}

    def curves(self) -> pd.DataFrame:
        """Empty: nothing is trained in steps."""
        return pd.DataFrame({"step": pd.Series(dtype=int)})

    def save(self, directory: Path) -> None:
        """Write the fitted model into an existing, empty directory."""
        facts = self._fitted_on and {"fitted_on": self._fitted_on, "budget": asdict(self.budget)}
        storage.write(directory, self.name, facts, self._to_arrays())

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Read what ``save`` wrote. Raises ModelError when files are missing or do not fit."""
        with storage.read(directory, cls.name) as (facts, arrays):
            model = cls(TrainingBudget(**facts["budget"]))
            model._fitted_on = facts["fitted_on"]
            model._restore(arrays)
        return model


# --- one value, with quantiles of past errors -------------------------------------------------------


class _PointForecaster(_NaiveForecaster):
    """One value per lead; its quantiles are that value plus quantiles of its errors.

    The value itself is not fitted, so errors of the whole split are out of sample.
    """

    def __init__(self, budget: TrainingBudget = FULL) -> None:
        super().__init__(budget)
        self._errors = ResidualQuantiles.none()

    def _point(self, history: History, origins: Times, leads: tuple[LeadInterval, ...]) -> Floats:
        """The value (origins, leads) in kW, NaN where nothing was observed."""
        raise NotImplementedError

    def _fit_errors(self, history: History, split: Split) -> None:
        leads = leads_for(history.meter.working_minutes)
        origins = history.origins(split.start, split.end, ERROR_ORIGIN_MINUTES)
        point = self._point(history, origins, leads)
        observed = history.targets(origins, leads, split.end)
        self._errors = ResidualQuantiles.fit(point, observed, RESIDUALS.of_leads(leads))

    def _from_history(
        self, history: History, origins: Times, leads: tuple[LeadInterval, ...]
    ) -> tuple[Floats, Floats]:
        point = self._point(history, origins, leads)
        return point, self._errors.apply(point, RESIDUALS.of_leads(leads))

    def _to_arrays(self) -> storage.Arrays:
        return super()._to_arrays() | self._errors.to_arrays()

    def _restore(self, arrays: storage.Arrays) -> None:
        super()._restore(arrays)
        self._errors = ResidualQuantiles.from_arrays(arrays)


class Persistence(_PointForecaster):
    """The mean of the last minutes, as many as the lead interval is wide (5 min, 1 h, a day, …)."""

    name = "persistence"

    def _point(self, history: History, origins: Times, leads: tuple[LeadInterval, ...]) -> Floats:
        end = np.minimum(history.rows(origins), len(history.starts) - 1) + 1  # a late meter's last rows
        columns = [
            history.interval_means(end - lead.width_minutes // history.meter.working_minutes,
                                   lead.width_minutes)
            for lead in leads
        ]  # fmt: skip
        return np.stack(columns, 1)


class SeasonalDay(_PointForecaster):
    """The same interval on the latest earlier day on which it was observed."""

    name = "seasonal_day"

    def _point(self, history: History, origins: Times, leads: tuple[LeadInterval, ...]) -> Floats:
        return _first_observed(history.same_time_lags(origins, leads, DAYS_TO_TRY))


class SeasonalWeek(_PointForecaster):
    """The same interval on the same weekday of the latest week in which it was observed."""

    name = "seasonal_week"

    def _point(self, history: History, origins: Times, leads: tuple[LeadInterval, ...]) -> Floats:
        days = history.same_time_lags(origins, leads, 7 * WEEKS_TO_TRY)
        first = np.array([-lead.end_minutes // 1440 % 7 for lead in leads])
        weeks = first[:, None] + 7 * np.arange(WEEKS_TO_TRY)
        return _first_observed(np.take_along_axis(days, weeks[None], 2))


def _first_observed(values: Floats) -> Floats:
    """First value on the last axis that is not NaN; NaN where there is none."""
    first = np.argmax(~np.isnan(values), -1)
    return np.take_along_axis(values, first[..., None], -1)[..., 0]


# --- the last days as an ensemble -------------------------------------------------------------------


class _DayEnsemble(_NaiveForecaster):
    """The same interval on each of the last days, as an ensemble."""

    days: ClassVar[int]

    def _from_history(
        self, history: History, origins: Times, leads: tuple[LeadInterval, ...]
    ) -> tuple[Floats, Floats]:
        return past_days_forecast(history, origins, leads, self.days)


class Analogue7d(_DayEnsemble):
    """The last seven days."""

    name = "analogue_7d"
    days = 7


class Analogue28d(_DayEnsemble):
    """The last twenty-eight days."""

    name = "analogue_28d"
    days = 28


def past_days_forecast(
    history: History, origins: Times, leads: tuple[LeadInterval, ...], days: int
) -> tuple[Floats, Floats]:
    """Mean (origins, leads) and QUANTILES (origins, leads, 9) in kW of the same interval on the last days.

    NaN where it was observed on none of them.
    """
    members = history.same_time_lags(origins, leads, days)
    return mean_of_observed(members), weibull_quantiles(members)


def weibull_quantiles(members: Floats) -> Floats:
    """QUANTILES of the members that are not NaN, (…, members) → (…, 9); NaN where there is none.

    Weibull plotting positions: member i of n stands for the level i / (n + 1), so that the quantiles of a
    small ensemble are exceeded as often as they should be (Gumbel 1958; Hyndman & Fan 1996, type 6). Equals
    ``np.nanquantile(…, method="weibull")``, which is slow on many small ensembles.
    """
    ordered = np.sort(members, -1)  # NaN last
    count = (~np.isnan(members)).sum(-1, keepdims=True)
    position = np.clip(np.array(QUANTILES) * (count + 1) - 1, 0, np.maximum(count - 1, 0))
    below = position.astype(np.int64)
    above = np.minimum(below + 1, np.maximum(count - 1, 0))
    low, high = (np.take_along_axis(ordered, index, -1) for index in (below, above))
    return (low + (position - below) * (high - low)).astype(np.float32)


REFERENCES: dict[str, type[Any]] = {
    model.name: model for model in (Persistence, SeasonalDay, SeasonalWeek, Analogue7d, Analogue28d)
}
"""Naive forecaster by name; each is made from a budget."""
