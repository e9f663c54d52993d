"""How alike two moments of one meter are: levels before the origin, and the past days behind the target.

All are square roots of mean power (kW), causal: what a row says was known when that row had ended.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from smartgrid_pipeline.core.features.feature_table import calendar
from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.features.tabular import Rows, nan_mean
from smartgrid_pipeline.core.schema import Floats, Times

DAY = 1440

SPANS = {
    "last_hour": (0, 60),
    "last_2h": (0, 120),
    "last_4h": (0, 240),
    "2h_to_7h_ago": (120, 420),
    "7h_to_15h_ago": (420, 900),
    "18h_to_24h_ago": (1080, DAY),
    "last_day": (0, DAY),
    "day_before": (DAY, 2 * DAY),
    "last_3_days": (0, 3 * DAY),
    "last_7_days": (0, 7 * DAY),
    "last_28_days": (0, 28 * DAY),
    "day_a_week_ago": (6 * DAY, 7 * DAY),
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

USUAL_SPREAD, BELIEF_COUNT = 0.3, 10
"""Spread of a home's levels over their mean, and how many values are believed as much as that."""

BACK_DAYS, AHEAD_DAYS = 400, 24
"""The calendar reaches this much beyond a history: targets lie ahead, matched days may lie before it."""


@dataclass(frozen=True)
class SimilarityFeatures:
    """What every row of a history says, for one width of target interval.

    ``origin`` (n, ORIGIN_NAMES) belongs to the row available at an origin; ``target`` (n, TARGET_NAMES) to
    the first row of an interval, and is known when that interval, widened, has ended. ``weekday`` and
    ``is_free`` (weekend or public holiday) belong to civil days from ``first_day`` on.
    """

    origin: Floats
    target: Floats
    weekday: Rows
    is_free: npt.NDArray[np.bool_]
    first_day: np.datetime64

    @classmethod
    def of(cls, history: History, width_minutes: int) -> "SimilarityFeatures":
        """Made once per history and width."""
        key = f"likeness for intervals of {width_minutes} min"
        if key not in history.derived:
            history.derived[key] = cls._build(history, width_minutes)
        return history.derived[key]

    @classmethod
    def _build(cls, history: History, width_minutes: int) -> "SimilarityFeatures":
        days = np.arange(
            history.starts[0].astype("datetime64[D]") - BACK_DAYS,
            history.end.astype("datetime64[D]") + AHEAD_DAYS,
        )
        facts = calendar(days.astype("datetime64[m]"), history.meter)
        free = facts["is_weekend"] + facts.get("is_public_holiday", np.zeros(len(days), np.float32)) > 0
        weekday = (days.astype(np.int64) + 3) % 7
        return cls(_origin(history), _target(history, width_minutes), weekday, free, days[0])

    def same(self, targets: Times, ages: Rows) -> tuple[Floats, Floats]:
        """Whether the day so many days before has the target's weekday, and its kind (free or not)."""
        at = (targets.astype("datetime64[D]") - self.first_day).astype(np.int64)[..., None]
        at = np.minimum(at, len(self.weekday) - 1)  # a very late meter
        then = np.maximum(at - ages, 0)
        kind = self.is_free[at] == self.is_free[then]
        return (self.weekday[at] == self.weekday[then]).astype(np.float32), kind.astype(np.float32)


def spreads(history: History, start: np.datetime64, end: np.datetime64, width_minutes: int) -> Floats:
    """Spread of each of NAMES by hour of the day, (24, NAMES), over a block of rows."""
    likeness = SimilarityFeatures.of(history, width_minutes)
    block = slice(*np.searchsorted(history.starts, [start, end]))
    starts = history.starts[block]
    return np.concatenate(
        [_by_hour(likeness.origin[block], starts + history.step), _by_hour(likeness.target[block], starts)], 1
    )


def _by_hour(values: Floats, times: Times) -> Floats:
    """Standard deviation of each column by hour of the day, never quite 0; few values are believed less
    than what is usual of such roots.
    """
    hours = (times - times.astype("datetime64[D]")).astype(np.int64) // 60
    out = np.ones((24, values.shape[1]), np.float32)
    for hour in np.unique(hours):
        mine = values[hours == hour]
        centre, count = nan_mean(mine.T), np.isfinite(mine).sum(0)
        variance = np.nan_to_num(nan_mean(((mine - centre) ** 2).T))
        usual = (USUAL_SPREAD * np.nan_to_num(centre, nan=1.0)) ** 2
        mixed = (count * variance + BELIEF_COUNT * usual) / (count + BELIEF_COUNT)
        out[hour] = np.maximum(np.sqrt(mixed), 1e-3)
    return out


def _root(columns: list[Floats]) -> Floats:
    return np.sqrt(np.maximum(np.stack(columns, -1), 0)).astype(np.float32)


def _origin(history: History) -> Floats:
    key = "levels before every origin"
    if key not in history.derived:
        minutes, after = history.meter.working_minutes, np.arange(len(history.starts)) + 1
        columns = [
            history.interval_means(after - -(-far // minutes), far - near) for near, far in SPANS.values()
        ]
        hours = np.stack([history.interval_means(after - 60 * (k + 1) // minutes, 60) for k in range(24)])
        seen = np.isfinite(hours).sum(0) >= 12
        lowest = np.where(seen, np.fmin.reduce(hours), np.float32(np.nan))
        highest = np.where(seen, np.fmax.reduce(hours), np.float32(np.nan))
        history.derived[key] = _root(
            [*columns, lowest, _over_days(lowest, 7, DAY // minutes), highest],
        )
    return history.derived[key]


def _target(history: History, width_minutes: int) -> Floats:
    n, minutes = len(history.starts), history.meter.working_minutes
    if width_minutes > WIDEST_TRACK:
        return np.full((n, len(TARGET_NAMES)), np.nan, np.float32)
    wide = {
        pad: history.interval_means(np.arange(n) - pad // minutes, width_minutes + 2 * pad)
        for pad in sorted(set(PADS))
    }
    columns = [_over_days(wide[pad], days, DAY // minutes) for pad, days in TRACKS]
    week_ago = np.full(n, np.nan, np.float32)
    back = 6 * DAY // minutes  # from the day before the target
    week_ago[back:] = wide[PADS[-1]][: max(n - back, 0)]
    return _root([*columns, week_ago])


def _over_days(values: Floats, days: int, per_day: int) -> Floats:
    """Mean of a row and the same row of the days before it, as far as they are known."""
    seen = np.isfinite(values)
    one, total, count = np.where(seen, values, 0), np.zeros(len(values)), np.zeros(len(values))
    for k in range(days):
        total[k * per_day :] += one[: max(len(one) - k * per_day, 0)]
        count[k * per_day :] += seen[: max(len(one) - k * per_day, 0)]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(count > 0, total / count, np.nan).astype(np.float32)
