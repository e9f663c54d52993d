"""Ridge regression per lead group: standardised features, and a daily shape that some of them scale."""

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt
from scipy import linalg

from smartgrid_pipeline.core.forecasting.baselines.per_lead_group import (
    LeadGroupModel,
    PerLeadGroupForecaster,
    TargetOffset,
    residual_quantiles,
)
from smartgrid_pipeline.core.forecasting.baselines.samples import Sample, feature_names
from smartgrid_pipeline.core.forecasting.leads import LEAD_GROUP_NAMES, SHORT_LEAD_GROUPS, LeadGroup
from smartgrid_pipeline.core.forecasting.recalibration import ResidualQuantiles
from smartgrid_pipeline.core.learning.storage import Arrays
from smartgrid_pipeline.core.schema import Doubles, Floats, Meter, Rows

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

LARGEST_INPUT = 8.0
"""Standardised features are cut at this many standard deviations: a line extrapolates without bound."""

_BLOCK = 16_384
_STORED = ("centre", "scale", "hour", "scaled", "harmonics", "weights")


@dataclass(frozen=True)
class RidgeModel:
    """Weights of one lead group, and the residual quantiles around its line.

    ``centre`` and ``scale`` (columns,) standardise the features; ``hour`` is the column of the target's hour,
    ``scaled`` those of SCALED_BY_HOUR; ``harmonics`` are 1, 2, … waves a day; ``weights`` (terms,) belong to
    the columns of ``terms``, the intercept last.

    Solved by own normal equations rather than ``sklearn.linear_model.Ridge``: the terms are never held for
    all rows at once, and a row gets the same bits alone as among others.
    """

    offset: TargetOffset
    centre: Doubles
    scale: Doubles
    hour: npt.NDArray[np.int64]
    scaled: npt.NDArray[np.int64]
    harmonics: npt.NDArray[np.int64]
    weights: Doubles
    errors: ResidualQuantiles

    @classmethod
    def fit(
        cls, offset: TargetOffset, names: tuple[str, ...], train: Sample, penalty: float, waves: int
    ) -> "RidgeModel":
        """Minimise weighted squared errors plus ``penalty`` × total sample weight × squared weights.

        ``names`` are the columns of ``train.inputs``; ``waves`` is the number of harmonics. The model has no
        residual quantiles yet.
        """
        centre, scale = _moments(train.inputs)
        scaled = np.array([names.index(name) for name in SCALED_BY_HOUR if name in names], np.int64)
        hour, harmonics = np.array(names.index("target_hour")), np.arange(1, waves + 1)
        model = cls(offset, centre, scale, hour, scaled, harmonics, np.zeros(0), ResidualQuantiles.none())
        target = (train.observed_kw - offset(train.inputs)).astype(np.float64)
        size = len(model.terms(train.inputs[:1])[0])
        gram, moment = np.zeros((size, size)), np.zeros(size)
        for begin in range(0, len(target), _BLOCK):
            block = slice(begin, begin + _BLOCK)
            terms = model.terms(train.inputs[block])
            weighted = terms * train.weights[block, None]
            gram += weighted.T @ terms
            moment += weighted.T @ target[block]
        cost = np.full(size, penalty * float(train.weights.sum()))
        cost[-1] = 0.0  # the intercept is free
        return replace(model, weights=linalg.solve(gram + np.diag(cost), moment, assume_a="pos"))

    def with_errors(self, errors: ResidualQuantiles) -> "RidgeModel":
        """The same line with these residual quantiles."""
        return replace(self, errors=errors)

    def terms(self, inputs: Floats) -> Doubles:
        """Regressors (rows, terms): standardised features (0 where unknown), harmonics, scaled ones, 1."""
        z = np.nan_to_num((inputs - self.centre) / self.scale).clip(-LARGEST_INPUT, LARGEST_INPUT)
        angle = inputs[:, self.hour, None] * self.harmonics * (2 * np.pi / 24)
        waves = np.concatenate([np.sin(angle), np.cos(angle)], 1)
        scaled = (z[:, self.scaled, None] * waves[:, None, :]).reshape(len(z), -1)
        return np.concatenate([z, waves, scaled, np.ones((len(z), 1))], 1)

    def mean(self, inputs: Floats) -> Floats:
        """Mean power (kW) of each row."""
        blocks = (inputs[begin : begin + _BLOCK] for begin in range(0, len(inputs), _BLOCK))
        # einsum, unlike @, gives a row the same bits alone as among others
        parts = [np.einsum("ij,j->i", self.terms(block), self.weights) for block in blocks]
        return (np.concatenate([np.zeros(0), *parts]) + self.offset(inputs)).astype(np.float32)

    def predict(self, inputs: Floats, groups: Rows) -> tuple[Floats, Floats]:
        """Mean (rows,) and quantiles (rows, 9) in kW."""
        mean = self.mean(inputs)
        return mean, self.errors.apply(mean, groups)

    def to_arrays(self, prefix: str) -> Arrays:
        """Plain arrays for storage."""
        own = {f"{prefix}.{name}": getattr(self, name) for name in _STORED}
        return own | self.offset.to_arrays(prefix) | self.errors.to_arrays(f"{prefix}.")

    @classmethod
    def from_arrays(cls, arrays: Arrays, prefix: str) -> Self:
        """The inverse of ``to_arrays``."""
        own = {name: arrays[f"{prefix}.{name}"] for name in _STORED}
        errors = ResidualQuantiles.from_arrays(arrays, f"{prefix}.")
        return cls(offset=TargetOffset.from_arrays(arrays, prefix), errors=errors, **own)


def _moments(inputs: Floats) -> tuple[Doubles, Doubles]:
    """Mean and standard deviation of each column's known values; 0 and 1 where none is known."""
    known = np.isfinite(inputs)
    count = np.maximum(known.sum(0), 1)
    centre = np.where(known, inputs, 0).sum(0, dtype=np.float64) / count
    square = np.where(known, inputs - centre.astype(np.float32), 0).astype(np.float32) ** 2
    scale = np.sqrt(square.sum(0, dtype=np.float64) / count)
    return centre, np.where(scale > 1e-6, scale, 1.0)


class Ridge(PerLeadGroupForecaster):
    """One ridge regression per lead group; its errors on the whole split give the quantiles."""

    name = "ridge"
    rows: ClassVar[dict[str, int]] = {
        "next_5min": 100_000, "within_hour": 100_000, "next_hour": 100_000, "day_15min": 150_000,
        "day_1h": 100_000, "next_day": 20_000, "next_week": 20_000,
    }  # fmt: skip
    penalties: ClassVar[dict[str, float]] = {
        group: 0.002 if group in SHORT_LEAD_GROUPS else 0.07 for group in LEAD_GROUP_NAMES
    }
    waves: ClassVar[dict[str, int]] = {
        "next_5min": 4, "within_hour": 4, "next_hour": 6, "day_15min": 6, "day_1h": 6, "next_day": 1,
        "next_week": 1,
    }  # fmt: skip

    def _fit_group(
        self, group: LeadGroup, meter: Meter, train: Sample, holdout: Sample, seed: int
    ) -> LeadGroupModel:
        return fit_ridge(group, meter, train, holdout)

    @classmethod
    def _read_group(cls, arrays: Arrays, prefix: str) -> LeadGroupModel:
        return RidgeModel.from_arrays(arrays, prefix)


def fit_ridge(group: LeadGroup, meter: Meter, train: Sample, holdout: Sample) -> RidgeModel:
    """The ridge regression of one lead group with residual quantiles.

    Training errors count among the residuals: so few weights per row hardly overfit.
    """
    offset, names = TargetOffset.for_group(group, meter, train), feature_names(meter, group)
    model = RidgeModel.fit(offset, names, train, Ridge.penalties[group.name], Ridge.waves[group.name])
    predicted = (model.mean(train.inputs), train), (model.mean(holdout.inputs), holdout)
    return model.with_errors(residual_quantiles(group, predicted))
