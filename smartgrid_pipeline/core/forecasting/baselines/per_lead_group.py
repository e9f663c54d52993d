"""Forecasters made of one regression per lead group: everything but the regression itself."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # it has no stubs

from smartgrid_pipeline.core.features import tabular
from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.forecasting.baselines import samples
from smartgrid_pipeline.core.forecasting.baselines.naive import past_days_forecast
from smartgrid_pipeline.core.forecasting.baselines.samples import Sample
from smartgrid_pipeline.core.forecasting.climatology import Climatology
from smartgrid_pipeline.core.forecasting.forecaster import (
    FULL,
    Forecast,
    Split,
    TrainingBudget,
    sort_and_clip,
)
from smartgrid_pipeline.core.forecasting.leads import (
    LEAD_GROUP_NAMES,
    SHORT_LEAD_GROUPS,
    LeadGroup,
    lead_groups,
)
from smartgrid_pipeline.core.forecasting.recalibration import ResidualQuantiles
from smartgrid_pipeline.core.learning import storage
from smartgrid_pipeline.core.learning.storage import Arrays
from smartgrid_pipeline.core.schema import ACTIVE_POWER, QUANTILES, Floats, LeadInterval, Meter, Rows, Times

Columns = npt.NDArray[np.int64]

FEWEST_ROWS = 50
"""A lead group with fewer training pairs is forecast by the climatology and the past days."""

SEASON_DAYS = 540
"""A season observed only once looks like a trend. With a shorter window regressions get no features of the
time of year, and long-horizon forecasts are averaged with those of the past days.
"""

LEAST_REGRESSION_WEIGHT, PAST_DAYS = 0.5, 28
"""Least weight of a long-horizon regression against the past days, and how many days these are."""

HOLDOUT_ROWS = 30_000
"""Holdout pairs that calibrate a lead group."""

ORIGIN_MINUTES = {group: 5 if group in SHORT_LEAD_GROUPS else 60 for group in LEAD_GROUP_NAMES}
"""Training origins are this far apart."""

ERROR_LEVELS = {"next_5min": 30, "within_hour": 20, "next_hour": 20, "day_15min": 12, "day_1h": 10,
                "next_day": 4, "next_week": 4}  # fmt: skip
"""Classes of predicted power with residual quantiles of their own."""


class LeadGroupModel(Protocol):
    """A fitted regression of one lead group."""

    def predict(self, inputs: Floats, groups: Rows) -> tuple[Floats, Floats]:
        """Mean (rows,) and quantiles (rows, 9) in kW for rows of ``build_features`` and residual groups."""
        ...

    def to_arrays(self, prefix: str) -> Arrays:
        """Plain arrays for storage, their names beginning with the prefix."""
        ...


@dataclass(frozen=True)
class TargetOffset:
    """The power a regression corrects: the latest reading for the next five minutes, 0 kW for other leads.

    ``column`` is the feature that holds the reading, or −1; ``missing_kw`` stands in for a missing reading.
    """

    column: int
    missing_kw: float

    @classmethod
    def for_group(cls, group: LeadGroup, meter: Meter, train: Sample) -> Self:
        """The offset of a lead group; a missing reading is replaced by the sample's mean."""
        if group.name != "next_5min":
            return cls(-1, 0.0)
        names = samples.feature_names(meter, group)
        latest = f"{ACTIVE_POWER}_reading_0"
        column = names.index(latest if latest in names else ACTIVE_POWER)
        return cls(column, float(train.observed_kw.mean()))

    def __call__(self, inputs: Floats) -> Floats:
        """Power (rows,) in kW that is corrected."""
        if self.column < 0:
            return np.zeros(len(inputs), np.float32)
        return np.nan_to_num(inputs[:, self.column], nan=self.missing_kw)

    def to_arrays(self, prefix: str) -> Arrays:
        """Plain arrays for storage."""
        return {f"{prefix}.offset": np.array([self.column, self.missing_kw])}

    @classmethod
    def from_arrays(cls, arrays: Arrays, prefix: str) -> Self:
        """The inverse of ``to_arrays``."""
        column, missing_kw = arrays[f"{prefix}.offset"]
        return cls(int(column), float(missing_kw))


def residual_quantiles(group: LeadGroup, out_of_sample: Sequence[tuple[Floats, Sample]]) -> ResidualQuantiles:
    """Residual quantiles of a lead group from pairs of predicted means (n,) and the sample they predict."""
    predicted = np.concatenate([mean for mean, _ in out_of_sample])
    observed = np.concatenate([sample.observed_kw for _, sample in out_of_sample])
    groups = np.concatenate([sample.groups for _, sample in out_of_sample])
    return ResidualQuantiles.fit(predicted, observed, groups, ERROR_LEVELS[group.name])


class PerLeadGroupForecaster:
    """A Forecaster; a subclass defines how the model of one lead group is fitted and read back.

    ``rows`` bounds the training pairs of a lead group, ``origin_minutes`` is the distance of their origins.
    """

    name: str
    rows: ClassVar[dict[str, int]]
    origin_minutes: ClassVar[dict[str, int]] = ORIGIN_MINUTES

    def __init__(self, budget: TrainingBudget = FULL) -> None:
        self.budget = budget
        self._fitted_on: dict[str, Any] = {}
        self._climatology = Climatology.unknown()
        self._models: dict[str, LeadGroupModel] = {}
        self._curves: list[dict[str, Any]] = []
        self._sizes: dict[str, int] = {}
        self._days = 0.0

    # --- fit --------------------------------------------------------------------------------------

    def fit(self, history: History, split: Split) -> None:
        """Fit each lead group before ``split.train_end`` and its residual quantiles on the holdout, too."""
        self._climatology = Climatology.fit(history, split)
        self._models, self._curves, self._sizes = {}, [], {}
        first = samples.burn_in_end(split.start, split.train_end)
        self._days = float((split.train_end - first) / np.timedelta64(1, "D"))
        with threadpool_limits(self.budget.threads):  # the number of threads changes the order of sums
            self._fit_groups(history, split, first)
        self._fitted_on = storage.fitted_on(history.meter) | {"inputs": tabular.names_hash(history.meter)}

    def _fit_groups(self, history: History, split: Split, first: np.datetime64) -> None:
        for number, group in enumerate(self._lead_groups(history.meter)):
            seed = 1000 * self.budget.seed + number
            count, every = self._capped(self.rows[group.name]), self.origin_minutes[group.name]
            train = samples.sample_pairs(history, group, first, split.train_end, count, every, seed)
            holdout = samples.sample_pairs(
                history, group, split.train_end, split.end, self._capped(HOLDOUT_ROWS), every, seed
            )
            if len(train.observed_kw) < FEWEST_ROWS:
                continue
            self._sizes[group.name] = len(train.observed_kw)
            self._models[group.name] = self._fit_group(group, history.meter, train, holdout, seed)

    def _lead_groups(self, meter: Meter) -> tuple[LeadGroup, ...]:
        """The lead groups this forecaster has models of."""
        return lead_groups(meter, self._days >= SEASON_DAYS)

    def _capped(self, rows: int) -> int:
        return min(rows, self.budget.max_rows or rows)

    def _fit_group(
        self, group: LeadGroup, meter: Meter, train: Sample, holdout: Sample, seed: int
    ) -> LeadGroupModel:
        raise NotImplementedError

    @classmethod
    def _read_group(cls, arrays: Arrays, prefix: str) -> LeadGroupModel:
        raise NotImplementedError

    # --- predict ----------------------------------------------------------------------------------

    def predict(self, history: History, origins: Times, leads: tuple[LeadInterval, ...]) -> Forecast:
        """Forecast each lead from each origin, using only rows available at that origin."""
        inputs = tabular.names_hash(history.meter)
        storage.require_fit(self.name, self._fitted_on, history.meter, inputs=inputs)
        origins = origins.astype("datetime64[m]")
        climatology = self._climatology.predict(origins, leads)
        mean, quantiles = climatology[..., 0].copy(), climatology[..., 1:].copy()
        for group in self._lead_groups(history.meter):
            columns = [j for j, lead in enumerate(leads) if lead in group.leads]
            if columns and group.name in self._models:
                members = np.array([group.leads.index(leads[j]) for j in columns])
                mean[:, columns], quantiles[:, columns] = self._predict_group(
                    history, group, origins, members
                )
            weight = self._regression_weight(group)
            if columns and weight < 1:
                days = past_days_forecast(history, origins, tuple(leads[j] for j in columns), PAST_DAYS)
                mean[:, columns] = _shrink_to(mean[:, columns], days[0], weight)
                quantiles[:, columns] = _shrink_to(quantiles[:, columns], days[1], weight)
        return Forecast(origins, leads, *sort_and_clip(mean, quantiles))

    def _regression_weight(self, group: LeadGroup) -> float:
        """Weight of a lead group's regression against the past days, 0 where there is no regression."""
        if group.name not in self._models:
            return 0.0
        if group.is_short:
            return 1.0
        return float(np.clip(self._days / SEASON_DAYS, LEAST_REGRESSION_WEIGHT, 1))

    def _predict_group(
        self, history: History, group: LeadGroup, origins: Times, members: Rows
    ) -> tuple[Floats, Floats]:
        """Mean (origins, members) and quantiles (origins, members, 9); ``members`` index ``group.leads``."""
        mean = np.empty((len(origins), len(members)), np.float32)
        quantiles = np.empty((len(origins), len(members), len(QUANTILES)), np.float32)
        size = max(1, samples.PREDICT_BLOCK // len(members))
        for begin in range(0, len(origins), size):
            block = origins[begin : begin + size]
            pairs, lead_at = np.repeat(block, len(members)), np.tile(members, len(block))
            found = self._models[group.name].predict(
                samples.build_features(history, group, pairs, lead_at), group.residual_groups(pairs, lead_at)
            )
            mean[begin : begin + size] = found[0].reshape(len(block), -1)
            quantiles[begin : begin + size] = found[1].reshape(len(block), len(members), -1)
        return mean, quantiles

    # --- describe and store -----------------------------------------------------------------------

    def parameters(self) -> dict[str, Any]:
        """Flat settings and sizes, for the tracking run."""
        sizes = {f"{group}_rows": count for group, count in self._sizes.items()}
        return {"model": self.name, "seed": self.budget.seed, **sizes}

    def curves(self) -> pd.DataFrame:
        """Training and validation loss per step, where the regression is fitted in steps."""
        return pd.DataFrame(self._curves, columns=["step", "lead_group", "training", "validation"])

    def save(self, directory: Path) -> None:
        """Write the fitted model into an existing, empty directory."""
        facts = self._fitted_on and {"fitted_on": self._fitted_on, "budget": asdict(self.budget),
                                     "lead_groups": list(self._models), "days": self._days,
                                     "sizes": self._sizes, "curves": self._curves}  # fmt: skip
        arrays = {"climatology_kw": self._climatology.kw}
        for group, model in self._models.items():
            arrays |= model.to_arrays(group)
        storage.write(directory, self.name, facts, arrays)

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Read what ``save`` wrote. Raises ModelError when files are missing or do not fit."""
        with storage.read(directory, cls.name) as (facts, arrays):
            model = cls(TrainingBudget(**facts["budget"]))
            model._fitted_on, model._days = facts["fitted_on"], facts["days"]
            model._sizes, model._curves = facts["sizes"], facts["curves"]
            model._climatology = Climatology(arrays["climatology_kw"])
            model._models = {group: cls._read_group(arrays, group) for group in facts["lead_groups"]}
        return model


def _shrink_to(forecast: Floats, days: Floats, weight: float) -> Floats:
    """``weight`` times the forecast plus the rest times that of the past days, where these were observed."""
    return np.where(np.isfinite(days), weight * forecast + (1 - weight) * days, forecast)
