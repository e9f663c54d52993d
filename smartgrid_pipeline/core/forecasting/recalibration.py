"""Quantiles from past errors: around a mean (``ResidualQuantiles``), or as a correction (``QuantileShift``).

Both are fitted on forecasts that were made out of sample, and are a few small arrays.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from smartgrid_pipeline.core.forecasting.leads import RECALIBRATION, RESIDUALS, Groups
from smartgrid_pipeline.core.learning.storage import Arrays
from smartgrid_pipeline.core.schema import QUANTILES, Doubles, Floats

SMALLEST_SAMPLE = 40
"""Groups with fewer residuals use those of all groups: a 10 % tail of 40 is four of them."""

GROUP_COUNT = max(RESIDUALS.count, RECALIBRATION.count)


@dataclass(frozen=True)
class ResidualQuantiles:
    """Quantiles of observed − predicted power by group of leads and predicted level, linear between levels.

    ``levels_kw`` (groups, levels), increasing: mean prediction of classes of equally many residuals;
    ``offsets_kw`` (groups, levels, 9): QUANTILES of the residuals of each class. Groups with fewer than
    SMALLEST_SAMPLE residuals have those of all groups together.
    """

    levels_kw: Floats
    offsets_kw: Floats

    @classmethod
    def fit(cls, predicted_kw: Floats, observed_kw: Floats, groups: Groups, levels: int = 12) -> Self:
        """From out-of-sample predictions; the arrays broadcast to one shape, NaN observations are left out.

        ``groups`` are numbers below GROUP_COUNT, ``levels`` the number of classes. With fewer than
        SMALLEST_SAMPLE residuals in all, every quantile is the prediction.
        """
        predicted, observed, groups = np.broadcast_arrays(predicted_kw, observed_kw, groups)
        known = np.isfinite(observed) & np.isfinite(predicted)
        predicted, observed, groups = predicted[known], observed[known], groups[known]
        if len(predicted) < SMALLEST_SAMPLE:
            pooled = np.zeros(levels), np.zeros((levels, len(QUANTILES)))
        else:
            pooled = _by_level(predicted, observed - predicted, levels)
        level_rows = np.repeat(pooled[0][None], GROUP_COUNT, 0)
        offset_rows = np.repeat(pooled[1][None], GROUP_COUNT, 0)
        for group in np.unique(groups):
            rows = groups == group
            if rows.sum() >= SMALLEST_SAMPLE:
                residuals = (observed - predicted)[rows]
                level_rows[group], offset_rows[group] = _by_level(predicted[rows], residuals, levels)
        return cls(level_rows.astype(np.float32), offset_rows.astype(np.float32))

    @classmethod
    def none(cls) -> Self:
        """Before a fit: every quantile is the prediction."""
        return cls(np.zeros((GROUP_COUNT, 1), np.float32), np.zeros((GROUP_COUNT, 1, 9), np.float32))

    def apply(self, predicted_kw: Floats, groups: Groups) -> Floats:
        """Quantiles (…, 9) around predictions (…), not yet sorted or cut at zero."""
        predicted, groups = np.broadcast_arrays(predicted_kw, groups)
        levels, offsets = self.levels_kw[groups], self.offsets_kw  # (…, levels), (groups, levels, 9)
        last = levels.shape[-1] - 1
        above = np.minimum((levels < predicted[..., None]).sum(-1), last)
        below = np.maximum(above - 1, 0)
        low, high = (np.take_along_axis(levels, index[..., None], -1)[..., 0] for index in (below, above))
        step = np.where(high > low, high - low, 1)
        share = np.clip((predicted - low) / step, 0, 1)[..., None]
        between = (1 - share) * offsets[groups, below] + share * offsets[groups, above]
        return (predicted[..., None] + between).astype(np.float32)

    def to_arrays(self, prefix: str = "") -> Arrays:
        """Plain arrays for storage."""
        return {f"{prefix}levels_kw": self.levels_kw, f"{prefix}offsets_kw": self.offsets_kw}

    @classmethod
    def from_arrays(cls, arrays: Arrays, prefix: str = "") -> Self:
        """The inverse of ``to_arrays``."""
        return cls(arrays[f"{prefix}levels_kw"], arrays[f"{prefix}offsets_kw"])


def _by_level(predicted: Doubles, residual: Doubles, levels: int) -> tuple[Doubles, Doubles]:
    """Levels (levels,) and residual quantiles (levels, 9) of one group.

    A small group has fewer classes, of at least SMALLEST_SAMPLE residuals each; the last one is repeated.
    """
    classes = int(np.clip(len(predicted) // SMALLEST_SAMPLE, 1, levels))
    order = np.argsort(predicted, kind="stable")
    parts = np.array_split(order, classes)
    centres = np.array([predicted[part].mean() for part in parts], np.float64)
    offsets = np.stack([np.quantile(residual[part], QUANTILES) for part in parts])
    fill = levels - classes  # one shape for all groups
    return np.pad(centres, (0, fill), "edge"), np.pad(offsets, ((0, fill), (0, 0)), "edge")


@dataclass(frozen=True)
class QuantileShift:
    """Recalibration of quantile forecasts: what to add to each quantile, by group, in 80 % widths.

    ``shift`` (groups, 9): multiples of a forecast's q90 − q10. On the block it is fitted on, the
    share of observations below each quantile is then its level.

    Built like conformalised quantile regression (Romano, Patterson & Candès 2019), with two departures that
    cost its coverage guarantee. First, the empirical quantile is taken without the factor (n + 1) / n that
    makes coverage exact in finite samples, separately for each level and scaled by the width. Second, the
    block is not held out for it alone: the mixture's gate and blend weights are fitted on the same holdout.
    So this is quantile recalibration, not split-conformal prediction.
    """

    shift: Floats

    @classmethod
    def fit(cls, quantiles_kw: Floats, observed_kw: Floats, groups: Groups) -> Self:
        """From quantiles (…, 9) and observations (…) in kW and groups that broadcast to (…); NaN is left out.

        Groups with fewer than SMALLEST_SAMPLE observations get the shift of all groups together.
        """
        observed, groups = np.broadcast_arrays(observed_kw, groups)
        excess = (observed[..., None] - quantiles_kw) / _width(quantiles_kw)
        known = np.isfinite(excess).all(-1)
        excess, groups = excess[known], groups[known]
        pooled = (
            _quantile_of_each_level(excess) if len(excess) >= SMALLEST_SAMPLE else np.zeros(len(QUANTILES))
        )
        shift = np.repeat(pooled[None], GROUP_COUNT, 0)
        for group in np.unique(groups):
            rows = groups == group
            if rows.sum() >= SMALLEST_SAMPLE:
                shift[group] = _quantile_of_each_level(excess[rows])
        return cls(shift.astype(np.float32))

    @classmethod
    def none(cls) -> Self:
        """No correction."""
        return cls(np.zeros((GROUP_COUNT, len(QUANTILES)), np.float32))

    def apply(self, quantiles_kw: Floats, groups: Groups) -> Floats:
        """Corrected quantiles, the same shape (…, 9), not yet sorted or cut at zero."""
        groups = np.broadcast_to(groups, quantiles_kw.shape[:-1])
        return (quantiles_kw + self.shift[groups] * _width(quantiles_kw)).astype(np.float32)

    def to_arrays(self, prefix: str = "") -> Arrays:
        """Plain arrays for storage."""
        return {f"{prefix}calibration_shift": self.shift}

    @classmethod
    def from_arrays(cls, arrays: Arrays, prefix: str = "") -> Self:
        """The inverse of ``to_arrays``."""
        return cls(arrays[f"{prefix}calibration_shift"])


def _width(quantiles_kw: Floats) -> Floats:
    """Width of the 80 % interval, (…, 1) kW, at least 1 W."""
    return np.maximum(quantiles_kw[..., -1:] - quantiles_kw[..., :1], 1e-3)


def _quantile_of_each_level(excess: Floats) -> Doubles:
    """The quantile at the k-th level of column k, (9,)."""
    return np.array([np.quantile(excess[:, k], q) for k, q in enumerate(QUANTILES)])
