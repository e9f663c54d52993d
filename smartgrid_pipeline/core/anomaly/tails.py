"""From any score to how rare it is: an empirical distribution with a generalised Pareto tail."""

from dataclasses import dataclass

import numpy as np

from smartgrid_pipeline.core.anomaly.stream import Array
from smartgrid_pipeline.core.schema import DataError

TAIL_SHARE = 0.005
"""The highest half per cent of the calibration scores is described by a generalised Pareto tail."""

CEILING = 12.0
"""Highest −log10 p handed out: beyond it every score is simply impossible."""


@dataclass(frozen=True)
class Tail:
    """Score → −log10 of the share of calibration scores at least as high; higher scores are rarer."""

    grid: Array
    levels: Array
    shape: float
    scale: float

    @classmethod
    def fit(cls, scores: Array, grid_size: int = 256) -> "Tail":
        """Describe calibration scores (NaN is left out). Raises DataError with fewer than 200 of them."""
        from scipy.stats import genpareto

        known = np.sort(scores[np.isfinite(scores)])
        if len(known) < 200:
            raise DataError(
                f"Too few scores to calibrate on: found {len(known)}, at least 200 are needed; "
                "give a longer calibration period."
            )
        grid, firsts = np.unique(
            np.quantile(known, np.linspace(0, 1 - TAIL_SHARE, grid_size)), return_index=True
        )
        levels = np.linspace(1.0, TAIL_SHARE, grid_size)[firsts]  # equal scores: as common as all of them
        above = known[known > grid[-1]] - grid[-1]
        if len(above) < 20 or above.max() <= 0:
            return cls(grid, levels, 0.0, max(float(known[-1] - known[0]), 1e-9) * 1e-3)
        shape, _, scale = genpareto.fit(above / above.mean(), floc=0)
        return cls(grid, levels, float(np.clip(shape, -0.2, 0.5)), float(scale * above.mean()))

    def rarity(self, scores: Array) -> Array:
        """−log10 p of each score, between 0 and CEILING; NaN stays NaN. Non-decreasing in the score."""
        body = -np.log10(np.interp(scores, self.grid, self.levels))
        over = np.maximum(scores - self.grid[-1], 0.0) / self.scale
        if abs(self.shape) < 1e-6:
            log_tail = -over
        else:
            log_tail = -np.log(np.maximum(1 + self.shape * over, 1e-300)) / self.shape
        tail = -np.log10(self.levels[-1]) - log_tail / np.log(10)
        return np.clip(np.where(scores > self.grid[-1], tail, body), 0.0, CEILING)
