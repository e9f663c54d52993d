"""What every model must beat: the last value, the same time on earlier days, and the spread of those days.

Nothing is learned here but the size of past errors, and a climatology for when the history says nothing.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd

from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.forecasting.climatology import Climatology
from smartgrid_pipeline.core.forecasting.forecaster import FULL, Forecast, Split, TrainingBudget, finish
from smartgrid_pipeline.core.forecasting.leads import RESIDUALS
from smartgrid_pipeline.core.forecasting.past_days import past_days
from smartgrid_pipeline.core.forecasting.recalibration import ResidualQuantiles
from smartgrid_pipeline.core.learning import storage
from smartgrid_pipeline.core.schema import Floats, LeadInterval, Times, leads_for

CALIBRATION_MINUTES = 300
"""Origins that errors are learned from are this far apart: every hour of every weekday has its turn."""

DAYS_TO_TRY = 7
WEEKS_TO_TRY = 4


class _Reference:
    """What all references share; a subclass gives the forecast itself, NaN where it knows nothing."""

    name: str

    def __init__(self, budget: TrainingBudget = FULL) -> None:
        self.budget = budget
        self._fitted_on: dict[str, Any] = {}
        self._climatology = Climatology.unknown()

    def fit(self, history: History, split: Split) -> None:
        """Learn the climatology, and what else the subclass needs."""
        self._climatology = Climatology.fit(history, split)
        self._learn(history, split)
        self._fitted_on = storage.fitted_on(history.meter)

    def predict(self, history: History, origins: Times, leads: tuple[LeadInterval, ...]) -> Forecast:
        """Forecast each lead from each origin, using only rows available at that origin."""
        storage.require_fit(self.name, self._fitted_on, history.meter)
        origins = origins.astype("datetime64[m]")
        mean, quantiles = self._look(history, origins, leads)
        usual = self._climatology.of(origins, leads)
        known = np.isfinite(mean)
        mean = np.where(known, mean, usual[..., 0])
        quantiles = np.where(known[..., None], quantiles, usual[..., 1:])
        return Forecast(origins, leads, *finish(mean, quantiles))

    def _learn(self, history: History, split: Split) -> None:
        """Nothing by default."""

    def _look(
        self, history: History, origins: Times, leads: tuple[LeadInterval, ...]
    ) -> tuple[Floats, Floats]:
        """Mean (origins, leads) and quantiles (origins, leads, 9) in kW, NaN where nothing is known."""
        raise NotImplementedError

    def _arrays(self) -> storage.Arrays:
        return {"climatology_kw": self._climatology.kw}

    def _take(self, arrays: storage.Arrays) -> None:
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
        storage.write(directory, self.name, facts, self._arrays())

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Read what ``save`` wrote. Raises ModelError when files are missing or do not fit."""
        with storage.read(directory, cls.name) as (facts, arrays):
            model = cls(TrainingBudget(**facts["budget"]))
            model._fitted_on = facts["fitted_on"]
            model._take(arrays)
        return model


class _PointReference(_Reference):
    """A reference with one value, whose quantiles are that value and its past errors.

    As no value is learned, all of the window is as good as a later block.
    """

    def __init__(self, budget: TrainingBudget = FULL) -> None:
        super().__init__(budget)
        self._errors = ResidualQuantiles.none()

    def _point(self, history: History, origins: Times, leads: tuple[LeadInterval, ...]) -> Floats:
        raise NotImplementedError

    def _learn(self, history: History, split: Split) -> None:
        leads = leads_for(history.meter.working_minutes)
        origins = history.origins(split.start, split.end, CALIBRATION_MINUTES)
        point = self._point(history, origins, leads)
        observed = history.targets(origins, leads, split.end)
        self._errors = ResidualQuantiles.fit(point, observed, RESIDUALS.of_leads(leads))

    def _look(
        self, history: History, origins: Times, leads: tuple[LeadInterval, ...]
    ) -> tuple[Floats, Floats]:
        point = self._point(history, origins, leads)
        return point, self._errors.apply(point, RESIDUALS.of_leads(leads))

    def _arrays(self) -> storage.Arrays:
        return super()._arrays() | self._errors.to_arrays()

    def _take(self, arrays: storage.Arrays) -> None:
        super()._take(arrays)
        self._errors = ResidualQuantiles.from_arrays(arrays)


class Persistence(_PointReference):
    """The mean of the last minutes, as many as the lead interval is wide (5 min, 1 h, a day, …)."""

    name = "persistence"

    def _point(self, history: History, origins: Times, leads: tuple[LeadInterval, ...]) -> Floats:
        after = np.minimum(history.rows(origins), len(history.starts) - 1) + 1  # a late meter's last rows
        columns = [
            history.interval_means(after - lead.width_minutes // history.meter.working_minutes,
                                   lead.width_minutes)
            for lead in leads
        ]  # fmt: skip
        return np.stack(columns, 1)


class SeasonalDay(_PointReference):
    """The same interval on the latest earlier day that was observed."""

    name = "seasonal_day"

    def _point(self, history: History, origins: Times, leads: tuple[LeadInterval, ...]) -> Floats:
        return _first_seen(history.same_time_lags(origins, leads, DAYS_TO_TRY))


class SeasonalWeek(_PointReference):
    """The same interval on the same weekday of the latest week that was observed."""

    name = "seasonal_week"

    def _point(self, history: History, origins: Times, leads: tuple[LeadInterval, ...]) -> Floats:
        days = history.same_time_lags(origins, leads, 7 * WEEKS_TO_TRY)
        first = np.array([-lead.end_minutes // 1440 % 7 for lead in leads])
        weeks = first[:, None] + 7 * np.arange(WEEKS_TO_TRY)
        return _first_seen(np.take_along_axis(days, weeks[None], 2))


class _Analogue(_Reference):
    """The same interval on each of the last days, as an ensemble."""

    days: ClassVar[int]

    def _look(
        self, history: History, origins: Times, leads: tuple[LeadInterval, ...]
    ) -> tuple[Floats, Floats]:
        return past_days(history, origins, leads, self.days)


class Analogue7d(_Analogue):
    """The last seven days."""

    name = "analogue_7d"
    days = 7


class Analogue28d(_Analogue):
    """The last twenty-eight days."""

    name = "analogue_28d"
    days = 28


def _first_seen(values: Floats) -> Floats:
    """First value on the last axis that is not NaN; NaN where there is none."""
    first = np.argmax(~np.isnan(values), -1)
    return np.take_along_axis(values, first[..., None], -1)[..., 0]


REFERENCES: dict[str, type[Any]] = {
    model.name: model for model in (Persistence, SeasonalDay, SeasonalWeek, Analogue7d, Analogue28d)
}
"""Reference name → class; each is made from a budget."""
