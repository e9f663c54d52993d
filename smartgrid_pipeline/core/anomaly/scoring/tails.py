"""From any score to a comparable anomaly score: −log10 of its tail probability, or of its rate of events.

The body of the calibration distribution is empirical. Above it stands, for ensemble members, a generalised
Pareto tail of the scores (peaks over threshold, Coles 2001, An Introduction to Statistical Modeling of
Extreme Values, ch. 4). Monitors are slow, and their rows are not independent: their anomaly score is −log10
of how many separate events a row reach a score, with an exponential tail of the peaks of these events.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from smartgrid_pipeline.core.anomaly.interval_array import Array
from smartgrid_pipeline.core.anomaly.scoring import alarms
from smartgrid_pipeline.core.schema import DataError

TAIL_SHARE = 0.005
"""The highest half per cent of the calibration scores is described by the Pareto tail."""

MIN_SCORES = 200
MAX_DEVIATIONS = 10.0
"""In a symmetric distribution hardly any score lies this many deviations above the median: a deviation is the
distance from the lower quartile to the median, and 10 of them are 6.7 standard deviations of a normal one."""

TAIL_EVENTS = 20
"""The exponential tail is fitted to this many of the highest events."""

CEILING = 12.0
"""Highest anomaly score: what is rarer than 1 in 10^12 is not told apart."""

COMMON_SHARE = 0.05
"""A level held for this share of the rows is common, even if in one single event."""

LONGEST_FAULT_SHARE = 0.25
"""The same in readings that may hold faults: a fault may last two weeks of a file of 100 days."""

ISOLATION_FACTOR = 7.0
"""Peaks are isolated where the distance below them is this many times the expected one: 1 in 1,000 by chance.
"""


@dataclass(frozen=True)
class Tail:
    """A fitted distribution of one score, of which higher values are rarer.

    ``grid`` (n,) are ascending scores. ``levels`` (n,) are the share of calibration rows at least as high
    (``fit``), or the number of separate events a row that reach the score (``fit_return_periods``). Above the
    grid is a Pareto tail with ``shape`` and ``scale`` (in units of the score); it is exponential at shape 0.
    """

    grid: Array
    levels: Array
    shape: float
    scale: float

    @classmethod
    def fit(cls, scores: Array, grid_size: int = 256) -> Self:
        """Fit to calibration scores, NaN left out. Raises DataError with fewer than MIN_SCORES."""
        from scipy.stats import genpareto

        known = _known(scores)
        grid, levels = _body(known, grid_size)
        above = known[known > grid[-1]] - grid[-1]
        if len(above) < 20 or above.max() <= 0:
            return cls(grid, levels, 0.0, _smallest_scale(known))
        shape, _, scale = genpareto.fit(above / above.mean(), floc=0)
        return cls(grid, levels, float(np.clip(shape, -0.2, 0.5)), float(scale * above.mean()))

    @classmethod
    def fit_return_periods(
        cls, scores: Array, merge_distance: int, may_be_faults: int = 0, symmetric: bool = False
    ) -> Self:
        """Fit to the peaks of separate events: an anomaly score s comes once in 10^s rows, however long it
        lasts.

        NaN rows do not count towards the return period. With ``may_be_faults`` = n, up to n isolated peaks
        are treated as faults and left out of the fit; with ``symmetric``, so is everything more than
        BELL_REACH lower-quartile distances above the median. Raises DataError with fewer than MIN_SCORES.
        """
        known = _known(scores)
        if may_be_faults and symmetric:
            lower_quartile, median = np.quantile(known, [0.25, 0.5])
            scores = np.where(scores <= median + MAX_DEVIATIONS * (median - lower_quartile), scores, np.nan)
            known = _known(scores)
        grid, levels = _body(known, 256)
        peaks = _rare_peaks(scores, known, merge_distance, may_be_faults)
        if len(peaks) == 0:
            return cls(grid, np.minimum(levels, 1.0), 0.0, _smallest_scale(known))
        tops, firsts = np.unique(peaks[::-1], return_index=True)  # ascending
        rates = (len(peaks) - firsts) / len(known)
        below = grid < tops[0]
        if below.any():  # the body is bent so that it meets the events at the lowest of them
            at = float(np.interp(tops[0], grid, levels))
            levels = levels ** (np.log(rates[0]) / np.log(min(at, 0.999)))
        highest = tops[-TAIL_EVENTS:]
        scale = float(highest.mean() - highest[0]) if len(highest) > 4 else 0.0
        if may_be_faults:  # few readings: a little beyond the highest of them is not impossible
            scale = max(scale, 0.1 * float(known[-1] - known[0]))
        return cls(
            np.concatenate([grid[below], tops]),
            np.minimum.accumulate(np.concatenate([levels[below], rates])),
            0.0,
            max(scale, _smallest_scale(known)),
        )

    def anomaly_score(self, scores: Array) -> Array:
        """−log10 of the level of each score, between 0 and CEILING; NaN stays NaN. Non-decreasing in the
        score.
        """
        body = -np.log10(np.interp(scores, self.grid, self.levels))
        over = np.maximum(scores - self.grid[-1], 0.0) / self.scale
        if abs(self.shape) < 1e-6:
            log_tail = -over
        else:
            log_tail = -np.log(np.maximum(1 + self.shape * over, 1e-300)) / self.shape
        tail = -np.log10(self.levels[-1]) - log_tail / np.log(10)
        return np.clip(np.where(scores > self.grid[-1], tail, body), 0.0, CEILING)


def fit_tails(scores: dict[str, Array], rows: Array | slice = slice(None)) -> dict[str, Tail]:
    """A tail of every score on the rows given. Raises DataError with fewer than MIN_SCORES rows."""
    return {name: Tail.fit(values[rows]) for name, values in scores.items()}


def anomaly_scores(tails: dict[str, Tail], scores: dict[str, Array]) -> dict[str, Array]:
    """The anomaly score of every score, by the tail of the same name."""
    return {name: tails[name].anomaly_score(values) for name, values in scores.items()}


def _rare_peaks(scores: Array, known: Array, merge_distance: int, may_be_faults: int) -> Array:
    """Peaks above all common levels, highest first; without the isolated ones where faults are expected."""
    peaks = alarms.peaks(scores, merge_distance)
    common = LONGEST_FAULT_SHARE if may_be_faults else COMMON_SHARE
    peaks = peaks[peaks > np.quantile(known, 1 - common)]
    if not may_be_faults:
        return peaks
    spread = float(np.subtract(*np.quantile(known, [0.99, 0.5])))
    return peaks[isolated_peaks(peaks, spread, may_be_faults) :]


def isolated_peaks(peaks: Array, spread: float, max_count: int) -> int:
    """How many of the highest peaks (``peaks``, highest first), up to ``max_count``, stand apart.

    The distance to the next peak is ISOLATION_FACTOR times what an exponential tail of the following
    TAIL_EVENTS peaks leads to expect, and more than half the ``spread`` between the median and the 99 %
    quantile of all scores.
    """
    for top in range(min(max_count, len(peaks) // 3), 0, -1):
        rest = peaks[top : top + TAIL_EVENTS]
        expected_distance = (rest.mean() - rest[-1]) / top
        if peaks[top - 1] - peaks[top] > max(ISOLATION_FACTOR * expected_distance, spread / 2, 1e-9):
            return top
    return 0


def _known(scores: Array) -> Array:
    known = np.sort(scores[np.isfinite(scores)])
    if len(known) < MIN_SCORES:
        raise DataError(
            f"Too few scores to calibrate on: found {len(known)}, at least {MIN_SCORES} are needed; "
            "give a longer calibration period."
        )
    return known


def _body(known: Array, grid_size: int) -> tuple[Array, Array]:
    """Quantiles of ascending scores up to the tail, and the share of scores at least as high as each."""
    quantiles = np.quantile(known, np.linspace(0, 1 - TAIL_SHARE, grid_size))
    grid, firsts = np.unique(quantiles, return_index=True)
    return grid, np.linspace(1.0, TAIL_SHARE, grid_size)[firsts]  # ties get the share of all of them


def _smallest_scale(known: Array) -> float:
    return max(float(known[-1] - known[0]), 1e-9) * 1e-3
