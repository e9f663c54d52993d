"""What the neural forecasters look at: the present in minutes, tokens of the past, and each lead's analogues.

All functions take rows of a ``MinuteSeries`` (the first row not yet available) and return finite float32
arrays; power enters as its square root, which tames the spikes. Spans are minutes, never steps.
"""

from dataclasses import dataclass

import numpy as np

from smartgrid_pipeline.core.features.minute_series import DAY, YEAR_DAYS, MinuteSeries, Rows
from smartgrid_pipeline.core.schema import Floats, LeadInterval

TAIL_MINUTES = 30
"""Single readings of power given to every near network; further channels for TAIL_CHANNEL_MINUTES."""

TAIL_CHANNEL_MINUTES = 10
RECENT_MINUTES = 120
LEVEL_MINUTES = (5, 10, 15, 30, 60, 180, 360, 720, DAY, 2 * DAY, 7 * DAY, 28 * DAY)


def _root(values: Floats) -> Floats:
    return np.sqrt(np.maximum(values, 0))


def _window(values: Floats, rows: Rows, count: int) -> Floats:
    """The last ``count`` rows before each row, oldest first: (rows, count, …)."""
    return values[rows[:, None] + np.arange(-count, 0)]


# --- the present ----------------------------------------------------------------------------------


def present(past: MinuteSeries, rows: Rows) -> Floats:
    """Everything an origin's next hour may hang on, (rows, features); the first ``key_count`` columns are the
    strongest: last readings, state, clock, and the last readings of the further channels.
    """
    tail = _root(_window(past.power_kw, rows, past.steps(TAIL_MINUTES)))
    time = (_minute(past, rows)[:, None] / DAY).astype(np.float32)
    keys: list[Floats] = [tail[:, ::-1][:, :3], past.state[rows - 1], time]
    channel_tail = _window(past.channels, rows, past.steps(TAIL_CHANNEL_MINUTES)).reshape(len(rows), -1)
    parts: list[Floats] = [
        *keys,
        past.channels[rows - 1],
        tail,
        channel_tail,
        past.supply[rows - 1],
        _recent(past, rows),
        levels(past, rows),
        _next_hour_analogues(past, rows),
        clock(_minute(past, rows)),
        past.days[past.day_rows(_minutes(past, rows))],
        past.appliances(rows),
    ]
    return np.concatenate(parts, 1, dtype=np.float32)


def key_count(past: MinuteSeries) -> int:
    """How many leading columns of ``present`` deserve a finer, piecewise-linear coding."""
    return min(past.steps(TAIL_MINUTES), 3) + past.state.shape[1] + 1 + past.channels.shape[1]


def present_plain(past: MinuteSeries, rows: Rows) -> Floats:
    """The readings that a mean in kW is nearly linear in, (rows, features) kW."""
    tail = _window(past.power_kw, rows, past.steps(5))
    spans = sorted({past.steps(minutes) for minutes in (3, 5, 10, 15, 30, 60, 180, DAY)})
    means = [past.mean("power", rows - span, span)[:, None] for span in spans]
    ahead = past.mean("days_28", rows - past.steps(DAY), past.steps(60))[:, None]
    return np.concatenate([tail, *means, ahead], 1)


def _minutes(past: MinuteSeries, rows: Rows) -> Rows:
    return (rows - past.padding) * past.step_minutes


def _minute(past: MinuteSeries, rows: Rows) -> Rows:
    return past.minute_of_day(_minutes(past, rows))


def clock(minute: Rows) -> Floats:
    """Four daily waves of a minute of the day, any shape in, (…, 8) out."""
    phase = 2 * np.pi * minute[..., None] * np.arange(1, 5) / DAY
    return np.concatenate([np.sin(phase), np.cos(phase)], -1, dtype=np.float32)


def _recent(past: MinuteSeries, rows: Rows) -> Floats:
    """Mean, highest and lowest reading of each five minutes of the last two hours, as square roots."""
    width = past.steps(5)
    count = max(1, RECENT_MINUTES // (width * past.step_minutes))
    blocks = _window(past.power_kw, rows, count * width).reshape(len(rows), count, width)
    if width == 1:
        return _root(blocks[..., 0])
    return _root(np.concatenate([blocks.mean(-1), blocks.max(-1), blocks.min(-1)], 1))


def levels(past: MinuteSeries, rows: Rows) -> Floats:
    """Mean power up to 28 days back, spread of the last hours, what is unusual in them, and how much was
    really observed.
    """
    spans = [past.steps(minutes) for minutes in LEVEL_MINUTES]
    means = [_root(past.mean("power", rows - span, span)) for span in spans]
    unusual, spread = [], []
    for minutes in (60, 180, 360, DAY):
        span = past.steps(minutes)
        usual = past.mean("days_28", rows - span - past.steps(DAY), span)
        mean = past.mean("power", rows - span, span)
        unusual.append(_root(mean) - _root(usual))
        spread.append(_root(past.mean("square", rows - span, span) - mean**2))
    week, month = past.steps(7 * DAY), past.steps(28 * DAY)
    unusual.append(
        _root(past.mean("power", rows - week, week)) - _root(past.mean("power", rows - month, month))
    )
    seen = past.complete[rows] - past.complete[rows - past.steps(60)] >= past.steps(60)
    return np.stack([*means, *unusual, *spread, seen.astype(np.float32)], 1)


def _next_hour_analogues(past: MinuteSeries, rows: Rows) -> Floats:
    """The next 15 and 60 minutes on each of the last seven days, and usually."""
    columns = []
    for minutes in (15, 60):
        span = past.steps(minutes)
        columns += [past.mean("power", rows - past.steps(k * DAY), span) for k in range(1, 8)]
        columns += [past.mean("days_28", rows - past.steps(DAY), span)]
        columns += [past.mean("weeks_4", rows - past.steps(7 * DAY), span)]
    return _root(np.stack(columns, 1))


# --- tokens ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TokenView:
    """A window of the past cut into tokens: ``span_minutes`` ending at the origin, ``token_minutes`` each.

    A token lists the means of its parts of ``part_minutes``; where a part holds several readings its highest
    and lowest too. ``daily`` tokens carry the calendar of their day.
    """

    span_minutes: int
    token_minutes: int
    part_minutes: int
    daily: bool = False


def tokens(past: MinuteSeries, rows: Rows, view: TokenView) -> Floats:
    """(rows, tokens, values) of a view, the latest token last."""
    part = past.steps(view.part_minutes)
    per_token = max(1, past.steps(view.token_minutes) // part)
    count = max(1, view.span_minutes // (part * per_token * past.step_minutes))
    parts = count * per_token
    starts = rows[:, None] + np.arange(-parts, 0) * part
    values = [_root(past.mean("power", starts, part))[..., None]]
    if 1 < part <= 60:
        blocks = _window(past.power_kw, rows, parts * part).reshape(len(rows), parts, part)
        values += [_root(blocks.max(-1))[..., None], _root(blocks.min(-1))[..., None]]
    if past.channels.shape[1] and not view.daily:
        values.append(past.channels[starts + part - 1])
    if view.token_minutes >= 60 and not view.daily:
        usual = past.mean("days_28", starts - past.steps(DAY), part)
        values += [_root(usual)[..., None], clock(_minute(past, starts))[..., [0, 4]]]
    out = np.concatenate(values, -1, dtype=np.float32).reshape(len(rows), count, -1)
    if view.daily:
        day = past.days[past.day_rows(_minutes(past, starts[:, ::per_token]))]
        out = np.concatenate([out, day], -1)
    return out


@dataclass(frozen=True)
class MatchView:
    """Past moments like the present: the same hour on ``days`` days, each also shifted by ``shift_minutes``.

    A token tells what came before the moment (``span_minutes`` in parts) and what followed in as long.
    """

    days: int
    span_minutes: int
    part_minutes: int
    shift_minutes: tuple[int, ...] = (0,)


def matches(past: MinuteSeries, rows: Rows, view: MatchView) -> Floats:
    """(rows, moments + 1, values) of a view; the last token is the present, followed by what is usual."""
    part, day = past.steps(view.part_minutes), past.steps(DAY)
    count = max(1, view.span_minutes // (part * past.step_minutes))
    shifts = sorted({-(-shift // past.step_minutes) for shift in view.shift_minutes})
    back = np.concatenate([[k * day + shift for shift in shifts] for k in range(view.days, 0, -1)])
    moment = rows[:, None] - np.append(back, 0)
    before = past.mean("power", moment[..., None] + np.arange(-count, 0) * part, part)
    ahead = np.arange(count) * part
    after = past.mean("power", moment[:, :-1, None] + ahead, part)
    usual = past.mean("days_28", rows[:, None] + ahead - day, part)
    followed = np.concatenate([after, usual[:, None]], 1)
    facts = past.days[past.day_rows(_minutes(past, moment))]
    return np.concatenate([_root(before), _root(followed), facts], -1, dtype=np.float32)


# --- the leads ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LeadTable:
    """Lead intervals as arrays (leads,), in rows of a past."""

    leads: tuple[LeadInterval, ...]
    start: Rows
    width: Rows
    facts: Floats

    @classmethod
    def of(cls, leads: tuple[LeadInterval, ...], step_minutes: int) -> "LeadTable":
        """The table of some leads for a meter's step; ``facts`` tell width and distance."""
        start = np.array([lead.start_minutes for lead in leads], np.int64)
        width = np.array([lead.width_minutes for lead in leads], np.int64)
        kinds = [width == w for w in (5, 15, 60, DAY, 7 * DAY)]
        far = [np.log1p(start) / 7, start / DAY, np.exp(-start / 60), np.exp(-start / 240)]
        facts = np.stack([*kinds, *far], 1).astype(np.float32)
        return cls(leads, start // step_minutes, width // step_minutes, facts)


def lead_inputs(past: MinuteSeries, rows: Rows, table: LeadTable, chosen: Rows) -> tuple[Floats, Floats]:
    """What is known of chosen leads (rows, k) of each row: inputs (rows, k, f) and plain kW (rows, k, p)."""
    start, width = table.start[chosen], table.width[chosen]
    first, day = rows[:, None] + start, past.steps(DAY)

    def back(series: str, days: int, pad_minutes: int = 0, least: int = 1) -> Floats:
        """Mean ``days`` further back than the nearest day that had ended, padded on both sides."""
        pad = pad_minutes // past.step_minutes
        nearest = np.maximum(-(-(start + width + pad) // day), least)
        return past.mean(series, first - (nearest + days) * day - pad, width + 2 * pad)

    exact = [back("power", k) for k in range(11)]
    wide = [back("power", k, 60) for k in range(7)] + [back("power", 0, 180)]
    weeks = [back("power", 0, 30, 7 * k) for k in (1, 2, 3, 4)]
    usual = [back("days_28", 0), back("days_28", 0, 60), back("days_7", 0, 30), back("weeks_4", 0, 30, 7)]
    year, has_year = _year_ago(past, first, width)
    plain = np.stack([*usual, wide[0], wide[7], exact[0], np.where(has_year > 0, year[0], usual[1])], -1)
    season = [has_year * (_root(value) - _root(usual[1])) for value in year]
    middle = _minutes(past, first) + width * past.step_minutes // 2
    columns = [_root(value) for value in (*exact, *wide, *weeks, *usual)]
    inputs = np.concatenate(
        [
            np.stack([*columns, *season, has_year], -1),
            clock(past.minute_of_day(middle)),
            past.days[past.day_rows(middle)],
            table.facts[chosen],
        ],
        -1,
        dtype=np.float32,
    )
    return inputs, plain


def day_analogues(past: MinuteSeries, rows: Rows, table: LeadTable, chosen: Rows, days: int) -> Floats:
    """The chosen leads (widened by half an hour) on each past day, (rows, k, days), the latest day last."""
    start, width = table.start[chosen], table.width[chosen]
    pad, day = 30 // past.step_minutes, past.steps(DAY)
    nearest = -(-(start + width + pad) // day)
    back = (nearest[..., None] + np.arange(days - 1, -1, -1)) * day
    first = (rows[:, None] + start - pad)[..., None] - back
    return _root(past.mean("power", first, (width + 2 * pad)[..., None]))


def _year_ago(past: MinuteSeries, first: Rows, width: Rows) -> tuple[list[Floats], Floats]:
    """The interval 52 weeks earlier (widened by an hour) and its mean over the 15 days around; 1 where the
    history reaches that far.
    """
    day, pad = past.steps(DAY), 60 // past.step_minutes
    at = first - YEAR_DAYS * day - pad
    has = (at - 7 * day >= past.padding).astype(np.float32)
    at = np.maximum(at, 0)
    around = np.minimum(at + 7 * day, first)
    return [
        past.mean("power", at, width + 2 * pad),
        past.mean("days_15", around, width + 2 * pad),
    ], has
