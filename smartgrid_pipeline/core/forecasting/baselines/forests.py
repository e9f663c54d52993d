"""Random forests and extremely randomised trees, with quantiles of their out-of-sample errors."""

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
    residual_quantiles,
)
from smartgrid_pipeline.core.forecasting.baselines.samples import Sample
from smartgrid_pipeline.core.forecasting.leads import LeadGroup
from smartgrid_pipeline.core.forecasting.recalibration import ResidualQuantiles
from smartgrid_pipeline.core.learning.packed_trees import PackedTrees
from smartgrid_pipeline.core.learning.storage import Arrays
from smartgrid_pipeline.core.schema import Floats, Meter, Rows

PILOT_ROWS, PILOT_TREES = 15_000, 10
"""Size of the pilot forest that selects columns."""

OUT_OF_BAG_ROWS = 40_000
"""Training rows whose out-of-bag errors are measured."""

FOLDS = 4


@dataclass(frozen=True)
class ForestParams:
    """Size of the forest of one lead group; chosen on 2009.

    ``rows`` bounds the training pairs, ``rows_per_tree`` the sample of each tree; the best ``columns`` of the
    pilot are kept, ``share_of_columns`` of them are tried at each split.
    """

    rows: int
    trees: int
    rows_per_tree: int
    smallest_leaf: int
    columns: int
    share_of_columns: float


@dataclass(frozen=True)
class ForestModel:
    """The forest of one lead group over some ``columns``; it predicts what the offset leaves."""

    columns: Columns
    offset: TargetOffset
    trees: PackedTrees
    errors: ResidualQuantiles

    def mean(self, inputs: Floats) -> Floats:
        """Mean power (kW) of each row."""
        return self.offset(inputs) + self.trees.predict(inputs[:, self.columns])

    def predict(self, inputs: Floats, groups: Rows) -> tuple[Floats, Floats]:
        """Mean (rows,) and quantiles (rows, 9) in kW."""
        mean = self.mean(inputs)
        return mean, self.errors.apply(mean, groups)

    def to_arrays(self, prefix: str) -> Arrays:
        """Plain arrays for storage."""
        return {f"{prefix}.columns": self.columns, **self.offset.to_arrays(prefix),
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


class _Forest(PerLeadGroupForecaster):
    """What both forests share."""

    params: ClassVar[dict[str, ForestParams]]
    estimator: ClassVar[type[Any]]

    def _fit_group(
        self, group: LeadGroup, meter: Meter, train: Sample, holdout: Sample, seed: int
    ) -> LeadGroupModel:
        params, offset = self.params[group.name], TargetOffset.for_group(group, meter, train)
        columns = self._select_columns(params, offset, train, seed)
        forest = self._fit_forest(params, offset, columns, train, seed)
        model = _packed(columns, offset, forest)
        predicted = [(model.mean(holdout.inputs), holdout)]
        if group.leads[0].width_minutes > 60:  # overlapping targets: a row's neighbours give its target away
            predicted += self._cross_fitted(params, offset, columns, train, seed)
        else:
            predicted.append(_out_of_bag(forest, model, train))
        return replace(model, errors=residual_quantiles(group, predicted))

    def _fit_forest(
        self, params: ForestParams, offset: TargetOffset, columns: Columns, train: Sample, seed: int
    ) -> Any:
        forest = self.estimator(
            n_estimators=min(params.trees, self.budget.max_trees or params.trees),
            max_features=params.share_of_columns,
            min_samples_leaf=params.smallest_leaf,
            max_samples=min(params.rows_per_tree, len(train.observed_kw)),
            bootstrap=True,
            random_state=seed,
            n_jobs=self.budget.threads,
        )
        target = train.observed_kw - offset(train.inputs)
        return forest.fit(train.inputs[:, columns], target, sample_weight=train.weights)

    def _cross_fitted(
        self, params: ForestParams, offset: TargetOffset, columns: Columns, train: Sample, seed: int
    ) -> list[tuple[Floats, Sample]]:
        """Means of each of FOLDS consecutive parts of the window by a forest fitted on the other parts."""
        rows = np.arange(len(train.observed_kw))
        predicted = []
        for fold in np.array_split(rows, FOLDS):
            others = train.select(np.setdiff1d(rows, fold))
            forest = self._fit_forest(
                replace(params, trees=-(-params.trees // 2)), offset, columns, others, seed
            )
            part = train.select(fold)
            predicted.append((_packed(columns, offset, forest).mean(part.inputs), part))
        return predicted

    def _select_columns(
        self, params: ForestParams, offset: TargetOffset, train: Sample, seed: int
    ) -> Columns:
        """The columns that reduce most variance in a pilot forest."""
        part = train.thinned(PILOT_ROWS)
        pilot = ExtraTreesRegressor(
            min(PILOT_TREES, self.budget.max_trees or PILOT_TREES),
            max_features=0.3,
            min_samples_leaf=20,
            random_state=seed,
            n_jobs=self.budget.threads,
        )
        pilot.fit(part.inputs, part.observed_kw - offset(part.inputs), sample_weight=part.weights)
        return np.argsort(-pilot.feature_importances_, kind="stable")[: params.columns]

    @classmethod
    def _read_group(cls, arrays: Arrays, prefix: str) -> LeadGroupModel:
        return ForestModel.from_arrays(arrays, prefix)


def _packed(columns: Columns, offset: TargetOffset, forest: Any) -> ForestModel:
    """A scikit-learn forest as a model, without residual quantiles yet."""
    trees = PackedTrees.from_sklearn([tree.tree_ for tree in forest.estimators_])
    return ForestModel(columns, offset, trees, ResidualQuantiles.none())


def _out_of_bag(forest: Any, model: ForestModel, train: Sample) -> tuple[Floats, Sample]:
    """Part of the sample, and its means over the trees not fitted on a row (NaN where all were)."""
    some = np.arange(0, len(train.observed_kw), -(-len(train.observed_kw) // OUT_OF_BAG_ROWS))
    part = train.select(some)
    values = model.trees.values(part.inputs[:, model.columns])
    for tree, rows in enumerate(forest.estimators_samples_):
        values[np.isin(some, rows), tree] = np.nan
    return mean_of_observed(values) + model.offset(part.inputs), part


class RandomForest(_Forest):
    """Random forest (Breiman 2001): each tree on a bootstrap sample of the rows."""

    name = "random_forest"
    estimator = RandomForestRegressor
    params: ClassVar[dict[str, ForestParams]] = {
        "next_5min": ForestParams(200_000, 12, 50_000, 5, 60, 0.33),
        "within_hour": ForestParams(100_000, 10, 30_000, 10, 40, 0.33),
        "next_hour": ForestParams(200_000, 15, 50_000, 5, 60, 0.33),
        "day_15min": ForestParams(150_000, 20, 50_000, 60, 40, 0.2),
        "day_1h": ForestParams(100_000, 20, 50_000, 50, 40, 0.2),
        "next_day": ForestParams(20_000, 40, 15_000, 60, 60, 0.2),
        "next_week": ForestParams(20_000, 40, 10_000, 60, 60, 0.2),
    }
    rows: ClassVar[dict[str, int]] = {group: each.rows for group, each in params.items()}


class ExtraTrees(_Forest):
    """Extremely randomised trees (Geurts 2006): random cuts, so that more trees fit into the same time."""

    name = "extra_trees"
    estimator = ExtraTreesRegressor
    params: ClassVar[dict[str, ForestParams]] = {
        "next_5min": ForestParams(200_000, 17, 80_000, 6, 80, 0.6),
        "within_hour": ForestParams(100_000, 16, 60_000, 10, 60, 0.6),
        "next_hour": ForestParams(200_000, 17, 80_000, 5, 80, 0.6),
        "day_15min": ForestParams(150_000, 24, 100_000, 40, 60, 0.4),
        "day_1h": ForestParams(100_000, 30, 80_000, 30, 60, 0.4),
        "next_day": ForestParams(20_000, 40, 15_000, 60, 60, 0.6),
        "next_week": ForestParams(20_000, 40, 10_000, 60, 60, 0.6),
    }
    rows: ClassVar[dict[str, int]] = {group: each.rows for group, each in params.items()}
