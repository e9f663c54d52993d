"""Quantiles that mean what they say: residuals of a later block turned into intervals.

``ResidualQuantiles`` gives quantiles to a model that has only a mean; ``ConformalShift`` corrects quantiles a
model already has. Both are fitted on observations the model was not fitted on, and are a few small arrays.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from smartgrid_pipeline.core.forecasting.leads import RECALIBRATION, RESIDUALS, Groups
from smartgrid_pipeline.core.schema import QUANTILES, Floats

Arrays = dict[str, npt.NDArray[Any]]

SMALLEST_SAMPLE = 40
"""Fewer residuals than this say nothing about a 10 % tail."""


GROUP_COUNT = max(RESIDUALS.count, RECALIBRATION.count)


@dataclass(frozen=True)
class ResidualQuantiles:
    """Quantiles of observed − predicted by lead group and predicted level, linear between levels.

    ``levels_kw`` (groups, levels) mean prediction of each equally filled class, increasing;
    ``offsets_kw`` (groups, levels, 9). A group without a sample borrows the pooled residuals.
    """

    levels_kw: Floats
    offsets_kw: Floats

    @classmethod
    def fit(cls, predicted_kw: Floats, observed_kw: Floats, groups: Groups, levels: int = 12) -> Self:
        """Learn from a later block: all three broadcast to one shape; NaN observations are left out."""
        predicted, observed, groups = np.broadcast_arrays(predicted_kw, observed_kw, groups)
        seen = np.isfinite(observed) & np.isfinite(predicted)
        predicted, observed, groups = predicted[seen], observed[seen], groups[seen]
        if len(predicted) < SMALLEST_SAMPLE:
            pooled = np.zeros(levels), np.zeros((levels, len(QUANTILES)))
        else:
            pooled = _by_level(predicted, observed - predicted, levels)
        level_rows = np.repeat(pooled[0][None], GROUP_COUNT, 0)
        offset_rows = np.repeat(pooled[1][None], GROUP_COUNT, 0)
        for group in np.unique(groups):
            mine = groups == group
            if mine.sum() >= SMALLEST_SAMPLE:
                level_rows[group], offset_rows[group] = _by_level(
                    predicted[mine], (observed - predicted)[mine], levels
                )
        return cls(level_rows.astype(np.float32), offset_rows.astype(np.float32))

    @classmethod
    def none(cls) -> Self:
        """No errors at all: every quantile is the prediction."""
        return cls(np.zeros((GROUP_COUNT, 1), np.float32), np.zeros((GROUP_COUNT, 1, 9), np.float32))

    def apply(self, predicted_kw: Floats, groups: Groups) -> Floats:
        """Quantiles (…, 9) around predictions (…), not yet sorted or cut at zero."""
        predicted, groups = np.broadcast_arrays(predicted_kw, groups)
        levels, offsets = self.levels_kw[groups], self.offsets_kw  # (…, levels), (groups, levels, 9)
        last = levels.shape[-1] - 1
        above = np.minimum((levels < predicted[..., None]).sum(-1), last)
        below = np.maximum(above - 1, 0)
        low, high = (np.take_along_axis(levels, at[..., None], -1)[..., 0] for at in (below, above))
        step = np.where(high > low, high - low, 1)
        share = np.clip((predicted - low) / step, 0, 1)[..., None]
        between = (1 - share) * offsets[groups, below] + share * offsets[groups, above]
        return (predicted[..., None] + between).astype(np.float32)

    def to_arrays(self, prefix: str = "") -> Arrays:
        """Plain arrays for an npz or safetensors file."""
        return {f"{prefix}levels_kw": self.levels_kw, f"{prefix}offsets_kw": self.offsets_kw}

    @classmethod
    def from_arrays(cls, arrays: Arrays, prefix: str = "") -> Self:
        """The inverse of ``to_arrays``."""
        return cls(arrays[f"{prefix}levels_kw"], arrays[f"{prefix}offsets_kw"])


def _by_level(
    predicted: npt.NDArray[np.float64], residual: npt.NDArray[np.float64], levels: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Levels (levels,) and residual quantiles (levels, 9) of one group; fewer classes when data is short."""
    classes = int(np.clip(len(predicted) // SMALLEST_SAMPLE, 1, levels))
    order = np.argsort(predicted, kind="stable")
    parts = np.array_split(order, classes)
    centres = np.array([predicted[part].mean() for part in parts], np.float64)
    offsets = np.stack([np.quantile(residual[part], QUANTILES) for part in parts])
    fill = levels - classes  # np.interp wants one shape for all groups: repeat the last class
    return np.pad(centres, (0, fill), "edge"), np.pad(offsets, ((0, fill), (0, 0)), "edge")


@dataclass(frozen=True)
class ConformalShift:
    """Split-conformal correction per quantile and lead group, in units of the forecast's own 80 % width.

    ``shift`` (groups, 9): the share of q90 − q10 that is added to each quantile so that, on the block it was
    fitted on, each quantile is exceeded as often as it says.
    """

    shift: Floats

    @classmethod
    def fit(cls, quantiles_kw: Floats, observed_kw: Floats, groups: Groups) -> Self:
        """Learn from quantiles (…, 9), observations (…) and groups broadcast to (…); NaN is left out."""
        observed, groups = np.broadcast_arrays(observed_kw, groups)
        excess = (observed[..., None] - quantiles_kw) / _width(quantiles_kw)
        seen = np.isfinite(excess).all(-1)
        excess, groups = excess[seen], groups[seen]
        pooled = _own_quantiles(excess) if len(excess) >= SMALLEST_SAMPLE else np.zeros(len(QUANTILES))
        shift = np.repeat(pooled[None], GROUP_COUNT, 0)
        for group in np.unique(groups):
            mine = groups == group
            if mine.sum() >= SMALLEST_SAMPLE:
                shift[group] = _own_quantiles(excess[mine])
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
        """Plain arrays for an npz or safetensors file."""
        return {f"{prefix}calibration_shift": self.shift}

    @classmethod
    def from_arrays(cls, arrays: Arrays, prefix: str = "") -> Self:
        """The inverse of ``to_arrays``."""
        return cls(arrays[f"{prefix}calibration_shift"])


def _width(quantiles_kw: Floats) -> Floats:
    """Width of the 80 % interval, (…, 1), never quite 0."""
    return np.maximum(quantiles_kw[..., -1:] - quantiles_kw[..., :1], 1e-3)


def _own_quantiles(excess: Floats) -> npt.NDArray[np.float64]:
    """The k-th quantile of column k."""
    return np.array([np.quantile(excess[:, k], q) for k, q in enumerate(QUANTILES)])
