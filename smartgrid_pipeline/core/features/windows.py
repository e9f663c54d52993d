"""Inputs of the neural networks: recent readings, tokens of the past, and what is known of each lead.

All functions take rows of a ``MinuteSeries`` (the first row not yet available) and return finite float32
arrays; power enters as its square root, which tames the spikes. Spans are minutes, never steps.
"""

from dataclasses import dataclass

import numpy as np

from smartgrid_pipeline.core.features.calendar import daily_waves
from smartgrid_pipeline.core.features.lags import DAY_MINUTES, YEAR_DAYS, latest_ended_day
from smartgrid_pipeline.core.features.minute_series import MinuteSeries
from smartgrid_pipeline.core.schema import Floats, LeadInterval, Rows

READING_MINUTES = 30
"""Single readings of power given to every short-horizon network; further channels for CHANNEL_MINUTES."""

CHANNEL_MINUTES = 10
RECENT_MINUTES = 120
MEAN_MINUTES = (5, 10, 15, 30, 60, 180, 360, 720, *(days * DAY_MINUTES for days in (1, 2, 7, 28)))


def _root(values: Floats) -> Floats:
    return np.sqrt(np.maximum(values, 0))


def _window(values: Floats, rows: Rows, count: int) -> Floats:
    """The last ``count`` rows before each row, oldest first: (rows, count, …)."""
    return values[rows[:, None] + np.arange(-count, 0)]


# --- recent readings ------------------------------------------------------------------------------


def recent_features(series: MinuteSeries, rows: Rows) -> Floats:
    """All columns that the next hour may depend on, (rows, features); the first ``key_count`` columns are the
    strongest: last readings, state of loads, time of day, and the last readings of the further channels.
    """
    readings = _root(_window(series.power_kw, rows, series.steps(READING_MINUTES)))
    minute = _minute(series, rows)
    channels = _window(series.channels, rows, series.steps(CHANNEL_MINUTES)).reshape(len(rows), -1)
    parts: list[Floats] = [
        readings[:, ::-1][:, :3],
        series.state[rows - 1],
        (minute[:, None] / DAY_MINUTES).astype(np.float32),
        series.channels[rows - 1],
        readings,
        channels,
        series.supply[rows - 1],
        _recent_blocks(series, rows),
        level_features(series, rows),
        _next_hour_on_earlier_days(series, rows),
        daily_waves(minute),
        series.day_columns(series.minutes(rows)),
        series.duty_cycle_features(rows),
    ]
    return np.concatenate(parts, 1, dtype=np.float32)


def key_count(series: MinuteSeries) -> int:
    """How many leading columns of ``recent_features`` get a finer, piecewise-linear encoding."""
    return min(series.steps(READING_MINUTES), 3) + series.state.shape[1] + 1 + series.channels.shape[1]


def recent_means_kw(series: MinuteSeries, rows: Rows) -> Floats:
    """Readings and means that a forecast in kW is nearly linear in, (rows, features) kW."""
    readings = _window(series.power_kw, rows, series.steps(5))
    spans = sorted({series.steps(minutes) for minutes in (3, 5, 10, 15, 30, 60, 180, DAY_MINUTES)})
    means = [series.mean("power", rows - span, span)[:, None] for span in spans]
    ahead = series.mean("days_28", rows - series.steps(DAY_MINUTES), series.steps(60))[:, None]
    return np.concatenate([readings, *means, ahead], 1)


def boosting_features(series: MinuteSeries, rows: Rows) -> Floats:
    """All columns that boosted trees may split on, (rows, columns)."""
    parts = [recent_features(series, rows), recent_means_kw(series, rows), series.submeter_features(rows)]
    return np.concatenate(parts, 1)


def _minute(series: MinuteSeries, rows: Rows) -> Rows:
    return series.minute_of_day(series.minutes(rows))


def _recent_blocks(series: MinuteSeries, rows: Rows) -> Floats:
    """Mean, highest and lowest reading of each five minutes of the last two hours, as square roots."""
    width = series.steps(5)
    count = max(1, RECENT_MINUTES // (width * series.step_minutes))
    blocks = _window(series.power_kw, rows, count * width).reshape(len(rows), count, width)
    if width == 1:
        return _root(blocks[..., 0])
    return _root(np.concatenate([blocks.mean(-1), blocks.max(-1), blocks.min(-1)], 1))


def level_features(series: MinuteSeries, rows: Rows) -> Floats:
    """Mean power up to 28 days back, the departure of the last hours from the usual, their spread, and
    whether the last hour was observed, (rows, features).
    """
    spans = [series.steps(minutes) for minutes in MEAN_MINUTES]
    means = [_root(series.mean("power", rows - span, span)) for span in spans]
    departure, spread = [], []
    for minutes in (60, 180, 360, DAY_MINUTES):
        span = series.steps(minutes)
        usual = series.mean("days_28", rows - span - series.steps(DAY_MINUTES), span)
        mean = series.mean("power", rows - span, span)
        departure.append(_root(mean) - _root(usual))
        spread.append(_root(series.mean("square", rows - span, span) - mean**2))
    week, month = series.steps(7 * DAY_MINUTES), series.steps(28 * DAY_MINUTES)
    departure.append(
        _root(series.mean("power", rows - week, week)) - _root(series.mean("power", rows - month, month))
    )
    hour = series.steps(60)
    observed = series.observed_rows(rows - hour, hour) >= hour
    return np.stack([*means, *departure, *spread, observed.astype(np.float32)], 1)


def _next_hour_on_earlier_days(series: MinuteSeries, rows: Rows) -> Floats:
    """The next 15 and 60 minutes on each of the last seven days, and their usual means."""
    columns = []
    for minutes in (15, 60):
        span = series.steps(minutes)
        columns += [series.mean("power", rows - series.steps(k * DAY_MINUTES), span) for k in range(1, 8)]
        columns += [series.mean("days_28", rows - series.steps(DAY_MINUTES), span)]
        columns += [series.mean("weeks_4", rows - series.steps(7 * DAY_MINUTES), span)]
    return _root(np.stack(columns, 1))


# --- tokens ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TokenWindow:
    """A window cut into tokens: ``span_minutes`` ending at the origin, ``token_minutes`` each.

    A token lists the means of its parts of ``part_minutes``; where a part holds several readings its highest
    and lowest too. ``daily`` tokens carry the calendar of their day.
    """

    span_minutes: int
    token_minutes: int
    part_minutes: int
    daily: bool = False


def tokens(series: MinuteSeries, rows: Rows, view: TokenWindow) -> Floats:
    """(rows, tokens, values) of a view, the latest token last."""
    part = series.steps(view.part_minutes)
    per_token = max(1, series.steps(view.token_minutes) // part)
    count = max(1, view.span_minutes // (part * per_token * series.step_minutes))
    parts = count * per_token
    starts = rows[:, None] + np.arange(-parts, 0) * part
    values = [_root(series.mean("power", starts, part))[..., None]]
    if 1 < part <= 60:
        blocks = _window(series.power_kw, rows, parts * part).reshape(len(rows), parts, part)
        values += [_root(blocks.max(-1))[..., None], _root(blocks.min(-1))[..., None]]
    if series.channels.shape[1] and not view.daily:
        values.append(series.channels[starts + part - 1])
    if view.token_minutes >= 60 and not view.daily:
        usual = series.mean("days_28", starts - series.steps(DAY_MINUTES), part)
        values += [_root(usual)[..., None], daily_waves(_minute(series, starts))[..., [0, 4]]]
    out = np.concatenate(values, -1, dtype=np.float32).reshape(len(rows), count, -1)
    if view.daily:
        day = series.day_columns(series.minutes(starts[:, ::per_token]))
        out = np.concatenate([out, day], -1)
    return out


@dataclass(frozen=True)
class AnalogWindow:
    """Past moments to compare with the origin: the same hour on ``days`` days, each also shifted by
    ``shift_minutes``.

    A token holds the power before the moment (``span_minutes`` in parts) and after it, for as long.
    """

    days: int
    span_minutes: int
    part_minutes: int
    shift_minutes: tuple[int, ...] = (0,)


def analog_windows(series: MinuteSeries, rows: Rows, view: AnalogWindow) -> Floats:
    """(rows, moments + 1, values) of a view; the last token is the origin itself, followed by the usual
    power.
    """
    part, day = series.steps(view.part_minutes), series.steps(DAY_MINUTES)
    count = max(1, view.span_minutes // (part * series.step_minutes))
    shifts = sorted({-(-shift // series.step_minutes) for shift in view.shift_minutes})
    back = np.concatenate([[k * day + shift for shift in shifts] for k in range(view.days, 0, -1)])
    moment = rows[:, None] - np.append(back, 0)
    before = series.mean("power", moment[..., None] + np.arange(-count, 0) * part, part)
    ahead = np.arange(count) * part
    after = series.mean("power", moment[:, :-1, None] + ahead, part)
    usual = series.mean("days_28", rows[:, None] + ahead - day, part)
    followed = np.concatenate([after, usual[:, None]], 1)
    calendar = series.day_columns(series.minutes(moment))
    return np.concatenate([_root(before), _root(followed), calendar], -1, dtype=np.float32)


WindowSpec = TokenWindow | AnalogWindow


def window(series: MinuteSeries, rows: Rows, view: WindowSpec) -> Floats:
    """The tokens of a view, (rows, tokens, values)."""
    return (
        analog_windows(series, rows, view) if isinstance(view, AnalogWindow) else tokens(series, rows, view)
    )


# --- the leads ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LeadTable:
    """Lead intervals as arrays (leads,), in rows of a series; ``codes`` (leads, 9) hold width and
    distance.
    """

    leads: tuple[LeadInterval, ...]
    start: Rows
    width: Rows
    codes: Floats

    @classmethod
    def of(cls, leads: tuple[LeadInterval, ...], step_minutes: int) -> "LeadTable":
        """The table of some leads for a meter's step."""
        start = np.array([lead.start_minutes for lead in leads], np.int64)
        width = np.array([lead.width_minutes for lead in leads], np.int64)
        widths = [width == w for w in (5, 15, 60, DAY_MINUTES, 7 * DAY_MINUTES)]
        distances = [np.log1p(start) / 7, start / DAY_MINUTES, np.exp(-start / 60), np.exp(-start / 240)]
        codes = np.stack([*widths, *distances], 1).astype(np.float32)
        return cls(leads, start // step_minutes, width // step_minutes, codes)


def lead_features(series: MinuteSeries, rows: Rows, table: LeadTable, chosen: Rows) -> tuple[Floats, Floats]:
    """What is known of chosen leads (rows, k) of each row: features (rows, k, f) and means in kW (rows, k,
    p).
    """
    start, width = table.start[chosen], table.width[chosen]
    first, day = rows[:, None] + start, series.steps(DAY_MINUTES)

    def on_day(name: str, days: int, pad_minutes: int = 0, least: int = 1) -> Floats:
        """Mean ``days`` before the latest day that had ended (at least ``least`` back), padded on both
        sides.
        """
        pad = pad_minutes // series.step_minutes
        latest = np.maximum(latest_ended_day(start + width + pad, day), least)
        return series.mean(name, first - (latest + days) * day - pad, width + 2 * pad)

    exact = [on_day("power", k) for k in range(11)]
    wide = [on_day("power", k, 60) for k in range(7)] + [on_day("power", 0, 180)]
    weeks = [on_day("power", 0, 30, 7 * k) for k in (1, 2, 3, 4)]
    usual = [
        on_day("days_28", 0),
        on_day("days_28", 0, 60),
        on_day("days_7", 0, 30),
        on_day("weeks_4", 0, 30, 7),
    ]
    year, has_year = _year_ago(series, first, width)
    means_kw = np.stack([*usual, wide[0], wide[7], exact[0], np.where(has_year > 0, year[0], usual[1])], -1)
    season = [has_year * (_root(value) - _root(usual[1])) for value in year]
    middle = series.minutes(first) + width * series.step_minutes // 2
    columns = [_root(value) for value in (*exact, *wide, *weeks, *usual)]
    features = np.concatenate(
        [
            np.stack([*columns, *season, has_year], -1),
            daily_waves(series.minute_of_day(middle)),
            series.day_columns(middle),
            table.codes[chosen],
        ],
        -1,
        dtype=np.float32,
    )
    return features, means_kw


def padded_same_time_lags(
    series: MinuteSeries, rows: Rows, table: LeadTable, chosen: Rows, days: int
) -> Floats:
    """The chosen leads (widened by half an hour) on each past day, (rows, k, days), the latest day last."""
    start, width = table.start[chosen], table.width[chosen]
    pad, day = 30 // series.step_minutes, series.steps(DAY_MINUTES)
    latest = latest_ended_day(start + width + pad, day)
    back = (latest[..., None] + np.arange(days - 1, -1, -1)) * day
    first = (rows[:, None] + start - pad)[..., None] - back
    return _root(series.mean("power", first, (width + 2 * pad)[..., None]))


def _year_ago(series: MinuteSeries, first: Rows, width: Rows) -> tuple[list[Floats], Floats]:
    """The interval 52 weeks earlier (widened by an hour) and its mean over the 15 days around; 1 where the
    history reaches that far.
    """
    day, pad = series.steps(DAY_MINUTES), 60 // series.step_minutes
    at = first - YEAR_DAYS * day - pad
    has = (at - 7 * day >= series.padding).astype(np.float32)
    at = np.maximum(at, 0)
    around = np.minimum(at + 7 * day, first)
    return [
        series.mean("power", at, width + 2 * pad),
        series.mean("days_15", around, width + 2 * pad),
    ], has
