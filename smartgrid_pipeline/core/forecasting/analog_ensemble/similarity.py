"""How similar two moments of one meter are: levels before the origin, and the past days behind the target.

All are square roots of mean power (kW), causal: what a row holds was known when that row had ended.
"""

from typing import Self

import numpy as np
import numpy.typing as npt

from smartgrid_pipeline.core.features import calendar
from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.features.lags import DAY_MINUTES
from smartgrid_pipeline.core.features.rolling import mean_of_observed
from smartgrid_pipeline.core.meter_data.growing_array import GrowingArray
from smartgrid_pipeline.core.schema import Floats, Rows, Times

SPANS = {
    "last_hour": (0, 60),
    "last_2h": (0, 120),
    "last_4h": (0, 240),
    "2h_to_7h_ago": (120, 420),
    "7h_to_15h_ago": (420, 900),
    "18h_to_24h_ago": (1080, DAY_MINUTES),
    "last_day": (0, DAY_MINUTES),
    "day_before": (DAY_MINUTES, 2 * DAY_MINUTES),
    "last_3_days": (0, 3 * DAY_MINUTES),
    "last_7_days": (0, 7 * DAY_MINUTES),
    "last_28_days": (0, 28 * DAY_MINUTES),
    "day_a_week_ago": (6 * DAY_MINUTES, 7 * DAY_MINUTES),
}
"""Means of the minutes before an origin, from … to … minutes back."""

ORIGIN_NAMES = (*SPANS, "lowest_hour", "lowest_hour_7_days", "highest_hour")
"""Lowest and highest of the last 24 whole hours before the origin; the former also as a mean of days."""

TRACKS = ((60, 1), (60, 3), (60, 7), (180, 1), (180, 3), (180, 7), (180, 28))
"""The target's interval on the days before, widened by … minutes on both sides, mean of … days."""

TARGET_NAMES = (*(f"around_{pad}min_{days}_days" for pad, days in TRACKS), "same_weekday")

PADS = (*(pad for pad, _ in TRACKS), TRACKS[0][0])
"""How far each of TARGET_NAMES reaches beyond the interval, minutes."""

NAMES = ORIGIN_NAMES + TARGET_NAMES

WIDEST_TRACK = 60
"""Intervals wider than this have no time of the day; only the levels before the origin count for them."""

USUAL_SPREAD, PRIOR_COUNT = 0.3, 10
"""Spread of a home's levels over their mean, and how many values that prior weighs as much as."""

BACK_DAYS, AHEAD_DAYS = 400, 24
"""The calendar reaches this much beyond a history: targets lie ahead, matched days may lie before it."""


class OriginLevels:
    """ORIGIN_NAMES of every row: the levels before the origin at which the row has ended."""

    def __init__(self) -> None:
        self._values: GrowingArray[np.float32] = GrowingArray(np.float32, (len(ORIGIN_NAMES),))
        self._lowest: GrowingArray[np.float32] = GrowingArray(np.float32)

    @classmethod
    def transform(cls, history: History) -> Self:
        """Of a whole history."""
        block = cls()
        block.update(history)
        return block

    @property
    def values(self) -> Floats:
        """(n, ORIGIN_NAMES)."""
        return self._values.values

    def update(self, history: History, first: int = 0) -> None:
        """Take in rows ``first`` and later."""
        minutes, after = history.meter.working_minutes, np.arange(first, len(history.starts)) + 1
        columns = [
            history.interval_means(after - -(-far // minutes), far - near) for near, far in SPANS.values()
        ]
        hours = np.stack([history.interval_means(after - 60 * (k + 1) // minutes, 60) for k in range(24)])
        enough = np.isfinite(hours).sum(0) >= 12
        lowest = np.where(enough, np.fmin.reduce(hours), np.float32(np.nan))
        highest = np.where(enough, np.fmax.reduce(hours), np.float32(np.nan))
        self._lowest.write(first, lowest)
        week = _mean_over_days(self._lowest.values, 7, DAY_MINUTES // minutes, first)
        self._values.write(first, _root([*columns, lowest, week, highest]))


class TargetLevels:
    """TARGET_NAMES of the interval of one width that begins with each row.

    They are known when that interval, widened, has ended: until then NaN.
    """

    def __init__(self, width_minutes: int) -> None:
        self.width_minutes = width_minutes
        self._values: GrowingArray[np.float32] = GrowingArray(np.float32, (len(TARGET_NAMES),))
        self._wide = {pad: GrowingArray(np.float32) for pad in sorted(set(PADS))}

    @classmethod
    def transform(cls, history: History, width_minutes: int) -> Self:
        """Of a whole history."""
        block = cls(width_minutes)
        block.update(history)
        return block

    @property
    def values(self) -> Floats:
        """(n, TARGET_NAMES)."""
        return self._values.values

    def update(self, history: History, first: int = 0) -> None:
        """Take in rows ``first`` and later; intervals that were not over before are computed again."""
        n, minutes = len(history.starts), history.meter.working_minutes
        if self.width_minutes > WIDEST_TRACK:
            self._values.write(first, np.full((n - first, len(TARGET_NAMES)), np.nan, np.float32))
            return
        at = max(0, first - (self.width_minutes + max(PADS)) // minutes - 1)
        rows, day = np.arange(at, n), DAY_MINUTES // minutes
        for pad, wide in self._wide.items():
            wide.write(at, history.interval_means(rows - pad // minutes, self.width_minutes + 2 * pad))
        columns = [_mean_over_days(self._wide[pad].values, days, day, at) for pad, days in TRACKS]
        back = rows - 6 * day  # a week before the target, as it was the day before
        week_ago = self._wide[PADS[-1]].values[np.maximum(back, 0)]
        columns.append(np.where(back >= 0, week_ago, np.float32(np.nan)))
        self._values.write(at, _root(columns))


def origin_levels(history: History) -> Floats:
    """ORIGIN_NAMES of every row, (n, ORIGIN_NAMES), computed once for a history."""
    return history.block(OriginLevels).values


def target_levels(history: History, width_minutes: int) -> Floats:
    """TARGET_NAMES of every row for intervals of one width, (n, TARGET_NAMES), computed once for a
    history.
    """
    key = (TargetLevels, width_minutes)
    return history.cached(key, lambda: TargetLevels.transform(history, width_minutes)).values


def same_day_type(history: History, targets: Times, ages: Rows) -> tuple[Floats, Floats]:
    """Whether the day so many days before each target has its weekday, and whether both are days off or both
    working days: (…, ages) each, 0 or 1. Days off are weekends and public holidays.
    """

    def build() -> tuple[np.datetime64, Rows, npt.NDArray[np.bool_]]:
        days = np.arange(
            history.starts[0].astype("datetime64[D]") - BACK_DAYS,
            history.end.astype("datetime64[D]") + AHEAD_DAYS,
        )
        return days[0], calendar.weekday(days), calendar.is_day_off(days, history.meter)

    first_day, weekday, is_off = history.cached("day types", build)
    at = (targets.astype("datetime64[D]") - first_day).astype(np.int64)[..., None]
    at = np.minimum(at, len(weekday) - 1)  # a very late meter
    then = np.maximum(at - ages, 0)
    return (weekday[at] == weekday[then]).astype(np.float32), (is_off[at] == is_off[then]).astype(np.float32)


def spreads(history: History, start: np.datetime64, end: np.datetime64, width_minutes: int) -> Floats:
    """Spread of each of NAMES by hour of the day, (24, NAMES), over the rows that start in [start, end)."""
    block = slice(*np.searchsorted(history.starts, [start, end]))
    starts = history.starts[block]
    origin, target = origin_levels(history)[block], target_levels(history, width_minutes)[block]
    return np.concatenate([_by_hour(origin, starts + history.step), _by_hour(target, starts)], 1)


def _by_hour(values: Floats, times: Times) -> Floats:
    """Standard deviation of each column by hour of the day, never quite 0, shrunk to USUAL_SPREAD where few
    values are known, (24, columns).
    """
    hours = calendar.minute_of_day(times) // 60
    out = np.ones((24, values.shape[1]), np.float32)
    for hour in np.unique(hours):
        mine = values[hours == hour]
        centre, count = mean_of_observed(mine.T), np.isfinite(mine).sum(0)
        variance = np.nan_to_num(mean_of_observed(((mine - centre) ** 2).T))
        usual = (USUAL_SPREAD * np.nan_to_num(centre, nan=1.0)) ** 2
        mixed = (count * variance + PRIOR_COUNT * usual) / (count + PRIOR_COUNT)
        out[hour] = np.maximum(np.sqrt(mixed), 1e-3)
    return out


def _root(columns: list[Floats]) -> Floats:
    return np.sqrt(np.maximum(np.stack(columns, -1), 0)).astype(np.float32)


def _mean_over_days(values: Floats, days: int, per_day: int, first: int) -> Floats:
    """Mean of a row and the same row of the days before it, as far as they are known, of rows ``first`` and
    later.
    """
    total, count = np.zeros(len(values) - first), np.zeros(len(values) - first)
    for k in range(days):
        begin = max(first, k * per_day)
        earlier = values[begin - k * per_day : max(len(values) - k * per_day, 0)]
        known = np.isfinite(earlier)
        total[begin - first :] += np.where(known, earlier, 0)
        count[begin - first :] += known
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(count > 0, total / count, np.nan).astype(np.float32)
