"""One meter's past laid out for neural windows: gap-free contiguous arrays on the meter's own step.

Every array is causal: its value at a row depends on that row and earlier ones only, so a window that ends
at an origin holds nothing from after it.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from smartgrid_pipeline.core.features import appliances as cycles
from smartgrid_pipeline.core.features import submeters as circuits
from smartgrid_pipeline.core.features.feature_table import calendar, school_holidays
from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.schema import (
    ACTIVE_POWER,
    CURRENT,
    REACTIVE_POWER,
    SUB_METERS,
    VOLTAGE,
    DataError,
    Floats,
    LeadInterval,
    Meter,
    ModelError,
    Rows,
    Times,
)

DAY = 1440
PADDING_DAYS = 44
"""Virtual days before the first reading, at the typical level, so that no window needs a special case."""

YEAR_DAYS = 364
"""A year back that keeps the weekday."""

REACH_DAYS = 410
"""No window looks back further than this: a year, the weeks around it, and what fills their gaps."""

LATE_DAYS = 8
"""A meter may be this late: its missing rows count as not observed."""

JUMPS_KW = (0.3, 1.0)
"""Power steps between two readings that mark an appliance switching."""

ON_KW = 0.1


@dataclass(frozen=True)
class MinuteSeries:
    """Arrays over ``padding`` virtual rows and then the n readings of the history, all of length N.

    ``power_kw`` has gaps filled from a week (else a day) before; ``observed`` is 1 where it was read;
    ``channels`` (N, c) are the further fine channels as square roots; ``state`` (N, s) describes how long the
    present appliance state has lasted; ``running`` are running sums (N + 1,) of power, of its square and of
    means over the same clock time of past days; ``complete`` counts observed rows; ``cycles`` knows how
    appliances come and go and ``circuits`` what each sub-meter drew, from the first reading on.
    """

    meter: Meter
    start: np.datetime64
    step_minutes: int
    padding: int
    level_kw: float
    power_kw: Floats
    observed: Floats
    channels: Floats
    state: Floats
    supply: Floats
    running: dict[str, npt.NDArray[np.float64]]
    complete: Rows
    days: Floats
    cycles: cycles.DutyCycles | None
    circuits: circuits.SubmeterLoads

    @classmethod
    def of(cls, history: History, level_kw: float) -> "MinuteSeries":
        """The past of a whole history, made once for all models that share a level."""
        return _kept(history, level_kw, 0, 0)

    @classmethod
    def reaching(cls, history: History, origins: Times, level_kw: float) -> "MinuteSeries":
        """As much of the past as origins look back on; readings up to LATE_DAYS late count as not observed.

        It begins with a month, so that neighbouring origins share it. Raises ModelError for origins before
        the history or too long after it.
        """
        if not len(origins):
            return cls.of(history, level_kw)
        if origins.min() < history.starts[0]:
            raise ModelError(
                f"Cannot forecast from {origins.min()}: the history begins at {history.starts[0]}."
            )
        late = max(0, int(-((history.end - origins.max()) // history.step)))
        if late * history.meter.working_minutes > LATE_DAYS * DAY:
            raise ModelError(
                f"Readings end at {history.end}, more than {LATE_DAYS} days before {origins.max()}."
            )
        oldest = (origins.min() - np.timedelta64(REACH_DAYS, "D")).astype("datetime64[M]")
        first = int(np.searchsorted(history.starts, oldest.astype("datetime64[m]")))
        return _kept(history, level_kw, first, late)

    def rows(self, origins: Times) -> Rows:
        """Index of the first row that is not yet available at each origin: windows end before it.

        An origin inside a working interval sees what was known when that interval began.
        """
        minutes = (origins.astype("datetime64[m]") - self.start).astype(np.int64)
        minutes = minutes // self.meter.working_minutes * self.meter.working_minutes
        return self.padding + minutes // self.step_minutes

    def steps(self, minutes: int) -> int:
        """Rows in a span of minutes, at least one."""
        return max(1, minutes // self.step_minutes)

    def mean(self, series: str, first: Rows, width: Rows | int) -> Floats:
        """Mean over ``width`` rows from ``first`` of a running sum, any shape; rows must be in the past."""
        sums = self.running[series]
        return ((sums[first + width] - sums[first]) / width).astype(np.float32)

    def targets(self, rows: Rows, leads: tuple[LeadInterval, ...], before: int) -> Floats:
        """Mean power (kW) of each lead interval from each row: NaN unless all observed, before ``before``."""
        start = np.array([lead.start_minutes // self.step_minutes for lead in leads])
        width = np.array([lead.width_minutes // self.step_minutes for lead in leads])
        first = rows[:, None] + start[None, :]
        inside = first + width <= min(before, len(self.power_kw))
        first = np.where(inside, first, 0)
        full = self.complete[first + width] - self.complete[first] == width
        return np.where(inside & full, self.mean("power", first, width), np.float32(np.nan))

    def appliances(self, rows: Rows) -> Floats:
        """How appliances cycle as known before each row, (rows, columns); no columns for a coarse meter."""
        if self.cycles is None:
            return np.zeros((len(rows), 0), np.float32)
        return self.cycles.at(np.maximum(rows - 1 - self.padding, 0))

    def circuits_at(self, rows: Rows) -> Floats:
        """What each circuit drew as known before each row, (rows, columns); see ``circuits.names``."""
        if not circuits.names(self.meter, self.step_minutes):
            return np.zeros((len(rows), 0), np.float32)
        return self.circuits.at(np.maximum(rows - 1 - self.padding, 0))

    def day_rows(self, minutes_after_start: Rows) -> Rows:
        """Rows of ``days`` for times given in minutes after the first reading's interval began."""
        offset = (self.start - self.start.astype("datetime64[D]")).astype(int)
        return np.clip((minutes_after_start + offset) // DAY + PADDING_DAYS, 0, len(self.days) - 1)

    def minute_of_day(self, minutes_after_start: Rows) -> Rows:
        """Civil minute of the day of times given in minutes after the first reading's interval began."""
        offset = (self.start - self.start.astype("datetime64[D]")).astype(int)
        return (minutes_after_start + offset) % DAY


def mean_level_kw(history: History, start: np.datetime64, end: np.datetime64) -> float:
    """Mean power (kW) of the rows that start in [start, end), to four decimals.

    Raises DataError when nothing was observed.
    """
    power = history.power_kw[(history.starts >= start) & (history.starts < end)]
    if not np.isfinite(power).any():
        raise DataError(f"Nothing was observed between {start} and {end}; give other readings.")
    return round(float(np.nanmean(power, dtype=np.float64)), 4)


def _build(history: History, level_kw: float) -> MinuteSeries:
    meter = history.meter
    fine = ACTIVE_POWER in history.within
    step = meter.step_minutes if fine else meter.working_minutes
    padding, per_day = PADDING_DAYS * DAY // step, DAY // step
    if fine:
        raw = history.readings(ACTIVE_POWER)
        seen = ~np.isnan(raw)
    else:
        raw = history.power_kw
        seen = history.observed_share > 1 - 1e-6
    power = np.concatenate([np.full(padding, level_kw, np.float32), raw])
    _fill_from_earlier_days(power, padding, per_day)
    observed = np.concatenate([np.zeros(padding, np.float32), seen.astype(np.float32)])
    channels = _channels(history, padding)
    running = {"power": _running(power), "square": _running(power.astype(np.float64) ** 2)}
    for name, every, count in (("days_7", 1, 7), ("days_28", 1, 28), ("weeks_4", 7, 4), ("days_15", 1, 15)):
        running[name] = _running(_same_clock_mean(power, per_day * every, count))
    return MinuteSeries(
        meter,
        history.starts[0],
        step,
        padding,
        level_kw,
        power,
        observed,
        channels,
        _state(power, channels, running["power"], step),
        _supply(history, padding),
        running,
        np.concatenate([[0], np.cumsum(observed > 0)]).astype(np.int64),
        _days(history),
        cycles.of_history(history)[0],
        circuits.of_history(history),
    )


def _fill_from_earlier_days(power: Floats, padding: int, per_day: int) -> None:
    """Fill gaps in place, in order of time: from a week before, which is itself filled by then."""
    for begin in range(padding, len(power), per_day):
        block = power[begin : begin + per_day]
        gaps = np.isnan(block)
        if gaps.any():
            block[gaps] = power[begin - 7 * per_day : begin - 7 * per_day + len(block)][gaps]


def _running(values: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    return np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])


def _same_clock_mean(power: Floats, every: int, count: int) -> npt.NDArray[np.float64]:
    """Mean of a row and the ``count − 1`` rows before it at distance ``every``; fewer near the beginning."""
    total, number = power.astype(np.float64), np.ones(len(power))
    for k in range(1, count):
        total[k * every :] += power[: max(len(power) - k * every, 0)]
        number[k * every :] += 1
    return total / number


def _channels(history: History, padding: int) -> Floats:
    columns = []
    for channel in (REACTIVE_POWER, *SUB_METERS):
        if channel in history.meter.channels:
            values = np.nan_to_num(history.readings(channel))
            columns.append(np.concatenate([np.zeros(padding, np.float32), values]))
    if not columns:
        return np.zeros((padding + len(history.starts) * history.readings_per_row, 0), np.float32)
    return np.ascontiguousarray(np.sqrt(np.maximum(np.stack(columns, 1), 0)))


def _supply(history: History, padding: int) -> Floats:
    """Voltage (10 V from 240 V) and current (10 A) of the last whole working interval, known at its end."""
    present = [channel for channel in (VOLTAGE, CURRENT) if channel in history.meter.channels]
    per = history.readings_per_row
    out = np.zeros((padding + len(history.starts) * per, len(present)), np.float32)
    for j, channel in enumerate(present):
        values = history.channel_means(channel)
        centre = 240.0 if channel == VOLTAGE else 0.0
        known = np.nan_to_num((values - centre) / 10)
        out[padding + per - 1 :, j] = np.repeat(known, per)[: len(out) - padding - per + 1]
    return out


def _state(power: Floats, channels: Floats, sums: npt.NDArray[np.float64], step: int) -> Floats:
    """Per row: for each jump size the time since, the jump, the level before and the mean since; for each
    further channel the time since it was last on and last off. Times as log(1 + minutes), a day at most.
    """
    at = np.arange(len(power))
    root = np.sqrt(np.maximum(power, 0))
    change = np.diff(power, prepend=power[:1])
    columns: list[Floats] = []
    for jump in JUMPS_KW:
        last = np.maximum.accumulate(np.where(np.abs(change) > jump, at, 0))
        last = np.maximum(last, at - DAY // step)
        before = np.maximum(last - 1, 0)
        since = (sums[at + 1] - sums[np.maximum(last, 0)]) / (at + 1 - np.maximum(last, 0))
        mean = np.sqrt(np.maximum(since, 0)).astype(np.float32)
        columns += [_log_minutes(at - last, step), change[last], root[before], mean]
    for j in range(1, channels.shape[1]):
        on = channels[:, j] ** 2 > ON_KW
        for flag in (on, ~on):
            last = np.maximum(np.maximum.accumulate(np.where(flag, at, 0)), at - DAY // step)
            columns.append(_log_minutes(at - last, step))
    return np.stack(columns, 1)


def _log_minutes(rows: Rows, step: int) -> Floats:
    return (np.log1p(rows * step) / np.log1p(DAY)).astype(np.float32)


def _days(history: History) -> Floats:
    """Civil calendar of each day from the first virtual one to a month after the last: weekday (7), weekend,
    public holiday and the days around one, two yearly waves, school holiday where the meter has a zone.
    """
    first = history.starts[0].astype("datetime64[D]") - PADDING_DAYS
    last = history.end.astype("datetime64[D]") + 40
    days = np.arange(first, last)
    facts = calendar(days.astype("datetime64[m]"), history.meter)
    weekday = np.eye(7, dtype=np.float32)[(days.astype(int) + 3) % 7]
    holiday = facts.get("is_public_holiday", np.zeros(len(days), np.float32))
    year = days.astype("datetime64[Y]").astype("datetime64[D]")
    phase = 2 * np.pi * (days - year).astype(float) / 365.25
    columns = [
        facts["is_weekend"],
        holiday,
        np.append(holiday[1:], 0),
        np.append(0, holiday[:-1]),
        *(wave(k * phase) for k in (1, 2) for wave in (np.sin, np.cos)),
        *school_holidays(days, history.meter).values(),
    ]
    return np.ascontiguousarray(np.column_stack([weekday, *columns]).astype(np.float32))


def _kept(history: History, level_kw: float, first: int, late: int) -> MinuteSeries:
    """The past of the rows from ``first`` and ``late`` unobserved ones more; the last few are remembered."""
    key = f"past from row {first} and {late} more at {level_kw!r} kW"
    kept = history.derived
    if key not in kept:
        for old in [name for name in kept if name.startswith("past from ")][:-1]:
            del kept[old]  # two are plenty: what models look back on now, and the whole of a training
        kept[key] = _build(_cut(history, first, late), level_kw)
    return kept[key]


def _cut(history: History, first: int, late: int) -> History:
    """The history from a row on, with unobserved rows appended."""
    if not first and not late:
        return history

    def cut(values: npt.NDArray[np.float32], fill: float = np.nan) -> npt.NDArray[np.float32]:
        return np.concatenate([values[first:], np.full((late, *values.shape[1:]), fill, values.dtype)])

    return replace(
        history,
        starts=np.concatenate([history.starts[first:], history.end + np.arange(late) * history.step]),
        power_kw=cut(history.power_kw),
        observed_share=cut(history.observed_share, 0),
        features=cut(history.features),
        within={channel: cut(values) for channel, values in history.within.items()},
    )
