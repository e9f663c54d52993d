"""The strong reference: LightGBM on the same minutes as the experts, a mean and nine quantiles per family."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import lightgbm
import numpy as np

from smartgrid_pipeline.core.models.calibration import ConformalShift
from smartgrid_pipeline.core.models.forecaster import Floats
from smartgrid_pipeline.core.models.regressions import Base, Columns, FamilyForecaster, FamilyModel
from smartgrid_pipeline.core.models.samples import Family, Rows, Sample
from smartgrid_pipeline.core.models.storage import Arrays
from smartgrid_pipeline.core.schema import QUANTILES, Meter

Booster = Any  # lightgbm has no types


@dataclass(frozen=True)
class Plan:
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

    def mean_settings(self) -> dict[str, Any]:
        """How the mean is boosted."""
        return {"objective": "regression", "num_leaves": self.leaves, "learning_rate": self.rate,
                "min_data_in_leaf": self.smallest_leaf,
                "feature_fraction": self.share_of_columns}  # fmt: skip

    def spread_settings(self) -> dict[str, Any]:
        """How each quantile is boosted: fewer leaves, larger ones."""
        return {"objective": "quantile", "num_leaves": min(self.leaves, 15), "learning_rate": 0.1,
                "min_data_in_leaf": 2 * self.smallest_leaf,
                "feature_fraction": self.share_of_columns}  # fmt: skip


PLANS = {
    "next_5min": Plan(220_000, 5, 400, 31, 0.06, 80, 40),
    "within_hour": Plan(120_000, 5, 150, 31, 0.08, 60, 100),
    "next_hour": Plan(220_000, 5, 300, 31, 0.06, 80, 40),
    "day_15min": Plan(200_000, 60, 150, 15, 0.05, 70, 400, 0.2),
    "day_1h": Plan(120_000, 60, 150, 15, 0.05, 70, 300, 0.2),
    "next_day": Plan(20_000, 60, 200, 5, 0.05, 70, 300, 0.3),
    "next_week": Plan(20_000, 60, 100, 5, 0.05, 70, 300, 0.3),
}

PILOT_ROWS, PILOT_TREES = 40_000, 60
"""A short first model finds the columns worth splitting on."""

QUANTILE_COLUMNS = 30
PATIENCE = 30
BINS = 63


@dataclass(frozen=True)
class BoostedFamily:
    """Boosters of one family: the mean, then QUANTILES, over some columns, corrections of a base."""

    columns: Columns
    base: Base
    boosters: tuple[Booster, ...]
    shift: ConformalShift

    def raw(self, inputs: Floats) -> tuple[Floats, Floats]:
        """Mean (rows,) and quantiles (rows, 9) before calibration."""
        base = self.base(inputs)
        mean, *rest = (self._ask(booster, inputs) + base for booster in self.boosters)
        return mean, np.sort(np.stack(rest, -1), -1)

    def _ask(self, booster: Booster, inputs: Floats) -> Floats:
        kept = self.columns[: booster.num_feature()]
        return booster.predict(inputs[:, kept], num_threads=1).astype(np.float32)

    def predict(self, inputs: Floats, groups: Rows) -> tuple[Floats, Floats]:
        """Mean and calibrated quantiles."""
        mean, quantiles = self.raw(inputs)
        return mean, self.shift.apply(quantiles, groups)

    def to_arrays(self, prefix: str) -> Arrays:
        """Plain arrays for an npz file; each booster is its own text."""
        texts = {
            f"{prefix}.booster_{k}": np.frombuffer(booster.model_to_string().encode(), np.uint8)
            for k, booster in enumerate(self.boosters)
        }
        shift = self.shift.to_arrays(f"{prefix}.")
        return {f"{prefix}.columns": self.columns, **self.base.to_arrays(prefix), **shift, **texts}

    @classmethod
    def from_arrays(cls, arrays: Arrays, prefix: str) -> Self:
        """The inverse of ``to_arrays``."""
        boosters = tuple(
            lightgbm.Booster(model_str=arrays[f"{prefix}.booster_{k}"].tobytes().decode())
            for k in range(1 + len(QUANTILES))
        )
        shift = ConformalShift.from_arrays(arrays, f"{prefix}.")
        return cls(arrays[f"{prefix}.columns"], Base.from_arrays(arrays, prefix), boosters, shift)


class LightGBM(FamilyForecaster):
    """Gradient boosting on the one-minute inputs."""

    name = "lightgbm"
    rows: ClassVar[dict[str, int]] = {family: plan.rows for family, plan in PLANS.items()}
    origin_minutes: ClassVar[dict[str, int]] = {family: plan.origin_minutes for family, plan in PLANS.items()}

    @classmethod
    def _read_family(cls, arrays: Arrays, prefix: str) -> FamilyModel:
        return BoostedFamily.from_arrays(arrays, prefix)

    def _fit_family(
        self, family: Family, meter: Meter, learn: Sample, later: Sample, seed: int
    ) -> FamilyModel:
        plan, base = PLANS[family.name], Base.of(family, meter, learn)
        target = learn.observed_kw - base(learn.inputs)
        rank = self._rank_columns(plan, learn, target, seed)
        boosters = [self._mean(family, plan, base, learn, later, rank[: plan.columns], seed)]
        few = rank[:QUANTILE_COLUMNS]
        some = slice(None, None, -(-len(target) // plan.quantile_rows))
        data = lightgbm.Dataset(
            learn.inputs[some][:, few], target[some], weight=learn.weights[some], params=self._settings(seed)
        )
        for level in QUANTILES:
            settings = self._settings(seed) | plan.spread_settings() | {"alpha": level}
            boosters.append(lightgbm.train(settings, data, self._trees(plan.quantile_trees)))
        model = BoostedFamily(rank[: plan.columns], base, tuple(boosters), ConformalShift.none())
        shift = ConformalShift.fit(model.raw(later.inputs)[1], later.observed_kw, later.groups)
        return replace(model, shift=shift)

    def _mean(
        self,
        family: Family,
        plan: Plan,
        base: Base,
        learn: Sample,
        later: Sample,
        columns: Columns,
        seed: int,
    ) -> Booster:
        """The mean, stopped where the later block no longer improves."""
        settings = self._settings(seed) | plan.mean_settings()
        data, check = (
            lightgbm.Dataset(part.inputs[:, columns], part.observed_kw - base(part.inputs),
                             weight=part.weights, params=settings)
            for part in (learn, later)
        )  # fmt: skip
        if not len(later.observed_kw):
            return lightgbm.train(settings, data, self._trees(plan.trees))
        losses: dict[str, dict[str, list[float]]] = {}
        booster = lightgbm.train(
            settings, data, self._trees(plan.trees), valid_sets=[check.set_reference(data)],
            valid_names=["later"],
            callbacks=[lightgbm.early_stopping(PATIENCE, verbose=False), lightgbm.record_evaluation(losses)],
        )  # fmt: skip
        self._curves += [{"step": step + 1, "family": family.name, "training": None, "validation": loss}
                         for step, loss in enumerate(losses["later"]["l2"])]  # fmt: skip
        return booster

    def _rank_columns(self, plan: Plan, learn: Sample, target: Floats, seed: int) -> Columns:
        """Columns by the gain of a short first model, best first."""
        some = slice(None, None, -(-len(target) // PILOT_ROWS))
        settings = self._settings(seed) | plan.mean_settings() | {"learning_rate": 0.1}
        data = lightgbm.Dataset(learn.inputs[some], target[some], weight=learn.weights[some], params=settings)
        pilot = lightgbm.train(settings, data, self._trees(PILOT_TREES))
        return np.argsort(-pilot.feature_importance("gain"), kind="stable")

    def _trees(self, count: int) -> int:
        return min(count, self.budget.max_trees or count)

    def _settings(self, seed: int) -> dict[str, Any]:
        """What all boosters share; no setting depends on clock or machine."""
        return {
            "seed": seed, "num_threads": self.budget.threads, "deterministic": True, "force_row_wise": True,
            "max_bin": BINS, "bin_construct_sample_cnt": 50_000, "bagging_fraction": 0.5, "bagging_freq": 1,
            "verbose": -1,
        }  # fmt: skip
