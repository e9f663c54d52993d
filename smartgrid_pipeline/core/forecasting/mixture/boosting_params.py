"""How boosted trees of the near leads are grown; sizes chosen on 2009 (docs/training_log.md)."""

from dataclasses import dataclass, replace
from typing import Any

import lightgbm
import numpy as np

from smartgrid_pipeline.core.forecasting.forecaster import TrainingBudget
from smartgrid_pipeline.core.schema import Floats, LeadInterval, Rows


@dataclass(frozen=True)
class TreeParams:
    """How one model is grown: how many trees of what kind."""

    trees: int
    leaves: int
    rate: float
    smallest_leaf: int
    columns: float
    share: float

    def settings(self, rows: int) -> dict[str, Any]:
        """LightGBM settings; leaves stay small beside a small sample."""
        return {
            "num_leaves": self.leaves,
            "learning_rate": self.rate,
            "min_data_in_leaf": min(self.smallest_leaf, max(5, rows // 50)),
            "feature_fraction": self.columns,
            "bagging_fraction": self.share,
        }


@dataclass(frozen=True)
class LeadParams:
    """How one lead is boosted: every circuit, then mean, median and both tails of the whole.

    ``circuit`` is how the rest is grown; a sub-meter takes ``sub_trees`` of the same kind. Absolute errors
    are judged by the median, so it gets more trees than the tails. The further the lead, the more its rows
    repeat each other, and the larger the leaves. Circuits learn from ``rows``, the whole from the first
    ``whole_rows`` of them, its tails from every so many of those that ``tail_rows`` are left.
    """

    columns: int
    rows: int
    whole_rows: int
    tail_rows: int
    circuit: TreeParams
    sub_trees: int
    mean: TreeParams
    median: TreeParams
    tail: TreeParams
    corrects_latest: bool = False


LEAD_PARAMS = {
    LeadInterval(0, 5): LeadParams(
        columns=160,
        rows=1_400_000,
        whole_rows=400_000,
        tail_rows=200_000,
        circuit=TreeParams(trees=180, leaves=63, rate=0.08, smallest_leaf=60, columns=0.4, share=0.7),
        sub_trees=100,
        mean=TreeParams(trees=150, leaves=63, rate=0.08, smallest_leaf=200, columns=0.4, share=0.7),
        median=TreeParams(trees=450, leaves=63, rate=0.1, smallest_leaf=100, columns=0.4, share=0.7),
        tail=TreeParams(trees=220, leaves=31, rate=0.1, smallest_leaf=100, columns=0.4, share=0.7),
        corrects_latest=True,
    ),
    LeadInterval(0, 60): LeadParams(
        columns=160,
        rows=600_000,
        whole_rows=400_000,
        tail_rows=200_000,
        circuit=TreeParams(trees=300, leaves=31, rate=0.05, smallest_leaf=500, columns=0.25, share=0.5),
        sub_trees=130,
        mean=TreeParams(trees=150, leaves=31, rate=0.05, smallest_leaf=500, columns=0.25, share=0.5),
        median=TreeParams(trees=400, leaves=31, rate=0.1, smallest_leaf=500, columns=0.3, share=0.7),
        tail=TreeParams(trees=160, leaves=31, rate=0.1, smallest_leaf=1_000, columns=0.2, share=0.3),
    ),
}

KNOT_LEVELS = (0.1, 0.5, 0.9)
"""The quantiles that are boosted."""

FOLD_DAYS, FOLDS = 7, 2
"""Every other week teaches the one half of a circuit's trees, the weeks between the other half."""

PILOT_ROWS, PILOT_TREES = 60_000, 60
"""Short first models find the columns worth splitting on."""

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
class Table:
    """Rows that models learn from (rows, columns), cut into bins once; targets come and go."""

    data: Any
    budget: TrainingBudget

    @classmethod
    def of(cls, seen: Floats, budget: TrainingBudget) -> "Table":
        """Bins of float columns."""
        settings = SETTINGS | {"seed": budget.seed, "num_threads": max(1, budget.threads)}
        return cls(lightgbm.Dataset(seen, np.zeros(len(seen)), params=settings).construct(), budget)

    def part(self, chosen: Rows) -> "Table":
        """Some of the rows, by ascending index."""
        return Table(self.data.subset(chosen).construct(), self.budget)

    def grow(self, target: Floats, growth: TreeParams, objective: dict[str, Any]) -> Any:
        """A model of a target (rows,)."""
        trees = min(growth.trees, self.budget.max_trees or growth.trees)
        self.data.set_label(np.array(target))
        return lightgbm.train(self.data.params | growth.settings(len(target)) | objective, self.data, trees)


def select_features(seen: Floats, parts_kw: Floats, plan: LeadParams, budget: TrainingBudget) -> Rows:
    """The columns of ``seen`` (rows, all) that explain most of all circuits (rows, circuits), ascending."""
    table = Table.of(seen, budget)
    growth = replace(plan.circuit, trees=PILOT_TREES, rate=0.1, leaves=31)
    gain = np.zeros(seen.shape[1])
    for part in parts_kw.T:
        gain += table.grow(part, growth, {"objective": "regression"}).feature_importance("gain")
    return np.sort(np.argsort(-gain, kind="stable")[: plan.columns])


def fit_submeters(table: Table, parts_kw: Floats, plan: LeadParams) -> tuple[Any, ...]:
    """A model of each circuit (rows, circuits), the rest last."""
    growths = [replace(plan.circuit, trees=plan.sub_trees)] * (parts_kw.shape[1] - 1) + [plan.circuit]
    return tuple(
        table.grow(part, growth, {"objective": "regression"})
        for part, growth in zip(parts_kw.T, growths, strict=True)
    )


def fit_total(table: Table, target: Floats, plan: LeadParams) -> tuple[Any, ...]:
    """A model of the mean, then of each of ANCHORS; the tails learn from at most their share of rows."""
    chosen = np.arange(0, len(target), max(1, -(-len(target) // plan.tail_rows)))
    tails = table.part(chosen)
    found = [table.grow(target, plan.mean, {"objective": "regression"})]
    for level in KNOT_LEVELS:
        objective = {"objective": "quantile", "alpha": level}
        if level == 0.5:
            found.append(table.grow(target, plan.median, objective))
        else:
            found.append(tails.grow(target[chosen], plan.tail, objective))
    return tuple(found)
