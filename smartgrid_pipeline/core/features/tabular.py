"""Rows and columns for regressions and trees: features of a forecast origin, and of a target interval.

All columns are computed from rows available at the origin, or from the calendar. NaN marks what was not
observed; trees take it as it is, other models fill it. Column order is that of the name functions.
"""

from collections.abc import Callable
from functools import lru_cache
from hashlib import sha256

import numpy as np

from smartgrid_pipeline.core.features import appliances, calendar, feature_table, submeters, switch_times
from smartgrid_pipeline.core.features.appliances import DutyCycles
from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.features.lags import (
    DAY_MINUTES,
    YEAR_DAYS,
    first_same_weekday,
    same_time,
    take,
)
from smartgrid_pipeline.core.features.rolling import mean_of_observed, median_of_observed
from smartgrid_pipeline.core.features.submeters import SubmeterLoads
from smartgrid_pipeline.core.features.switch_times import SwitchTimes
from smartgrid_pipeline.core.schema import (
    ACTIVE_POWER,
    REACTIVE_POWER,
    SUB_METERS,
    Floats,
    Meter,
    Rows,
    Times,
)

RECENT_MINUTES = 120
"""Working intervals of the last two hours are given one by one: mean, last, highest and lowest reading."""

READING_MINUTES = {ACTIVE_POWER: 20, REACTIVE_POWER: 8, **dict.fromkeys(SUB_METERS, 8)}
"""The single readings of the last minutes, where the meter is finer than the working interval."""

ROLLING_MINUTES = (15, 30, 180, 360, 720, 2880, 4320, 10080, 20160, 40320)
"""Mean power of the last minutes, up to 28 days; the last hour and day are among the 31 features."""

LAG_DAYS = 28
SINGLE_LAG_DAYS = 7
PAD_MINUTES = (60, 180)
"""Lags are also given of a wider interval: this much more on both sides."""

_BLOCK = 32_768  # origins at a time, so that memory stays bounded


# --- the origin -----------------------------------------------------------------------------------


def origin_names(meter: Meter, recent: bool = True) -> tuple[str, ...]:
    """Names of the columns of ``origin_features``."""
    return tuple(name for names, _ in _origin_parts(meter, recent) for name in names)


@lru_cache(maxsize=16)
def names_hash(meter: Meter) -> str:
    """A hash of the names of all columns: a model fitted on other columns must not be used with these."""
    names = (*origin_names(meter), *target_names(meter))
    return sha256("\n".join(names).encode()).hexdigest()[:12]


def origin_features(history: History, origins: Times, recent: bool = True) -> Floats:
    """Columns ``origin_names(meter, recent)`` of each origin, (origins, columns) float32, NaN if unobserved.

    The features and rolling means; with ``recent`` also the last two hours row by row, the last minutes one
    by one, how long loads have been in their state and what each sub-meter drew. An origin later than the
    history (a late meter) gets the rows there are, at their true age.
    """
    parts = _origin_parts(history.meter, recent)
    out = np.empty((len(origins), sum(len(names) for names, _ in parts)), np.float32)
    rows = history.rows(origins)
    for begin in range(0, len(rows), _BLOCK):
        block, at = rows[begin : begin + _BLOCK], 0
        for names, build in parts:
            out[begin : begin + len(block), at : at + len(names)] = build(history, block)
            at += len(names)
    return out


Part = tuple[tuple[str, ...], Callable[[History, Rows], Floats]]


def _origin_parts(meter: Meter, recent: bool) -> list[Part]:
    """Names and builder of each group of columns, in order; absent channels are absent groups."""
    rolling = [m for m in ROLLING_MINUTES if m % meter.working_minutes == 0 and m > meter.working_minutes]
    parts: list[Part] = [
        (feature_table.names(meter), lambda history, rows: take(history.features, rows)),
        (
            tuple(f"power_mean_{m}min_kw" for m in rolling),
            lambda history, rows: np.stack([_rolling_mean(history, rows, m) for m in rolling], -1),
        ),
    ]
    return parts + (_recent_parts(meter) if recent else [])


def _recent_parts(meter: Meter) -> list[Part]:
    count = RECENT_MINUTES // meter.working_minutes
    step = min(meter.step_minutes, meter.working_minutes)
    parts: list[Part] = [
        (
            tuple(f"power_row_{k}_kw" for k in range(count)),
            lambda history, rows: take(history.power_kw, rows[:, None] - np.arange(count)),
        ),
        (
            switch_times.names(meter),
            lambda history, rows: take(history.block(SwitchTimes).values, rows),
        ),
        (appliances.names(meter, step), lambda history, rows: history.block(DutyCycles).at_rows(rows)),
        (submeters.names(meter, step), lambda history, rows: history.block(SubmeterLoads).at_rows(rows)),
    ]
    if meter.step_minutes < meter.working_minutes:
        extremes = tuple(f"power_row_{k}_{w}_kw" for w in ("last", "highest", "lowest") for k in range(count))
        parts.append((extremes, lambda history, rows: _extremes(history, rows, count)))
        parts += [_readings_part(c, m // meter.step_minutes) for c, m in READING_MINUTES.items()
                  if c in meter.channels]  # fmt: skip
    return parts


def _readings_part(channel: str, count: int) -> Part:
    names = tuple(f"{channel}_reading_{k}" for k in range(count))
    return names, lambda history, rows: _last_readings(history, rows, channel, count)


def _rolling_mean(history: History, rows: Rows, minutes: int) -> Floats:
    width = minutes // history.meter.working_minutes
    return history.interval_means(rows + 1 - width, minutes)


def _extremes(history: History, rows: Rows, recent: int) -> Floats:
    """Last, highest and lowest reading inside each of the recent rows, (rows, 3 × recent)."""
    inside = take(history.within[ACTIVE_POWER], rows[:, None] - np.arange(recent))
    return np.concatenate(
        [inside[..., -1], np.fmax.reduce(inside, axis=-1), np.fmin.reduce(inside, axis=-1)], axis=1
    )


def _last_readings(history: History, rows: Rows, channel: str, count: int) -> Floats:
    """The last ``count`` single readings of a channel, latest first, (rows, count)."""
    within = history.within[channel]
    last = (rows + 1) * within.shape[1] - 1
    return take(within.reshape(-1), last[:, None] - np.arange(count))


# --- the target -----------------------------------------------------------------------------------


def target_names(meter: Meter) -> tuple[str, ...]:
    """Names of the columns of ``target_features``."""
    never = np.empty(0, "datetime64[m]")
    return (
        "lead_minutes",
        "lead_width_minutes",
        "target_hour",
        "target_weekday",
        *(f"target_{name}" for name in calendar.facts(never, meter)),
        *(f"target_{name}" for name in calendar.school_holidays(never, meter)),
        *(f"same_time_{k + 1}_kw" for k in range(SINGLE_LAG_DAYS)),
        *(f"same_time_{what}_kw" for what in ("mean_7", "mean_28", "median_28", "sd_28", "weekday_4")),
        *(f"same_time_wide_{pad}min_{what}_kw" for pad in PAD_MINUTES for what in ("1", "mean_7", "weekday")),
        "year_ago_kw",
        "year_ago_mean_15_kw",
    )


def target_features(history: History, origins: Times, start_minutes: Rows, width_minutes: int) -> Floats:
    """What is known beforehand of the intervals (t + start, t + start + width], one width for all: the lead,
    the calendar of the target, and the same time on earlier days (NaN where it was not observed).

    ``origins`` and ``start_minutes`` broadcast to a shape S; returns S + (len(target_names(meter)),) float32.
    """
    origins, start_minutes = np.broadcast_arrays(origins.astype("datetime64[m]"), start_minutes)
    shape, n = origins.shape, origins.size
    origins, start_minutes = origins.reshape(-1), start_minutes.reshape(-1)
    out = np.empty((n, len(target_names(history.meter))), np.float32)
    for begin in range(0, n, _BLOCK):
        at = slice(begin, begin + _BLOCK)
        columns = _calendar(history.meter, origins[at], start_minutes[at], width_minutes)
        columns += _same_time_lags(history, origins[at], start_minutes[at], width_minutes)
        out[at] = np.stack(columns, -1)
    return out.reshape(*shape, -1)


def _calendar(meter: Meter, origins: Times, start_minutes: Rows, width_minutes: int) -> list[Floats]:
    middle = origins + (start_minutes + width_minutes // 2).astype("timedelta64[m]")
    return [
        start_minutes.astype(np.float32),
        np.full(len(middle), width_minutes, np.float32),
        (calendar.minute_of_day(middle).astype(np.float32) / 60).astype(np.float32),
        calendar.weekday(middle).astype(np.float32),
        *calendar.facts(middle, meter).values(),
        *calendar.school_holidays(middle, meter).values(),
    ]


def _same_time_lags(
    history: History, origins: Times, start_minutes: Rows, width_minutes: int
) -> list[Floats]:
    """The columns of ``target_names`` about earlier days, each (pairs,)."""
    minutes = history.meter.working_minutes
    rows, day = history.rows(origins), DAY_MINUTES // minutes
    start, width = start_minutes // minutes, width_minutes // minutes

    def on_days(days: int, pad_minutes: int = 0) -> Floats:
        """Mean power of the interval on past days, widened by ``pad_minutes`` on both sides, (pairs,
        days).
        """
        pad = -(-pad_minutes // minutes)
        begins = same_time(rows + 1 + start - pad, start + width + pad, np.arange(days), day)
        return history.interval_means(begins, (width + 2 * pad) * minutes)

    single, end = on_days(LAG_DAYS), start_minutes + width_minutes
    mean = mean_of_observed(single)
    sd = np.sqrt(mean_of_observed((single - mean[:, None]) ** 2))
    weekdays = np.take_along_axis(single, first_same_weekday(end)[:, None] + 7 * np.arange(4), 1)
    columns = [*single[:, :SINGLE_LAG_DAYS].T, mean_of_observed(single[:, :7]), mean]
    columns += [median_of_observed(single), sd, mean_of_observed(weekdays)]
    for pad in PAD_MINUTES:
        wide = on_days(7, pad)
        weekday = np.take_along_axis(wide, first_same_weekday(end + pad)[:, None], 1)
        columns += [wide[:, 0], mean_of_observed(wide), weekday[:, 0]]
    back = (YEAR_DAYS + np.arange(-7, 8)) * day  # 52 weeks earlier, amid seven days before and after
    year = history.interval_means((rows + 1 + start)[:, None] - back, width_minutes)
    return [*columns, year[:, 7], mean_of_observed(year)]
