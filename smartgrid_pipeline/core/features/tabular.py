"""What a model may look at: the recent past of an origin, and what is known of a target beforehand.

Everything is read from rows available at the origin, or from the calendar. NaN marks what was not observed;
the trees take it as it is, the other models fill it. Column order is that of the name functions.
"""

from collections.abc import Callable
from functools import lru_cache
from hashlib import sha256

import numpy as np

from smartgrid_pipeline.core.features import appliances, feature_table, submeters, switching
from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.schema import (
    ACTIVE_POWER,
    REACTIVE_POWER,
    SUB_METERS,
    Floats,
    LeadInterval,
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

ANALOGUE_DAYS = 28
SINGLE_ANALOGUES = 7
PAD_MINUTES = (60, 180)
"""Analogues are also given over a wider interval: this much more on both sides."""

YEAR_DAYS = 364
"""Fifty-two weeks: the same weekday a year earlier."""

_BLOCK = 32_768  # origins at a time, so that memory stays bounded


# --- the origin -----------------------------------------------------------------------------------


def origin_names(meter: Meter, recent: bool = True) -> tuple[str, ...]:
    """Names of the columns of ``origin_inputs``."""
    return tuple(name for names, _ in _origin_parts(meter, recent) for name in names)


@lru_cache(maxsize=16)
def identity(meter: Meter) -> str:
    """A hash of the names of all columns: a model fitted on others must not be asked with these."""
    names = (*origin_names(meter), *target_names(meter))
    return sha256("\n".join(names).encode()).hexdigest()[:12]


def origin_inputs(history: History, origins: Times, recent: bool = True) -> Floats:
    """What is known at each origin, (origins, len(origin_names(meter, recent))) float32, NaN if unobserved.

    The features and rolling means; with ``recent`` also the last two hours row by row, the last minutes one
    by one, how long appliances have been in their state and what each circuit drew: the "1-minute inputs".
    An origin later than the history (a late meter) sees the rows there are, at their true age.
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
        (feature_table.names(meter), lambda history, rows: _take(history.features, rows)),
        (
            tuple(f"power_mean_{m}min_kw" for m in rolling),
            lambda history, rows: np.stack([_rolling(history, rows, m) for m in rolling], -1),
        ),
    ]
    return parts + (_recent_parts(meter) if recent else [])


def _recent_parts(meter: Meter) -> list[Part]:
    count = RECENT_MINUTES // meter.working_minutes
    parts: list[Part] = [
        (
            tuple(f"power_row_{k}_kw" for k in range(count)),
            lambda history, rows: _take(history.power_kw, rows[:, None] - np.arange(count)),
        ),
        (switching.names(meter), lambda history, rows: _take(switching.state(history), rows)),
        (appliances.names(meter, _reading_minutes(meter)), appliances.at_rows),
        (submeters.names(meter, _reading_minutes(meter)), submeters.at_rows),
    ]
    if meter.step_minutes < meter.working_minutes:
        extremes = tuple(f"power_row_{k}_{w}_kw" for w in ("last", "highest", "lowest") for k in range(count))
        parts.append((extremes, lambda history, rows: _extremes(history, rows, count)))
        parts += [_readings_part(c, m // meter.step_minutes) for c, m in READING_MINUTES.items()
                  if c in meter.channels]  # fmt: skip
    return parts


def _reading_minutes(meter: Meter) -> int:
    return min(meter.step_minutes, meter.working_minutes)


def _readings_part(channel: str, count: int) -> Part:
    names = tuple(f"{channel}_reading_{k}" for k in range(count))
    return names, lambda history, rows: _readings(history, rows, channel, count)


def _take(values: Floats, rows: Rows) -> Floats:
    """Rows of an array, NaN outside of it."""
    inside = (rows >= 0) & (rows < len(values))
    if not len(values):
        return np.full(rows.shape + values.shape[1:], np.nan, np.float32)
    taken = values[np.where(inside, rows, 0)]
    taken[~inside] = np.nan
    return taken


def _rolling(history: History, rows: Rows, minutes: int) -> Floats:
    width = minutes // history.meter.working_minutes
    return history.interval_means(rows + 1 - width, minutes)


def _extremes(history: History, rows: Rows, recent: int) -> Floats:
    """Last, highest and lowest reading inside each of the recent rows, (rows, 3 × recent)."""
    inside = _take(history.within[ACTIVE_POWER], rows[:, None] - np.arange(recent))
    return np.concatenate(
        [inside[..., -1], np.fmax.reduce(inside, axis=-1), np.fmin.reduce(inside, axis=-1)], axis=1
    )


def _readings(history: History, rows: Rows, channel: str, count: int) -> Floats:
    """The last ``count`` single readings of a channel, latest first."""
    within = history.within[channel]
    last = (rows + 1) * within.shape[1] - 1
    return _take(within.reshape(-1), last[:, None] - np.arange(count))


# --- the target -----------------------------------------------------------------------------------


def target_names(meter: Meter) -> tuple[str, ...]:
    """Names of the columns of ``target_inputs`` and ``pair_inputs``."""
    return (
        "lead_minutes",
        "lead_width_minutes",
        "target_hour",
        "target_weekday",
        *(f"target_{name}" for name in feature_table.calendar(np.empty(0, "datetime64[m]"), meter)),
        *(f"target_{name}" for name in feature_table.school_holidays(np.empty(0, "datetime64[m]"), meter)),
        *(f"analogue_{k + 1}_kw" for k in range(SINGLE_ANALOGUES)),
        *(f"analogue_{what}_kw" for what in ("mean_7", "mean_28", "median_28", "sd_28", "weekday_4")),
        *(f"analogue_wide_{pad}min_{what}_kw" for pad in PAD_MINUTES for what in ("1", "mean_7", "weekday")),
        "year_ago_kw",
        "year_ago_mean_15_kw",
    )


def target_inputs(history: History, origins: Times, leads: tuple[LeadInterval, ...]) -> Floats:
    """What is known of every lead interval at every origin: lead, calendar of the target, analogues.

    Shape (origins, leads, len(target_names(meter))) float32; NaN where an analogue was not observed.
    """
    out = np.empty((len(origins), len(leads), len(target_names(history.meter))), np.float32)
    for width in sorted({lead.width_minutes for lead in leads}):
        at = np.array([j for j, lead in enumerate(leads) if lead.width_minutes == width])
        starts = np.array([leads[j].start_minutes for j in at])
        out[:, at] = pair_inputs(history, origins[:, None], starts[None, :], width)
    return out


def pair_inputs(history: History, origins: Times, start_minutes: Rows, width_minutes: int) -> Floats:
    """``target_inputs`` of chosen pairs: the intervals (t + start, t + start + width], one width for all.

    ``origins`` and ``start_minutes`` broadcast to a shape S; returns S + (len(target_names(meter)),).
    """
    origins, start_minutes = np.broadcast_arrays(origins.astype("datetime64[m]"), start_minutes)
    shape, n = origins.shape, origins.size
    origins, start_minutes = origins.reshape(-1), start_minutes.reshape(-1)
    out = np.empty((n, len(target_names(history.meter))), np.float32)
    for begin in range(0, n, _BLOCK):
        at = slice(begin, begin + _BLOCK)
        columns = _calendar(history.meter, origins[at], start_minutes[at], width_minutes)
        columns += _analogues(history, origins[at], start_minutes[at], width_minutes)
        out[at] = np.stack(columns, -1)
    return out.reshape(*shape, -1)


def analogue_values(
    history: History,
    origins: Times,
    start_minutes: Rows,
    width_minutes: int,
    days: Rows,
    pad_minutes: int = 0,
) -> Floats:
    """Mean power of the interval on past days, (pairs, len(days)) kW, NaN where unobserved.

    Day 0 is the latest civil day on which the interval, widened by ``pad_minutes`` on both sides, had ended
    at the origin.
    """
    minutes = history.meter.working_minutes
    pad = -(-pad_minutes // minutes) * minutes
    nearest = -(-(start_minutes + width_minutes + pad) // 1440)
    first = history.rows(origins) + 1 + (start_minutes - pad) // minutes
    back = (nearest[:, None] + days[None, :]) * (1440 // minutes)
    return history.interval_means(first[:, None] - back, width_minutes + 2 * pad)


def nan_mean(values: Floats) -> Floats:
    """Mean over the last axis of what is not NaN; NaN where nothing is (numpy's own warns there)."""
    seen = ~np.isnan(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (np.where(seen, values, 0).sum(-1, dtype=np.float64) / seen.sum(-1)).astype(np.float32)


def _calendar(meter: Meter, origins: Times, start_minutes: Rows, width_minutes: int) -> list[Floats]:
    middle = origins + (start_minutes + width_minutes // 2).astype("timedelta64[m]")
    days = middle.astype("datetime64[D]")
    hour = (middle - days).astype(np.float32) / 60
    weekday = ((days.astype(np.int64) + 3) % 7).astype(np.float32)
    width = np.full(len(middle), width_minutes, np.float32)
    return [
        start_minutes.astype(np.float32),
        width,
        hour,
        weekday,
        *feature_table.calendar(middle, meter).values(),
        *feature_table.school_holidays(middle, meter).values(),
    ]


def _analogues(history: History, origins: Times, start_minutes: Rows, width_minutes: int) -> list[Floats]:
    """The analogue columns of ``target_names``, each (pairs,)."""

    def past(days: Rows, pad_minutes: int = 0) -> Floats:
        return analogue_values(history, origins, start_minutes, width_minutes, days, pad_minutes)

    plain = past(np.arange(ANALOGUE_DAYS))
    centre = nan_mean(plain)
    sd = np.sqrt(nan_mean((plain - centre[:, None]) ** 2))
    end = start_minutes + width_minutes
    weekdays = np.take_along_axis(plain, _same_weekday(end)[:, None] + 7 * np.arange(4), 1)
    columns = [*plain[:, :SINGLE_ANALOGUES].T, nan_mean(plain[:, :7]), centre, _nan_median(plain), sd]
    columns.append(nan_mean(weekdays))
    for pad in PAD_MINUTES:
        wide = past(np.arange(7), pad)
        weekday = np.take_along_axis(wide, _same_weekday(end + pad)[:, None], 1)
        columns += [wide[:, 0], nan_mean(wide), weekday[:, 0]]
    year = _year_ago(history, origins, start_minutes, width_minutes)
    return [*columns, year[:, 7], nan_mean(year)]


def _same_weekday(end_minutes: Rows) -> Rows:
    """Index of the first analogue day that has the target's weekday, for intervals that end at this lead."""
    return (-end_minutes // 1440) % 7


def _year_ago(history: History, origins: Times, start_minutes: Rows, width_minutes: int) -> Floats:
    """The interval 52 weeks earlier amid that of the seven days before and after, (pairs, 15)."""
    minutes = history.meter.working_minutes
    first = history.rows(origins) + 1 + start_minutes // minutes
    back = (YEAR_DAYS + np.arange(-7, 8)) * (1440 // minutes)
    return history.interval_means(first[:, None] - back, width_minutes)


def _nan_median(values: Floats) -> Floats:
    """Median over the last axis of what is not NaN; NaN where nothing is."""
    ordered = np.sort(values, -1)  # NaN last
    count = (~np.isnan(values)).sum(-1, keepdims=True)
    low = np.take_along_axis(ordered, np.maximum(count - 1, 0) // 2, -1)
    high = np.take_along_axis(ordered, np.minimum(count // 2, values.shape[-1] - 1), -1)
    return ((low + high) / 2)[..., 0].astype(np.float32)
