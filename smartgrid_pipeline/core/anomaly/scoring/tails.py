"""From any score to how rare it is: an empirical distribution with a Pareto tail, or a return period."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from smartgrid_pipeline.core.anomaly.interval_array import Array
from smartgrid_pipeline.core.anomaly.scoring import alarms
from smartgrid_pipeline.core.schema import DataError

TAIL_SHARE = 0.005
"""The highest half per cent of the calibration scores is described by a generalised Pareto tail."""

FEWEST_SCORES = 200
BELL_REACH = 10.0
"""A bell-shaped score hardly ever lies so many times farther above its median than its lower quartile below:
10 quartile distances are 6.7 standard deviations of a normal one."""

TAIL_EVENTS = 20
"""So many of the highest events tell how fast still higher ones get rarer."""

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
    def fit(cls, scores: Array, grid_size: int = 256) -> Self:
        """Describe calibration scores (NaN is left out). Raises DataError with fewer than 200 of them."""
        from scipy.stats import genpareto

        known = _known(scores)
        grid, levels = _body(known, grid_size)
        above = known[known > grid[-1]] - grid[-1]
        if len(above) < 20 or above.max() <= 0:
            return cls(grid, levels, 0.0, _spread(known))
        shape, _, scale = genpareto.fit(above / above.mean(), floc=0)
        return cls(grid, levels, float(np.clip(shape, -0.2, 0.5)), float(scale * above.mean()))

    @classmethod
    def of_returns(
        cls, scores: Array, gap_rows: int, may_be_faults: int = 0, bell_shaped: bool = False
    ) -> Self:
        """Describe a slow score by its events: a rarity r comes once in 10^r rows, however long it stays.

        NaN rows are no time at all. Where up to so many events ``may_be_faults``, those that stand apart from
        all others are no guide to what is usual, nor is what lies beyond the reach of a ``bell_shaped``
        score, however long it lasts. Raises DataError with fewer than 200 known rows.
        """
        known = _known(scores)
        if may_be_faults and bell_shaped:
            low, middle = np.quantile(known, [0.25, 0.5])
            scores = np.where(scores <= middle + BELL_REACH * (middle - low), scores, np.nan)
            known = _known(scores)
        grid, shares = _body(known, 256)
        heights = alarms.peaks(scores, gap_rows)
        lasting = LONGEST_FAULT_SHARE if may_be_faults else COMMON_SHARE
        heights = heights[heights > np.quantile(known, 1 - lasting)]  # what lasts is not rare
        if may_be_faults:
            spread = float(np.subtract(*np.quantile(known, [0.99, 0.5])))
            heights = heights[standing_apart(heights, spread, may_be_faults) :]
        if len(heights) == 0:
            return cls(grid, np.minimum(shares, 1.0), 0.0, _spread(known))
        tops, firsts = np.unique(heights[::-1], return_index=True)  # ascending
        rates = (len(heights) - firsts) / len(known)
        below = grid < tops[0]
        if below.any():  # the body meets the events at the lowest of them
            at = float(np.interp(tops[0], grid, shares))
            shares = shares ** (np.log(rates[0]) / np.log(min(at, 0.999)))
        highest = tops[-TAIL_EVENTS:]
        scale = float(highest.mean() - highest[0]) if len(highest) > 4 else 0.0
        if may_be_faults:  # few readings: a little beyond what was seen is not impossible
            scale = max(scale, 0.1 * float(known[-1] - known[0]))
        return cls(
            np.concatenate([grid[below], tops]),
            np.minimum.accumulate(np.concatenate([shares[below], rates])),
            0.0,
            max(scale, _spread(known)),
        )

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


COMMON_SHARE = 0.05
"""A score held for so much of the time is common, were it in one single event."""

LONGEST_FAULT_SHARE = 0.25
"""The same in readings that may hold faults: one of two weeks in a file of 100 days is no habit."""

APART = 7.0
"""A gap between neighbouring heights so many times the expected one: one in a thousand by chance."""


def standing_apart(heights: Array, spread: float, most: int) -> int:
    """How many of the highest events, up to ``most``, stand apart from the rest: by the gaps of an
    exponential tail, and beyond the ``spread`` of ordinary scores.
    """
    for top in range(min(most, len(heights) // 3), 0, -1):
        rest = heights[top : top + TAIL_EVENTS]
        usual_gap = (rest.mean() - rest[-1]) / top
        if heights[top - 1] - heights[top] > max(APART * usual_gap, spread / 2, 1e-9):
            return top
    return 0


def _known(scores: Array) -> Array:
    known = np.sort(scores[np.isfinite(scores)])
    if len(known) < FEWEST_SCORES:
        raise DataError(
            f"Too few scores to calibrate on: found {len(known)}, at least {FEWEST_SCORES} are needed; "
            "give a longer calibration period."
        )
    return known


def _body(known: Array, grid_size: int) -> tuple[Array, Array]:
    """Quantiles up to the tail and the share of scores at least as high."""
    quantiles = np.quantile(known, np.linspace(0, 1 - TAIL_SHARE, grid_size))
    grid, firsts = np.unique(quantiles, return_index=True)
    return grid, np.linspace(1.0, TAIL_SHARE, grid_size)[firsts]  # equal scores: as common as all of them


def _spread(known: Array) -> float:
    return max(float(known[-1] - known[0]), 1e-9) * 1e-3
