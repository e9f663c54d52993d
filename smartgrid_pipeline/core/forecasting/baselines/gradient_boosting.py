"""The strong reference: LightGBM, a mean and nine quantiles per lead group, on the last minutes and days."""

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import lightgbm
import numpy as np

from smartgrid_pipeline.core.forecasting.baselines.per_lead_group import (
    Columns,
    LeadGroupModel,
    PerLeadGroupForecaster,
    TargetOffset,
)
from smartgrid_pipeline.core.forecasting.baselines.samples import Sample
from smartgrid_pipeline.core.forecasting.forecaster import TrainingBudget
from smartgrid_pipeline.core.forecasting.leads import LeadGroup
from smartgrid_pipeline.core.learning import lightgbm_text
from smartgrid_pipeline.core.learning.lightgbm_text import Booster
from smartgrid_pipeline.core.learning.storage import Arrays
from smartgrid_pipeline.core.schema import QUANTILES, Floats, Meter, Rows

Settings = dict[str, Any]


@dataclass(frozen=True)
class LightGBMParams:
    """Size of the models of one lead group; chosen on 2009.

    The mean is fitted on at most ``rows`` pairs and the best ``columns`` of a pilot, the quantiles on every
    k-th of the pairs and fewer columns.
    """

    rows: int
    trees: int
    leaves: int
    rate: float
    columns: int
    smallest_leaf: int
    share_of_columns: float = 0.5
    quantile_rows: int = 80_000
    quantile_trees: int = 120
    quantile_columns: int = 30

    def mean_settings(self, sample: Sample) -> Settings:
        """LightGBM settings of the mean for a sample."""
        return {"objective": "regression", "num_leaves": self.leaves, "learning_rate": self.rate,
                **self._leaf_settings(sample, self.smallest_leaf)}  # fmt: skip

    def quantile_settings(self, sample: Sample) -> Settings:
        """LightGBM settings of each quantile for a sample: fewer and larger leaves than for the mean."""
        return {"objective": "quantile", "num_leaves": min(self.leaves, 15), "learning_rate": 0.1,
                **self._leaf_settings(sample, 2 * self.smallest_leaf)}  # fmt: skip

    def _leaf_settings(self, sample: Sample, smallest_leaf: int) -> Settings:
        smallest = min(smallest_leaf, max(5, len(sample.observed_kw) // 20))
        return {"min_data_in_leaf": smallest, "feature_fraction": self.share_of_columns}


LIGHTGBM_PARAMS = {
    "next_5min": LightGBMParams(320_000, 400, 31, 0.06, 80, 40, 0.5, 120_000, 160, 60),
    "within_hour": LightGBMParams(120_000, 150, 31, 0.08, 60, 100),
    "next_hour": LightGBMParams(320_000, 350, 31, 0.06, 100, 40, 0.5, 110_000, 150, 60),
    "day_15min": LightGBMParams(220_000, 150, 15, 0.05, 70, 400),
    "day_1h": LightGBMParams(140_000, 170, 15, 0.05, 70, 300),
    "next_day": LightGBMParams(20_000, 200, 5, 0.05, 70, 300, 0.3),
    "next_week": LightGBMParams(20_000, 100, 3, 0.05, 70, 300, 0.3),
}

PILOT_ROWS, PILOT_TREES = 40_000, 60
"""Size of the pilot model that ranks the columns."""

BINS = 63
CURVE_STEP = 10

ENOUGH_DAYS = 365
"""A shorter training window gets proportionally fewer trees."""


def shared_settings(budget: TrainingBudget, seed: int) -> Settings:
    """LightGBM settings that all models share; none depends on clock or machine."""
    return {
        "seed": seed, "num_threads": budget.threads, "deterministic": True, "force_row_wise": True,
        "max_bin": BINS, "bin_construct_sample_cnt": 50_000, "bagging_fraction": 0.5, "bagging_freq": 1,
        "verbose": -1,
    }  # fmt: skip


def tree_count(budget: TrainingBudget, trees: int, train: Sample) -> int:
    """``trees``, reduced for a short window and capped by the budget."""
    reduced = round(trees * np.clip(train.days / ENOUGH_DAYS, 0.2, 1))
    return min(reduced, budget.max_trees or reduced)


@dataclass(frozen=True)
class BoostedModel:
    """The boosters of one lead group: the mean, then QUANTILES; they predict what the offset leaves.

    The mean takes all ``columns``, the quantiles the first of them.
    """

    columns: Columns
    offset: TargetOffset
    boosters: tuple[Booster, ...]

    def predict(self, inputs: Floats, groups: Rows) -> tuple[Floats, Floats]:
        """Mean (rows,) and quantiles (rows, 9) in kW; residual groups are not needed."""
        offset = self.offset(inputs)
        mean, *quantiles = (self._predict_one(booster, inputs) + offset for booster in self.boosters)
        return mean, np.sort(np.stack(quantiles, -1), -1)

    def _predict_one(self, booster: Booster, inputs: Floats) -> Floats:
        columns = self.columns[: booster.num_feature()]
        return booster.predict(inputs[:, columns], num_threads=1).astype(np.float32)

    def to_arrays(self, prefix: str) -> Arrays:
        """Plain arrays for storage."""
        trees = lightgbm_text.to_array(self.boosters)
        return {f"{prefix}.columns": self.columns, **self.offset.to_arrays(prefix), f"{prefix}.trees": trees}

    @classmethod
    def from_arrays(cls, arrays: Arrays, prefix: str) -> Self:
        """The inverse of ``to_arrays``."""
        boosters = lightgbm_text.from_array(arrays[f"{prefix}.trees"])
        return cls(arrays[f"{prefix}.columns"], TargetOffset.from_arrays(arrays, prefix), boosters)


class LightGBM(PerLeadGroupForecaster):
    """Gradient-boosted trees (Friedman 2001; Ke 2017), a mean and nine quantiles per lead group."""

    name = "lightgbm"
    rows: ClassVar[dict[str, int]] = {group: params.rows for group, params in LIGHTGBM_PARAMS.items()}

    @classmethod
    def _read_group(cls, arrays: Arrays, prefix: str) -> LeadGroupModel:
        return BoostedModel.from_arrays(arrays, prefix)

    def _fit_group(
        self, group: LeadGroup, meter: Meter, train: Sample, holdout: Sample, seed: int
    ) -> LeadGroupModel:
        params, offset = LIGHTGBM_PARAMS[group.name], TargetOffset.for_group(group, meter, train)
        ranked = self._rank_columns(params, offset, train, seed)
        columns = ranked[: params.columns]
        mean = self._fit_mean(group, offset, train, holdout, columns, seed)
        part, settings = train.thinned(params.quantile_rows), shared_settings(self.budget, seed)
        data = _dataset(part, offset, ranked[: params.quantile_columns], settings)
        settings |= params.quantile_settings(part)
        count = tree_count(self.budget, params.quantile_trees, train)
        quantiles = (lightgbm.train(settings | {"alpha": level}, data, count) for level in QUANTILES)
        return BoostedModel(columns, offset, tuple(map(lightgbm_text.slim, (mean, *quantiles))))

    def _fit_mean(
        self, group: LeadGroup, offset: TargetOffset, train: Sample, holdout: Sample, columns: Columns,
        seed: int,
    ) -> Booster:  # fmt: skip
        """The booster of the mean. The holdout only gives a curve: two months of one season are a poor guide
        to when to stop.
        """
        params = LIGHTGBM_PARAMS[group.name]
        settings = shared_settings(self.budget, seed) | params.mean_settings(train)
        data = _dataset(train, offset, columns, settings)
        losses: dict[str, dict[str, list[float]]] = {}
        measured = {"train": data}
        if len(holdout.observed_kw):
            measured["holdout"] = _dataset(holdout, offset, columns, settings).set_reference(data)
        booster = lightgbm.train(
            settings, data, tree_count(self.budget, params.trees, train), list(measured.values()),
            list(measured), callbacks=[lightgbm.record_evaluation(losses)],
        )  # fmt: skip
        training, validation = (losses.get(name, {}).get("l2", []) for name in ("train", "holdout"))
        self._curves += [
            {"step": k + 1, "lead_group": group.name, "training": training[k],
             "validation": validation[k] if validation else None}
            for k in range(0, len(training), CURVE_STEP)
        ]  # fmt: skip
        return booster

    def _rank_columns(
        self, params: LightGBMParams, offset: TargetOffset, train: Sample, seed: int
    ) -> Columns:
        """All columns by their gain in a pilot model, best first."""
        part = train.thinned(PILOT_ROWS)
        settings = shared_settings(self.budget, seed) | params.mean_settings(part) | {"learning_rate": 0.1}
        data = _dataset(part, offset, np.arange(train.inputs.shape[1]), settings)
        pilot = lightgbm.train(settings, data, tree_count(self.budget, PILOT_TREES, train))
        return np.argsort(-pilot.feature_importance("gain"), kind="stable")


def _dataset(sample: Sample, offset: TargetOffset, columns: Columns, settings: Settings) -> Any:
    """A LightGBM data set of some columns; its target is what the offset leaves."""
    target = sample.observed_kw - offset(sample.inputs)
    inputs = np.ascontiguousarray(sample.inputs[:, columns])
    return lightgbm.Dataset(
        np.ascontiguousarray(inputs), np.ascontiguousarray(target), weight=sample.weights, params=settings
    )
