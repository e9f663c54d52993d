"""The strong reference: LightGBM on the same minutes as the experts, a mean and nine quantiles per family."""

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
from smartgrid_pipeline.core.forecasting.baselines.samples import Rows, Sample
from smartgrid_pipeline.core.forecasting.leads import LeadGroup
from smartgrid_pipeline.core.learning import lightgbm_text
from smartgrid_pipeline.core.learning.storage import Arrays
from smartgrid_pipeline.core.schema import QUANTILES, Floats, Meter

Booster = Any  # lightgbm has no types


@dataclass(frozen=True)
class LightGBMParams:
    """How much a family learns from and how; validated on 2009."""

    rows: int
    origin_minutes: int
    trees: int
    leaves: int
    rate: float
    columns: int
    smallest_leaf: int
    share_of_columns: float = 0.5
    quantile_rows: int = 80_000
    quantile_trees: int = 120
    quantile_columns: int = 30

    def mean_settings(self, part: Sample) -> dict[str, Any]:
        """How the mean is boosted from a sample."""
        return {"objective": "regression", "num_leaves": self.leaves, "learning_rate": self.rate,
                **self._guards(part, self.smallest_leaf)}  # fmt: skip

    def spread_settings(self, part: Sample) -> dict[str, Any]:
        """How each quantile is boosted from a sample: fewer leaves, larger ones."""
        return {"objective": "quantile", "num_leaves": min(self.leaves, 15), "learning_rate": 0.1,
                **self._guards(part, 2 * self.smallest_leaf)}  # fmt: skip

    def _guards(self, part: Sample, smallest_leaf: int) -> dict[str, Any]:
        smallest = min(smallest_leaf, max(5, len(part.observed_kw) // 20))
        return {"min_data_in_leaf": smallest, "feature_fraction": self.share_of_columns}


LIGHTGBM_PARAMS = {
    "next_5min": LightGBMParams(320_000, 5, 400, 31, 0.06, 80, 40, 0.5, 120_000, 160, 60),
    "within_hour": LightGBMParams(120_000, 5, 150, 31, 0.08, 60, 100),
    "next_hour": LightGBMParams(320_000, 5, 350, 31, 0.06, 100, 40, 0.5, 110_000, 150, 60),
    "day_15min": LightGBMParams(220_000, 60, 150, 15, 0.05, 70, 400),
    "day_1h": LightGBMParams(140_000, 60, 170, 15, 0.05, 70, 300),
    "next_day": LightGBMParams(20_000, 60, 200, 5, 0.05, 70, 300, 0.3),
    "next_week": LightGBMParams(20_000, 60, 100, 3, 0.05, 70, 300, 0.3),
}

PILOT_ROWS, PILOT_TREES = 40_000, 60
"""A short first model finds the columns worth splitting on."""

BINS = 63
CURVE_STEP = 10

ENOUGH_DAYS = 365
"""With fewer days to learn from, fewer trees are grown."""


@dataclass(frozen=True)
class BoostedModel:
    """Boosters of one family: the mean, then QUANTILES, over some columns, corrections of a base."""

    columns: Columns
    base: TargetOffset
    boosters: tuple[Booster, ...]

    def raw(self, inputs: Floats) -> tuple[Floats, Floats]:
        """Mean (rows,) and quantiles (rows, 9) before calibration."""
        base = self.base(inputs)
        mean, *rest = (self._ask(booster, inputs) + base for booster in self.boosters)
        return mean, np.sort(np.stack(rest, -1), -1)

    def _ask(self, booster: Booster, inputs: Floats) -> Floats:
        kept = self.columns[: booster.num_feature()]
        return booster.predict(inputs[:, kept], num_threads=1).astype(np.float32)

    def predict(self, inputs: Floats, groups: Rows) -> tuple[Floats, Floats]:
        """Mean and quantiles."""
        return self.raw(inputs)

    def to_arrays(self, prefix: str) -> Arrays:
        """Plain arrays for an npz file; the boosters are their compressed texts."""
        trees = lightgbm_text.to_array(self.boosters)
        return {f"{prefix}.columns": self.columns, **self.base.to_arrays(prefix), f"{prefix}.trees": trees}

    @classmethod
    def from_arrays(cls, arrays: Arrays, prefix: str) -> Self:
        """The inverse of ``to_arrays``."""
        boosters = lightgbm_text.from_array(arrays[f"{prefix}.trees"])
        return cls(arrays[f"{prefix}.columns"], TargetOffset.from_arrays(arrays, prefix), boosters)


class LightGBM(PerLeadGroupForecaster):
    """Gradient boosting on the one-minute inputs."""

    name = "lightgbm"
    rows: ClassVar[dict[str, int]] = {family: plan.rows for family, plan in LIGHTGBM_PARAMS.items()}
    origin_minutes: ClassVar[dict[str, int]] = {
        family: plan.origin_minutes for family, plan in LIGHTGBM_PARAMS.items()
    }

    @classmethod
    def _read_family(cls, arrays: Arrays, prefix: str) -> LeadGroupModel:
        return BoostedModel.from_arrays(arrays, prefix)

    def _fit_family(
        self, family: LeadGroup, meter: Meter, learn: Sample, later: Sample, seed: int
    ) -> LeadGroupModel:
        plan, base = LIGHTGBM_PARAMS[family.name], TargetOffset.of(family, meter, learn)
        rank = self._rank_columns(plan, base, learn, seed)
        columns = rank[: plan.columns]
        mean = self._mean(family, plan, base, learn, later, columns, seed)
        few = rank[: plan.quantile_columns]
        part = learn.thinned(plan.quantile_rows)
        data = _dataset(part, base, few, self.settings(seed))
        settings = self.settings(seed) | plan.spread_settings(part)
        count = self.trees(plan.quantile_trees, learn)
        spread = (lightgbm.train(settings | {"alpha": level}, data, count) for level in QUANTILES)
        return BoostedModel(columns, base, tuple(lightgbm_text.slim(booster) for booster in (mean, *spread)))

    def _mean(
        self,
        family: LeadGroup,
        plan: LightGBMParams,
        base: TargetOffset,
        learn: Sample,
        later: Sample,
        columns: Columns,
        seed: int,
    ) -> Booster:
        """The mean. Two months of one season do not tell when to stop, so the later block only looks on."""
        settings = self.settings(seed) | plan.mean_settings(learn)
        data = _dataset(learn, base, columns, settings)
        losses: dict[str, dict[str, list[float]]] = {}
        watched = {"learn": data}
        if len(later.observed_kw):
            watched["later"] = _dataset(later, base, columns, settings).set_reference(data)
        booster = lightgbm.train(
            settings, data, self.trees(plan.trees, learn), list(watched.values()), list(watched),
            callbacks=[lightgbm.record_evaluation(losses)],
        )  # fmt: skip
        training, validation = (losses.get(name, {}).get("l2", []) for name in ("learn", "later"))
        self._curves += [
            {"step": k + 1, "family": family.name, "training": training[k],
             "validation": validation[k] if validation else None}
            for k in range(0, len(training), CURVE_STEP)
        ]  # fmt: skip
        return booster

    def _rank_columns(self, plan: LightGBMParams, base: TargetOffset, learn: Sample, seed: int) -> Columns:
        """Columns by the gain of a short first model, best first."""
        part = learn.thinned(PILOT_ROWS)
        settings = self.settings(seed) | plan.mean_settings(part) | {"learning_rate": 0.1}
        data = _dataset(part, base, np.arange(learn.inputs.shape[1]), settings)
        pilot = lightgbm.train(settings, data, self.trees(PILOT_TREES, learn))
        return np.argsort(-pilot.feature_importance("gain"), kind="stable")

    def trees(self, count: int, learn: Sample) -> int:
        """A short history affords fewer trees."""
        afforded = round(count * np.clip(learn.days / ENOUGH_DAYS, 0.2, 1))
        return min(afforded, self.budget.max_trees or afforded)

    def settings(self, seed: int) -> dict[str, Any]:
        """What all boosters share; no setting depends on clock or machine."""
        return {
            "seed": seed, "num_threads": self.budget.threads, "deterministic": True, "force_row_wise": True,
            "max_bin": BINS, "bin_construct_sample_cnt": 50_000, "bagging_fraction": 0.5, "bagging_freq": 1,
            "verbose": -1,
        }  # fmt: skip


def _dataset(part: Sample, base: TargetOffset, columns: Columns, settings: dict[str, Any]) -> Any:
    """A LightGBM data set of some columns, its target what the base leaves over."""
    target = part.observed_kw - base(part.inputs)
    inputs = np.ascontiguousarray(part.inputs[:, columns])
    return lightgbm.Dataset(
        np.ascontiguousarray(inputs), np.ascontiguousarray(target), weight=part.weights, params=settings
    )
