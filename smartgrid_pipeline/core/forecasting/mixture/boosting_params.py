"""Parameters of sub-meter boosting, and the fitting of its LightGBM models.

Sizes were chosen on 2009 (docs/training_log.md).
"""

from dataclasses import dataclass, replace
from typing import Any

import lightgbm
import numpy as np

from smartgrid_pipeline.core.forecasting.forecaster import TrainingBudget
from smartgrid_pipeline.core.schema import Floats, LeadInterval, Rows


@dataclass(frozen=True)
class TreeParams:
    """Size of one LightGBM model; ``column_share`` and ``row_share`` are drawn for each tree."""

    trees: int
    leaves: int
    rate: float
    smallest_leaf: int
    column_share: float
    row_share: float

    def settings(self, rows: int) -> dict[str, Any]:
        """LightGBM settings for a sample of ``rows``; leaves are smaller in a small sample."""
        return {
            "num_leaves": self.leaves,
            "learning_rate": self.rate,
            "min_data_in_leaf": min(self.smallest_leaf, max(5, rows // 50)),
            "feature_fraction": self.column_share,
            "bagging_fraction": self.row_share,
        }


@dataclass(frozen=True)
class LeadParams:
    """How one lead is fitted on at most ``rows`` rows, with ``columns`` selected features.

    Stage 1, on all rows: the ``remainder``, and each sub-meter with ``submeter_trees`` trees of that size.
    Stage 2, on the first ``total_rows`` of them: ``mean`` and ``median``; ``tail`` for the 10 % and 90 %
    quantiles, on a regular subsample of ``tail_rows``. The median has the most trees since it decides the
    absolute error. Rows of longer leads overlap more, so their leaves are larger. With ``corrects_latest``
    the models predict changes from the latest readings.
    """

    columns: int
    rows: int
    total_rows: int
    tail_rows: int
    remainder: TreeParams
    submeter_trees: int
    mean: TreeParams
    median: TreeParams
    tail: TreeParams
    corrects_latest: bool = False


LEAD_PARAMS = {
    LeadInterval(0, 5): LeadParams(
        columns=160,
        rows=1_400_000,
        total_rows=400_000,
        tail_rows=200_000,
        remainder=TreeParams(180, 63, 0.08, smallest_leaf=60, column_share=0.4, row_share=0.7),
        submeter_trees=100,
        mean=TreeParams(150, 63, 0.08, smallest_leaf=200, column_share=0.4, row_share=0.7),
        median=TreeParams(450, 63, 0.1, smallest_leaf=100, column_share=0.4, row_share=0.7),
        tail=TreeParams(220, 31, 0.1, smallest_leaf=100, column_share=0.4, row_share=0.7),
        corrects_latest=True,
    ),
    LeadInterval(0, 60): LeadParams(
        columns=160,
        rows=600_000,
        total_rows=400_000,
        tail_rows=200_000,
        remainder=TreeParams(300, 31, 0.05, smallest_leaf=500, column_share=0.25, row_share=0.5),
        submeter_trees=130,
        mean=TreeParams(150, 31, 0.05, smallest_leaf=500, column_share=0.25, row_share=0.5),
        median=TreeParams(400, 31, 0.1, smallest_leaf=500, column_share=0.3, row_share=0.7),
        tail=TreeParams(160, 31, 0.1, smallest_leaf=1_000, column_share=0.2, row_share=0.3),
    ),
}

KNOT_LEVELS = (0.1, 0.5, 0.9)
"""The quantiles that are boosted."""

FOLD_DAYS, FOLDS = 7, 2
"""Stage 1 has a model for the even weeks and one for the odd weeks."""

PILOT_ROWS, PILOT_TREES = 60_000, 60
"""Short pilot models select the features."""

SETTINGS: dict[str, Any] = {
    "bagging_freq": 1,
    "lambda_l2": 5.0,
    "max_bin": 63,
    "bin_construct_sample_cnt": 50_000,
    "feature_pre_filter": False,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}


@dataclass(frozen=True)
class BinnedTable:
    """Features (rows, columns) cut into bins once, for models of several targets."""

    data: Any
    budget: TrainingBudget

    @classmethod
    def of(cls, features: Floats, budget: TrainingBudget) -> "BinnedTable":
        """Cut features into bins."""
        settings = SETTINGS | {"seed": budget.seed, "num_threads": max(1, budget.threads)}
        return cls(lightgbm.Dataset(features, np.zeros(len(features)), params=settings).construct(), budget)

    def part(self, rows: Rows) -> "BinnedTable":
        """Some of the rows, by ascending index."""
        return BinnedTable(self.data.subset(rows).construct(), self.budget)

    def fit(self, target: Floats, params: TreeParams, objective: dict[str, Any]) -> Any:
        """A model of a target (rows,)."""
        trees = min(params.trees, self.budget.max_trees or params.trees)
        self.data.set_label(np.array(target))
        return lightgbm.train(self.data.params | params.settings(len(target)) | objective, self.data, trees)


def select_features(
    features: Floats, submeters_kw: Floats, params: LeadParams, budget: TrainingBudget
) -> Rows:
    """Columns of ``features`` (rows, all), ascending, with the highest gain in pilot models.

    Gains are summed over the sub-meters (rows, sub-meters).
    """
    table = BinnedTable.of(features, budget)
    pilot = replace(params.remainder, trees=PILOT_TREES, rate=0.1, leaves=31)
    gain = np.zeros(features.shape[1])
    for target in submeters_kw.T:
        gain += table.fit(target, pilot, {"objective": "regression"}).feature_importance("gain")
    return np.sort(np.argsort(-gain, kind="stable")[: params.columns])


def fit_submeters(table: BinnedTable, submeters_kw: Floats, params: LeadParams) -> tuple[Any, ...]:
    """A model of each sub-meter (rows, sub-meters); the last column is the remainder."""
    submeter = replace(params.remainder, trees=params.submeter_trees)
    sizes = [submeter] * (submeters_kw.shape[1] - 1) + [params.remainder]
    return tuple(
        table.fit(target, size, {"objective": "regression"})
        for target, size in zip(submeters_kw.T, sizes, strict=True)
    )


def fit_total(table: BinnedTable, target: Floats, params: LeadParams) -> tuple[Any, ...]:
    """Models of the mean, then of each of KNOT_LEVELS."""
    sample = np.arange(0, len(target), max(1, -(-len(target) // params.tail_rows)))
    tails = table.part(sample)
    models = [table.fit(target, params.mean, {"objective": "regression"})]
    for level in KNOT_LEVELS:
        objective = {"objective": "quantile", "alpha": level}
        if level == 0.5:
            models.append(table.fit(target, params.median, objective))
        else:
            models.append(tails.fit(target[sample], params.tail, objective))
    return tuple(models)
