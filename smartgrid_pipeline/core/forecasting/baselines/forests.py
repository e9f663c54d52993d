"""Ridge, RandomForest and ExtraTrees on the same inputs as everyone, with intervals from their own errors."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.ensemble import ExtraTreesRegressor, RandomForestRegressor

from smartgrid_pipeline.core.features.rolling import mean_of_observed
from smartgrid_pipeline.core.forecasting.baselines.per_lead_group import (
    Columns,
    LeadGroupModel,
    PerLeadGroupForecaster,
    TargetOffset,
)
from smartgrid_pipeline.core.forecasting.baselines.ridge import RidgeModel
from smartgrid_pipeline.core.forecasting.baselines.samples import Rows, Sample, feature_names
from smartgrid_pipeline.core.forecasting.leads import LEAD_GROUP_NAMES, SHORT_LEAD_GROUPS, LeadGroup
from smartgrid_pipeline.core.forecasting.recalibration import ResidualQuantiles
from smartgrid_pipeline.core.learning.packed_trees import PackedTrees
from smartgrid_pipeline.core.learning.storage import Arrays
from smartgrid_pipeline.core.schema import Floats, Meter

ERROR_LEVELS = {"next_5min": 30, "within_hour": 20, "next_hour": 20, "day_15min": 12, "day_1h": 10,
                "next_day": 4, "next_week": 4}  # fmt: skip
"""Classes of predicted level whose errors are told apart."""


# --- ridge ----------------------------------------------------------------------------------------


class Ridge(PerLeadGroupForecaster):
    """Ridge regression with hours of the day as waves; errors of the whole window give the quantiles."""

    name = "ridge"
    rows: ClassVar[dict[str, int]] = {
        "next_5min": 100_000, "within_hour": 100_000, "next_hour": 100_000, "day_15min": 150_000,
        "day_1h": 100_000, "next_day": 20_000, "next_week": 20_000,
    }  # fmt: skip
    origin_minutes: ClassVar[dict[str, int]] = {
        family: 5 if family in SHORT_LEAD_GROUPS else 60 for family in LEAD_GROUP_NAMES
    }
    penalties: ClassVar[dict[str, float]] = {
        family: 0.002 if family in SHORT_LEAD_GROUPS else 0.07 for family in LEAD_GROUP_NAMES
    }
    waves: ClassVar[dict[str, int]] = {
        "next_5min": 4, "within_hour": 4, "next_hour": 6, "day_15min": 6, "day_1h": 6, "next_day": 1,
        "next_week": 1,
    }  # fmt: skip

    def _fit_family(
        self, family: LeadGroup, meter: Meter, learn: Sample, later: Sample, seed: int
    ) -> LeadGroupModel:
        model = RidgeModel.fit(
            TargetOffset.of(family, meter, learn),
            feature_names(meter, family),
            learn,
            self.penalties[family.name],
            self.waves[family.name],
        )
        known = (model.mean(learn.inputs), learn), (model.mean(later.inputs), later)
        return model.with_errors(errors_of(known, ERROR_LEVELS[family.name]))

    @classmethod
    def _read_family(cls, arrays: Arrays, prefix: str) -> LeadGroupModel:
        return RidgeModel.from_arrays(arrays, prefix)


def errors_of(known: Sequence[tuple[Floats, Sample]], levels: int) -> ResidualQuantiles:
    """Quantiles of the errors of predictions that a sample did not shape."""
    predicted = np.concatenate([mean for mean, _ in known])
    observed = np.concatenate([sample.observed_kw for _, sample in known])
    groups = np.concatenate([sample.groups for _, sample in known])
    return ResidualQuantiles.fit(predicted, observed, groups, levels)


# --- forests --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Grove:
    """How a forest of one family is grown; validated on 2009."""

    rows: int
    trees: int
    rows_per_tree: int
    smallest_leaf: int
    columns: int
    share_of_columns: float


@dataclass(frozen=True)
class ForestModel:
    """Trees of one family over some columns, corrections of a base."""

    columns: Columns
    base: TargetOffset
    trees: PackedTrees
    errors: ResidualQuantiles

    def mean(self, inputs: Floats) -> Floats:
        """Mean power (kW) of each row."""
        return self.base(inputs) + self.trees.predict(inputs[:, self.columns])

    def predict(self, inputs: Floats, groups: Rows) -> tuple[Floats, Floats]:
        """Mean and quantiles."""
        mean = self.mean(inputs)
        return mean, self.errors.apply(mean, groups)

    def to_arrays(self, prefix: str) -> Arrays:
        """Plain arrays for an npz file."""
        return {f"{prefix}.columns": self.columns, **self.base.to_arrays(prefix),
                **self.trees.to_arrays(prefix), **self.errors.to_arrays(f"{prefix}.")}  # fmt: skip

    @classmethod
    def from_arrays(cls, arrays: Arrays, prefix: str) -> Self:
        """The inverse of ``to_arrays``."""
        return cls(
            arrays[f"{prefix}.columns"],
            TargetOffset.from_arrays(arrays, prefix),
            PackedTrees.from_arrays(arrays, prefix),
            ResidualQuantiles.from_arrays(arrays, f"{prefix}."),
        )


PILOT_ROWS, PILOT_TREES = 15_000, 10
"""A small first forest finds the columns worth splitting on."""

OUT_OF_BAG_ROWS = 40_000
"""Rows whose errors are learned from the trees that did not see them."""

QUARTERS = 4


class _Forest(PerLeadGroupForecaster):
    """What both forests share: out-of-bag errors and those of the later block give the quantiles."""

    groves: ClassVar[dict[str, Grove]]
    kind: ClassVar[type[Any]]

    def _fit_family(
        self, family: LeadGroup, meter: Meter, learn: Sample, later: Sample, seed: int
    ) -> LeadGroupModel:
        grove, base = self.groves[family.name], TargetOffset.of(family, meter, learn)
        columns = self._columns(grove, base, learn, seed)
        forest = self._grow(grove, base, columns, learn, seed)
        trees = PackedTrees.of([tree.tree_ for tree in forest.estimators_])
        model = ForestModel(columns, base, trees, ResidualQuantiles.none())
        known = [(model.mean(later.inputs), later)]
        if family.leads[0].width_minutes > 60:  # neighbours share their target: no bag tells them apart
            known += self._left_out(grove, base, columns, learn, seed)
        else:
            known.append(_out_of_bag(forest, model, learn))
        return replace(model, errors=errors_of(known, ERROR_LEVELS[family.name]))

    def _grow(self, grove: Grove, base: TargetOffset, columns: Columns, learn: Sample, seed: int) -> Any:
        forest = self.kind(
            n_estimators=min(grove.trees, self.budget.max_trees or grove.trees),
            max_features=grove.share_of_columns,
            min_samples_leaf=grove.smallest_leaf,
            max_samples=min(grove.rows_per_tree, len(learn.observed_kw)),
            bootstrap=True,
            random_state=seed,
            n_jobs=self.budget.threads,
        )
        target = learn.observed_kw - base(learn.inputs)
        return forest.fit(learn.inputs[:, columns], target, sample_weight=learn.weights)

    def _left_out(
        self, grove: Grove, base: TargetOffset, columns: Columns, learn: Sample, seed: int
    ) -> list[tuple[Floats, Sample]]:
        """Means of each quarter of the window by a forest grown on the other three."""
        rows = np.arange(len(learn.observed_kw))
        known = []
        for quarter in np.array_split(rows, QUARTERS):
            others = learn.at(np.setdiff1d(rows, quarter))
            forest = self._grow(replace(grove, trees=-(-grove.trees // 2)), base, columns, others, seed)
            trees = PackedTrees.of([tree.tree_ for tree in forest.estimators_])
            part = learn.at(quarter)
            known.append(
                (ForestModel(columns, base, trees, ResidualQuantiles.none()).mean(part.inputs), part)
            )
        return known

    def _columns(self, grove: Grove, base: TargetOffset, learn: Sample, seed: int) -> Columns:
        """The columns that reduce most variance in a small forest."""
        part = learn.thinned(PILOT_ROWS)
        pilot = ExtraTreesRegressor(
            min(PILOT_TREES, self.budget.max_trees or PILOT_TREES),
            max_features=0.3,
            min_samples_leaf=20,
            random_state=seed,
            n_jobs=self.budget.threads,
        )
        pilot.fit(part.inputs, part.observed_kw - base(part.inputs), sample_weight=part.weights)
        return np.argsort(-pilot.feature_importances_, kind="stable")[: grove.columns]

    @classmethod
    def _read_family(cls, arrays: Arrays, prefix: str) -> LeadGroupModel:
        return ForestModel.from_arrays(arrays, prefix)


def _out_of_bag(forest: Any, model: ForestModel, learn: Sample) -> tuple[Floats, Sample]:
    """Part of the sample, and its mean over the trees that did not grow from a row (NaN where all did)."""
    some = np.arange(0, len(learn.observed_kw), -(-len(learn.observed_kw) // OUT_OF_BAG_ROWS))
    part = learn.at(some)
    values = model.trees.values(part.inputs[:, model.columns])
    for k, rows in enumerate(forest.estimators_samples_):
        values[np.isin(some, rows), k] = np.nan
    return mean_of_observed(values) + model.base(part.inputs), part


class RandomForest(_Forest):
    """Breiman's forest, each tree on a part of the rows."""

    name = "random_forest"
    kind = RandomForestRegressor
    groves: ClassVar[dict[str, Grove]] = {
        "next_5min": Grove(200_000, 12, 50_000, 5, 60, 0.33),
        "within_hour": Grove(100_000, 10, 30_000, 10, 40, 0.33),
        "next_hour": Grove(200_000, 15, 50_000, 5, 60, 0.33),
        "day_15min": Grove(150_000, 20, 50_000, 60, 40, 0.2),
        "day_1h": Grove(100_000, 20, 50_000, 50, 40, 0.2),
        "next_day": Grove(20_000, 40, 15_000, 60, 60, 0.2),
        "next_week": Grove(20_000, 40, 10_000, 60, 60, 0.2),
    }
    rows: ClassVar[dict[str, int]] = {family: grove.rows for family, grove in groves.items()}
    origin_minutes: ClassVar[dict[str, int]] = Ridge.origin_minutes


class ExtraTrees(_Forest):
    """Extremely randomised trees: cuts drawn at random, so more of them fit into the same time."""

    name = "extra_trees"
    kind = ExtraTreesRegressor
    groves: ClassVar[dict[str, Grove]] = {
        "next_5min": Grove(200_000, 17, 80_000, 6, 80, 0.6),
        "within_hour": Grove(100_000, 16, 60_000, 10, 60, 0.6),
        "next_hour": Grove(200_000, 17, 80_000, 5, 80, 0.6),
        "day_15min": Grove(150_000, 24, 100_000, 40, 60, 0.4),
        "day_1h": Grove(100_000, 30, 80_000, 30, 60, 0.4),
        "next_day": Grove(20_000, 40, 15_000, 60, 60, 0.6),
        "next_week": Grove(20_000, 40, 10_000, 60, 60, 0.6),
    }
    rows: ClassVar[dict[str, int]] = {family: grove.rows for family, grove in groves.items()}
    origin_minutes: ClassVar[dict[str, int]] = Ridge.origin_minutes


BASELINES: dict[str, type[Any]] = {model.name: model for model in (Ridge, RandomForest, ExtraTrees)}
"""Baseline name → class; each is made from a budget."""
