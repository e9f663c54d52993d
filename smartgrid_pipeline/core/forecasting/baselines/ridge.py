"""Ridge regression of one family: standardised inputs, and the day's shape as waves that others scale."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy import linalg

from smartgrid_pipeline.core.forecasting.baselines.per_lead_group import TargetOffset
from smartgrid_pipeline.core.forecasting.baselines.samples import Rows, Sample
from smartgrid_pipeline.core.forecasting.recalibration import ResidualQuantiles
from smartgrid_pipeline.core.learning.storage import Arrays
from smartgrid_pipeline.core.schema import Doubles, Floats

SCALED_BY_HOUR = (
    "same_time_mean_28_kw",
    "same_time_weekday_4_kw",
    "same_time_mean_7_kw",
    "same_time_1_kw",
    "active_power_kw",
    "power_1h_mean_kw",
    "power_24h_mean_kw",
    "power_mean_180min_kw",
    "power_mean_720min_kw",
    "power_before_jump_1000w",
    "sub_meter_1_kw",
    "sub_meter_2_kw",
    "sub_meter_3_kw",
    "target_is_weekend",
    "target_day_of_year_cos",
    "target_day_of_year_sin",
)
"""Columns whose weight may change with the target's hour of the day."""

FURTHEST = 8.0
"""Inputs this many standard deviations out are cut: a straight line has no business there."""

_BLOCK = 16_384


@dataclass(frozen=True)
class RidgeModel:
    """Weights of one family.

    ``centre``, ``scale`` (columns,); ``hour`` the column of the target's hour; ``scaled`` the columns of
    SCALED_BY_HOUR; ``weights`` over ``_terms``, the intercept last.
    """

    base: TargetOffset
    centre: Doubles
    scale: Doubles
    hour: npt.NDArray[np.int64]
    scaled: npt.NDArray[np.int64]
    waves: npt.NDArray[np.int64]
    weights: Doubles
    errors: ResidualQuantiles

    @classmethod
    def fit(
        cls, base: TargetOffset, names: tuple[str, ...], learn: Sample, penalty: float, waves: int
    ) -> "RidgeModel":
        """Solve the normal equations; ``penalty`` is per unit of weight in the sample. No errors yet."""
        centre, scale = _moments(learn.inputs)
        scaled = np.array([names.index(name) for name in SCALED_BY_HOUR if name in names], np.int64)
        hour, k = np.array(names.index("target_hour")), np.arange(1, waves + 1)
        model = cls(base, centre, scale, hour, scaled, k, np.zeros(0), ResidualQuantiles.none())
        target = (learn.observed_kw - base(learn.inputs)).astype(np.float64)
        size = len(model.terms(learn.inputs[:1])[0])
        gram, moment = np.zeros((size, size)), np.zeros(size)
        for begin in range(0, len(target), _BLOCK):
            at = slice(begin, begin + _BLOCK)
            terms = model.terms(learn.inputs[at])
            weighted = terms * learn.weights[at, None]
            gram += weighted.T @ terms
            moment += weighted.T @ target[at]
        cost = np.full(size, penalty * float(learn.weights.sum()))
        cost[-1] = 0.0  # the intercept is free
        return replace(model, weights=linalg.solve(gram + np.diag(cost), moment, assume_a="pos"))

    def with_errors(self, errors: ResidualQuantiles) -> "RidgeModel":
        """The same line with the errors its quantiles are made of."""
        return replace(self, errors=errors)

    def terms(self, inputs: Floats) -> Doubles:
        """Regressors (rows, terms): standardised inputs (0 where unknown), waves, scaled waves, 1."""
        z = np.nan_to_num((inputs - self.centre) / self.scale).clip(-FURTHEST, FURTHEST)
        angle = inputs[:, self.hour, None] * self.waves * (2 * np.pi / 24)
        waves = np.concatenate([np.sin(angle), np.cos(angle)], 1)
        scaled = (z[:, self.scaled, None] * waves[:, None, :]).reshape(len(z), -1)
        return np.concatenate([z, waves, scaled, np.ones((len(z), 1))], 1)

    def mean(self, inputs: Floats) -> Floats:
        """Mean power (kW) of each row."""
        parts = [np.einsum("ij,j->i", self.terms(inputs[begin : begin + _BLOCK]), self.weights)
                 for begin in range(0, len(inputs), _BLOCK)]  # fmt: skip  # a row alone = among others
        return (np.concatenate([np.zeros(0), *parts]) + self.base(inputs)).astype(np.float32)

    def predict(self, inputs: Floats, groups: Rows) -> tuple[Floats, Floats]:
        """Mean and quantiles."""
        mean = self.mean(inputs)
        return mean, self.errors.apply(mean, groups)

    def to_arrays(self, prefix: str) -> Arrays:
        """Plain arrays for an npz file."""
        own = {f"{prefix}.{name}": getattr(self, name) for name in _OWN}
        return own | self.base.to_arrays(prefix) | self.errors.to_arrays(f"{prefix}.")

    @classmethod
    def from_arrays(cls, arrays: Arrays, prefix: str) -> Self:
        """The inverse of ``to_arrays``."""
        own = {name: arrays[f"{prefix}.{name}"] for name in _OWN}
        errors = ResidualQuantiles.from_arrays(arrays, f"{prefix}.")
        return cls(base=TargetOffset.from_arrays(arrays, prefix), errors=errors, **own)


_OWN = ("centre", "scale", "hour", "scaled", "waves", "weights")


def _moments(inputs: Floats) -> tuple[Doubles, Doubles]:
    """Mean and standard deviation of each column as far as it is known; 0 and 1 where it is not."""
    seen = np.isfinite(inputs)
    count = np.maximum(seen.sum(0), 1)
    centre = np.where(seen, inputs, 0).sum(0, dtype=np.float64) / count
    square = np.where(seen, inputs - centre.astype(np.float32), 0).astype(np.float32) ** 2
    scale = np.sqrt(square.sum(0, dtype=np.float64) / count)
    return centre, np.where(scale > 1e-6, scale, 1.0)
