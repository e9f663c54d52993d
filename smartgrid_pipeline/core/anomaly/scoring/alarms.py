"""When an alarm is on, and how many alarms that makes: hysteresis, merging, counting, peaks of a score."""

from dataclasses import dataclass

import numpy as np

from smartgrid_pipeline.core.anomaly.interval_array import Array, Flags
from smartgrid_pipeline.core.meter_data.runs import runs

MERGE_HOURS = 6
"""Alarms closer than this are one event."""

HYSTERESIS = 0.5
"""An alarm that is on goes off only below this share of its threshold."""

STANDING_DISTANCES = 28
"""A standing alarm counts again after this many merge distances: once a week with a distance of 6 h. A month
under alarm is not one single false alarm."""

MAX_PEAKS, MAX_CANDIDATES = 200, 400
"""Peaks returned for one score, and local maxima tried for them; far more than any false-alarm rate needs."""

MONTH_DAYS = 365.25 / 12
RULE_SCORE = 10.0
"""Fused score of an interval in which a rule's alarm is on, and the cap of all others."""


@dataclass(frozen=True)
class DetectorScore:
    """One detector's anomaly score per interval (−log10 p), its threshold, and what its alarm means.

    A threshold of infinity never raises an alarm. ``channels`` is empty where the detector uses all of them.
    """

    name: str
    layer: str
    alarm_class: str
    fault_class: str
    channels: tuple[str, ...]
    anomaly_score: Array
    threshold: float
    text: str

    def alarms(self) -> Flags:
        """Intervals in which this detector's alarm is on."""
        return hysteresis(self.anomaly_score, self.threshold)


def hysteresis(scores: Array, threshold: float, off_ratio: float = HYSTERESIS) -> Flags:
    """On from ``threshold`` up, off below ``off_ratio * threshold``, unchanged in between and where NaN."""
    state = np.zeros(len(scores), np.int8)
    with np.errstate(invalid="ignore"):
        state[scores >= threshold] = 1
        state[scores < off_ratio * threshold] = -1
    last = np.maximum.accumulate(np.where(state != 0, np.arange(len(state)), -1))
    return np.where(last >= 0, state[np.maximum(last, 0)] == 1, False)


def merged(flags: Flags, merge_distance: int) -> list[tuple[int, int]]:
    """Runs of flagged rows, joined where fewer than ``merge_distance`` rows lie between; end exclusive."""
    joined: list[tuple[int, int]] = []
    for start, end in runs(flags):
        if joined and start - joined[-1][1] < merge_distance:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


def count(flags: Flags, merge_distance: int) -> int:
    """Number of alarms: merged runs of flagged rows, long ones counted again after each STANDING_GAPS."""
    rows = np.flatnonzero(flags)
    if len(rows) == 0:
        return 0
    starts = np.concatenate([[0], np.flatnonzero(np.diff(rows) > merge_distance) + 1])
    lengths = rows[np.append(starts[1:], len(rows)) - 1] - rows[starts] + 1
    return int((1 + (lengths - 1) // (STANDING_DISTANCES * merge_distance)).sum())


def months(rows: int, rows_per_day: int) -> float:
    """Duration of ``rows`` working intervals in mean months."""
    return rows / rows_per_day / MONTH_DAYS


def dilate(flags: Flags, rows: int) -> Flags:
    """Rows that are flagged or at most ``rows`` away from a flagged one, on either side."""
    return np.convolve(flags.astype(float), np.ones(2 * rows + 1), "same") > 0.5


def peaks(scores: Array, merge_distance: int, off_ratio: float = 1.0) -> Array:
    """Thresholds at which a score raises at least 1, 2, 3 … alarms, highest first; at most MAX_PEAKS.

    An alarm lasts until the score stays below ``off_ratio`` times the threshold for ``merge_distance``, and a
    standing one counts as in ``count``: a week above a threshold is one alarm, however often the score moves
    in it.
    """
    known = np.nan_to_num(scores, nan=-np.inf)
    found: list[float] = []
    for peak in _local_maxima(known, merge_distance):
        on = known >= peak if off_ratio == 1.0 else hysteresis(scores, peak, off_ratio)
        found += [peak] * (count(on, merge_distance) - len(found))
        if len(found) >= MAX_PEAKS:
            break
    return np.array(found[:MAX_PEAKS])


def _local_maxima(known: Array, merge_distance: int) -> list[float]:
    """Distinct scores of rows that have no higher row within ``merge_distance``, highest first."""
    order = np.argsort(-known, kind="stable")[: max(2_000, len(known) // 20)]
    near_higher = np.zeros(len(known), bool)
    maxima: list[float] = []
    for row in order[np.isfinite(known[order])]:
        if not near_higher[row]:
            maxima.append(float(known[row]))
            if len(maxima) == MAX_CANDIDATES:
                break
            near_higher[max(0, row - merge_distance) : row + merge_distance + 1] = True
    return list(dict.fromkeys(maxima))


def fused_score(anomaly_scores: dict[str, Array], thresholds: dict[str, float], by_rule: Flags) -> Array:
    """One score per interval (float32): the largest ratio of a score to its threshold, RULE_SCORE where a
    rule's alarm is on.
    """
    ratios = [anomaly_scores[name] / thresholds[name] for name in thresholds]
    return np.where(by_rule, RULE_SCORE, np.fmin(np.fmax.reduce(ratios), RULE_SCORE)).astype(np.float32)
