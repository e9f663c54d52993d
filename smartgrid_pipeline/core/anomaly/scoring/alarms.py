"""From many voices to few alarms: a budget of false alarms, hysteresis, and events people can read.

A voice is one score over the working intervals, already expressed as −log10 of how rare it is. Its threshold
is not a contamination guess but the price of a promise: so many false alarms a month on an earlier year.
"""

from dataclasses import dataclass, field

import numpy as np

from smartgrid_pipeline.core.anomaly.interval_array import Array, Flags
from smartgrid_pipeline.core.meter_data.runs import runs

MERGE_HOURS = 6
"""Alarms closer than this are one event."""

HYSTERESIS = 0.5
"""An alarm that is on goes off only below this share of its threshold."""

STANDING_GAPS = 28
"""An alarm that stands counts again each time it has stood for so many gaps: each week, at 6 h a gap. A month
under alarm is no single false alarm."""

MOST_PEAKS, MOST_TOPS = 200, 400
"""Events of one score that are told apart, and tops tried for them; a budget is far below this many."""

MONTH_DAYS = 365.25 / 12


@dataclass(frozen=True)
class DetectorScore:
    """One monitor's rarity per interval and what its alarm means; ``threshold`` inf: never raised."""

    name: str
    layer: str
    alarm_class: str
    fault_class: str
    channels: tuple[str, ...]
    rarity: Array
    threshold: float
    text: str
    details: dict[str, Array] = field(default_factory=dict)

    def alarms(self) -> Flags:
        """Intervals in which this voice is raised."""
        return hysteresis(self.rarity, self.threshold)


def hysteresis(rarity: Array, threshold: float, hold: float = HYSTERESIS) -> Flags:
    """On from ``threshold`` up, off below ``hold`` of it, and unchanged between or where unknown."""
    state = np.zeros(len(rarity), np.int8)
    with np.errstate(invalid="ignore"):
        state[rarity >= threshold] = 1
        state[rarity < hold * threshold] = -1
    last = np.maximum.accumulate(np.where(state != 0, np.arange(len(state)), -1))
    return np.where(last >= 0, state[np.maximum(last, 0)] == 1, False)


def merged(flags: Flags, gap_rows: int) -> list[tuple[int, int]]:
    """Runs of flagged rows, joined where fewer than ``gap_rows`` quiet rows lie between; end exclusive."""
    joined: list[tuple[int, int]] = []
    for start, end in runs(flags):
        if joined and start - joined[-1][1] < gap_rows:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


def peaks(rarity: Array, gap_rows: int, hold: float = 1.0) -> Array:
    """Heights at which a score has at least 1, 2, 3 … separate events, highest first.

    An event lasts until the score is below ``hold`` of the height for ``gap_rows``: a week above a
    threshold is one event, however often the score moves in it; what stays on counts as in ``count``. At most
    MOST_PEAKS heights.
    """
    known = np.nan_to_num(rarity, nan=-np.inf)
    heights: list[float] = []
    for height in _tops(known, gap_rows):
        on = known >= height if hold == 1.0 else hysteresis(rarity, height, hold)
        heights += [height] * (count(on, gap_rows) - len(heights))
        if len(heights) >= MOST_PEAKS:
            break
    return np.array(heights[:MOST_PEAKS])


def _tops(known: Array, gap_rows: int) -> list[float]:
    """Heights of local tops, highest first: by height, each row not within ``gap_rows`` of one before."""
    order = np.argsort(-known, kind="stable")[: max(2_000, len(known) // 20)]
    taken = np.zeros(len(known), bool)
    heights: list[float] = []
    for row in order[np.isfinite(known[order])]:
        if not taken[row]:
            heights.append(float(known[row]))
            if len(heights) == MOST_TOPS:
                break
            taken[max(0, row - gap_rows) : row + gap_rows + 1] = True
    return list(dict.fromkeys(heights))


def threshold_for(heights: Array, events: float) -> float:
    """The threshold that a score with these peaks passes in about ``events`` separate events.

    Between two whole numbers the threshold is interpolated; below one event it lies above the highest peak,
    by a share of the spacing of the highest ones.
    """
    heights = heights[np.isfinite(heights)]
    if len(heights) == 0:
        return float("inf")
    if events < 1:
        return float(heights[0] - np.log10(max(events, 1e-3)))
    return float(np.interp(events, np.arange(1, len(heights) + 1), heights)) + 1e-9


def count(flags: Flags, gap_rows: int) -> int:
    """Number of alarms: merged events, long ones again after each STANDING_GAPS."""
    rows = np.flatnonzero(flags)
    if len(rows) == 0:
        return 0
    starts = np.concatenate([[0], np.flatnonzero(np.diff(rows) > gap_rows) + 1])
    lengths = rows[np.append(starts[1:], len(rows)) - 1] - rows[starts] + 1
    return int((1 + (lengths - 1) // (STANDING_GAPS * gap_rows)).sum())


def months(rows: int, rows_per_day: int) -> float:
    """Length of so many working intervals, in mean months."""
    return rows / rows_per_day / MONTH_DAYS


@dataclass(frozen=True)
class CalibrationScores:
    """What a voice said of healthy readings: its peaks, over how many months, and its rarities; on the later
    rows, and on all rows it could be heard on, which for what was trained on the earlier ones are the later.
    """

    heights: Array
    months: float
    later: Array
    settled: Array | None = None
    most: float = np.inf
    """A rarity from which on it is a fault whatever the budget."""


def calibrate(
    heard: dict[str, CalibrationScores],
    shares: dict[str, float],
    budget_per_month: float,
    later_months: float,
    gap_rows: int,
) -> dict[str, float]:
    """Thresholds of all voices that together spend a budget.

    Each voice gets its share, over the months it was heard; because events of several voices merge, all are
    scaled by one factor until the union meets the budget as closely as whole events allow.
    """
    whole = sum(shares[name] for name in heard)
    thresholds: dict[str, float] = {}
    low, high = 0.1, 10.0
    for _ in range(14):
        factor = (low * high) ** 0.5
        thresholds = {
            name: min(
                threshold_for(voice.heights, factor * shares[name] / whole * budget_per_month * voice.months),
                voice.most,
            )
            for name, voice in heard.items()
        }
        if rate(heard, thresholds, later_months, gap_rows) > budget_per_month:
            high = factor
        else:
            low = factor
    return thresholds


def rate(
    heard: dict[str, CalibrationScores], thresholds: dict[str, float], later_months: float, gap_rows: int
) -> float:
    """Events a month of the union: of voices heard for long over all of that time, and what the others add to
    them on the later rows.
    """
    later = {name: hysteresis(voice.later, thresholds[name]) for name, voice in heard.items()}
    events = count(np.any(list(later.values()), axis=0), gap_rows)
    long = {name: voice for name, voice in heard.items() if voice.settled is not None}
    if not long:
        return events / later_months
    events -= count(np.any([later[name] for name in long], axis=0), gap_rows)
    settled = [hysteresis(voice.settled, thresholds[name]) for name, voice in long.items()]  # type: ignore[arg-type]
    months_heard = next(iter(long.values())).months
    return events / later_months + count(np.any(settled, axis=0), gap_rows) / months_heard


RULE_SCORE = 10.0


def fused_score(rarities: dict[str, Array], thresholds: dict[str, float], by_rule: Flags) -> Array:
    """One score per interval: the rarest voice over its own threshold, RULE_SCORE where a rule is raised."""
    shares = [rarities[name] / thresholds[name] for name in thresholds]
    return np.where(by_rule, RULE_SCORE, np.fmin(np.fmax.reduce(shares), RULE_SCORE)).astype(np.float32)


def near(flags: Flags, rows: int) -> Flags:
    """Rows that are flagged or within ``rows`` after or before a flagged one."""
    return np.convolve(flags.astype(float), np.ones(2 * rows + 1), "same") > 0.5
