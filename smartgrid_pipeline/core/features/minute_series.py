"""One meter's past as gap-free series on the meter's own step: what the windows of networks are cut from.

Every series is causal: its value at a row depends on that row and earlier ones only, so a window that ends at
an origin holds nothing from after it.
"""

from typing import Any, Self

import numpy as np

from smartgrid_pipeline.core.features import calendar
from smartgrid_pipeline.core.features.appliances import DutyCycles
from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.features.lags import DAY_MINUTES
from smartgrid_pipeline.core.features.submeters import SubmeterLoads
from smartgrid_pipeline.core.features.switch_times import JUMPS_KW, ON_KW, last_true
from smartgrid_pipeline.core.meter_data.growing_array import GrowingArray, RunningSum
from smartgrid_pipeline.core.schema import (
    ACTIVE_POWER,
    CURRENT,
    REACTIVE_POWER,
    SUB_METERS,
    VOLTAGE,
    DataError,
    Doubles,
    Floats,
    LeadInterval,
    ModelError,
    Rows,
    Times,
)

PADDING_DAYS = 44
"""Virtual days before the first reading, at the typical level, so that no window needs a special case."""

REACH_DAYS = 410
"""No window reaches further back than this: a year, the weeks around it, and what fills their gaps."""

LATE_DAYS = 8
"""A meter may be this late: its missing rows count as not observed."""

AHEAD_DAYS = 40
"""The calendar is kept this far beyond the last reading."""

SAME_CLOCK = {"days_7": (1, 7), "days_28": (1, 28), "weeks_4": (7, 4), "days_15": (1, 15)}
"""Series of means over the same clock time: days from one to the next, and how many of them."""


class MinuteSeries:
    """Series over ``padding`` virtual rows and then the n readings of the history, all of length N.

    ``power_kw`` has gaps filled from a week before (at first from the typical level); ``observed`` is 1 where
    power was read; ``channels`` (N, c) are reactive power and sub-meters as square roots; ``supply`` (N, v)
    voltage and current of the last whole working interval; ``state`` (N, s) how long the present state of
    loads has lasted; ``duty_cycles`` and ``loads`` are the blocks of that name over the readings.
    """

    def __init__(self, history: History, level_kw: float) -> None:
        self.meter, self.start, self.level_kw = history.meter, history.starts[0], level_kw
        self.step_minutes, self._per = history.reading_minutes, history.readings_per_row
        self.padding = PADDING_DAYS * DAY_MINUTES // self.step_minutes
        have = history.meter.channels
        self._channel_names = tuple(name for name in (REACTIVE_POWER, *SUB_METERS) if name in have)
        self._supply_names = tuple(name for name in (VOLTAGE, CURRENT) if name in have)
        states = 4 * len(JUMPS_KW) + 2 * max(0, len(self._channel_names) - 1)
        self._power: GrowingArray[np.float32] = GrowingArray(np.float32)
        self._observed: GrowingArray[np.float32] = GrowingArray(np.float32)
        self._channels: GrowingArray[np.float32] = GrowingArray(np.float32, (len(self._channel_names),))
        self._supply: GrowingArray[np.float32] = GrowingArray(np.float32, (len(self._supply_names),))
        self._state: GrowingArray[np.float32] = GrowingArray(np.float32, (states,))
        self._days: GrowingArray[np.float32] | None = None
        self._complete: RunningSum[np.int64] = RunningSum(np.int64)
        self._sums = {name: RunningSum(np.float64) for name in ("power", "square", *SAME_CLOCK)}
        self.duty_cycles: DutyCycles
        self.loads: SubmeterLoads

    # --- making and keeping -----------------------------------------------------------------------

    @classmethod
    def transform(cls, history: History, level_kw: float) -> Self:
        """Of a whole history."""
        block = cls(history, level_kw)
        block.update(history)
        return block

    @classmethod
    def of(cls, history: History, level_kw: float) -> "MinuteSeries":
        """Of a whole history, made once for all models that share a level."""
        return _cached(history, level_kw, 0, 0)

    @classmethod
    def reaching(cls, history: History, origins: Times, level_kw: float) -> "MinuteSeries":
        """As much of the past as forecasts from ``origins`` need; a meter may be LATE_DAYS late.

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
        if late * history.meter.working_minutes > LATE_DAYS * DAY_MINUTES:
            raise ModelError(
                f"Readings end at {history.end}, more than {LATE_DAYS} days before {origins.max()}."
            )
        oldest = (origins.min() - np.timedelta64(REACH_DAYS, "D")).astype("datetime64[M]")
        first = int(np.searchsorted(history.starts, oldest.astype("datetime64[m]")))
        return _cached(history, level_kw, first, late)

    def update(self, history: History, first: int = 0) -> None:
        """Take in rows ``first`` and later; a day before them is read again for the state of loads."""
        begin = first * self._per
        at = self.padding + begin if first else 0  # the first update writes the virtual rows, too
        self._write_readings(history, begin)
        self._write_sums(at)
        self._state.write(at, self._state_from(at))
        self._write_days(history)
        self.duty_cycles, self.loads = history.block(DutyCycles), history.block(SubmeterLoads)

    def _write_readings(self, history: History, begin: int) -> None:
        """Power with its gaps filled, what was observed, further channels and supply, from reading
        ``begin``.
        """
        per_day, at = DAY_MINUTES // self.step_minutes, self.padding + begin
        raw = history.readings(ACTIVE_POWER)[begin:]
        if ACTIVE_POWER in history.within:
            observed = ~np.isnan(raw)
        else:
            observed = history.observed_share[begin:] > 1 - 1e-6
        if not begin:
            self._power.write(0, np.full(self.padding, self.level_kw, np.float32))
            self._observed.write(0, np.zeros(self.padding, np.float32))
            self._channels.write(0, np.zeros((self.padding, len(self._channel_names)), np.float32))
            self._supply.write(0, np.zeros((self.padding, len(self._supply_names)), np.float32))
        self._power.write(at, raw)
        _fill_from_a_week_before(self._power.values, at, per_day)
        self._observed.write(at, observed)
        columns = [np.nan_to_num(history.readings(name)[begin:]) for name in self._channel_names]
        roots = np.sqrt(np.maximum(np.stack(columns, 1), 0)) if columns else np.zeros((len(raw), 0))
        self._channels.write(at, roots)
        self._supply.write(at, self._supply_from(history, begin, len(raw)))

    def _supply_from(self, history: History, begin: int, count: int) -> Floats:
        """Voltage (10 V from 240 V) and current (10 A) of the last whole working interval, for ``count``
        readings from ``begin`` on; zero before the first whole interval.
        """
        rows = (np.arange(begin, begin + count) - (self._per - 1)) // self._per
        out = np.zeros((count, len(self._supply_names)), np.float32)
        for j, name in enumerate(self._supply_names):
            centre = 240.0 if name == VOLTAGE else 0.0
            known = np.nan_to_num((history.channel_means(name)[np.maximum(rows, 0)] - centre) / 10)
            out[:, j] = np.where(rows >= 0, known, 0)
        return out

    def _write_sums(self, at: int) -> None:
        """Running sums of power, its square and its means over the same clock time, from row ``at``."""
        power = self.power_kw
        self._sums["power"].write(at, power[at:])
        self._sums["square"].write(at, power[at:].astype(np.float64) ** 2)
        self._complete.write(at, self.observed[at:] > 0)
        per_day = DAY_MINUTES // self.step_minutes
        for name, (days, count) in SAME_CLOCK.items():
            self._sums[name].write(at, _same_clock_mean(power, at, days * per_day, count))

    def _state_from(self, at: int) -> Floats:
        """State of loads of rows ``at`` and later: for each size of jump the time since, the jump, the level
        before and the mean since; for each sub-meter the time since it was last on and last off. Times as
        log(1 + minutes), a day at most; power as square roots of kW.
        """
        day = DAY_MINUTES // self.step_minutes
        start = max(0, at - day - 1)
        power, channels, sums = self.power_kw[start:], self.channels[start:], self._sums["power"].sums
        rows = np.arange(len(power))
        root, change = np.sqrt(np.maximum(power, 0)), np.diff(power, prepend=power[:1])
        columns: list[Floats] = []
        for jump in JUMPS_KW:
            last = np.maximum(last_true(np.abs(change) > jump, 0), rows - day)
            since = (sums[start + rows + 1] - sums[start + last]) / (rows + 1 - last)
            mean = np.sqrt(np.maximum(since, 0)).astype(np.float32)
            columns += [self._log_minutes(rows - last), change[last], root[np.maximum(last - 1, 0)], mean]
        for j in range(1, channels.shape[1]):
            on = channels[:, j] ** 2 > ON_KW
            for flags in (on, ~on):
                columns.append(self._log_minutes(rows - np.maximum(last_true(flags, 0), rows - day)))
        return np.stack(columns, 1)[at - start :]

    def _log_minutes(self, rows: Rows) -> Floats:
        return (np.log1p(rows * self.step_minutes) / np.log1p(DAY_MINUTES)).astype(np.float32)

    def _write_days(self, history: History) -> None:
        """Extend the calendar to AHEAD_DAYS beyond the history."""
        first = self.start.astype("datetime64[D]") - PADDING_DAYS
        last = history.end.astype("datetime64[D]") + AHEAD_DAYS
        have = 0 if self._days is None else len(self._days)
        days = np.arange(first + have, last)
        if len(days):
            columns = calendar.day_columns(days, self.meter)
            if self._days is None:
                self._days = GrowingArray(np.float32, columns.shape[1:])
            self._days.write(have, columns)

    # --- reading ----------------------------------------------------------------------------------

    @property
    def power_kw(self) -> Floats:
        """(N,) kW, gaps filled."""
        return self._power.values

    @property
    def observed(self) -> Floats:
        """(N,): 1 where power was read, else 0."""
        return self._observed.values

    @property
    def channels(self) -> Floats:
        """(N, c) square roots of reactive power and sub-meters, zero where not observed."""
        return self._channels.values

    @property
    def supply(self) -> Floats:
        """(N, v) voltage and current of the last whole working interval."""
        return self._supply.values

    @property
    def state(self) -> Floats:
        """(N, s) how long the present state of loads has lasted."""
        return self._state.values

    def rows(self, origins: Times) -> Rows:
        """Index of the first row that is not yet available at each origin: windows end before it.

        An origin inside a working interval uses what was available when that interval began.
        """
        minutes = (origins.astype("datetime64[m]") - self.start).astype(np.int64)
        minutes = minutes // self.meter.working_minutes * self.meter.working_minutes
        return self.padding + minutes // self.step_minutes

    def steps(self, minutes: int) -> int:
        """Rows in a span of minutes, at least one."""
        return max(1, minutes // self.step_minutes)

    def mean(self, series: str, first: Rows, width: Rows | int) -> Floats:
        """Mean over ``width`` rows from ``first`` of ``power``, ``square`` or a series of SAME_CLOCK; any
        shape, rows must lie in 0 … N.
        """
        sums = self._sums[series].sums
        return ((sums[first + width] - sums[first]) / width).astype(np.float32)

    def observed_rows(self, first: Rows, width: Rows | int) -> Rows:
        """How many of ``width`` rows from ``first`` were observed; any shape."""
        return self._complete.sums[first + width] - self._complete.sums[first]

    def targets(self, rows: Rows, leads: tuple[LeadInterval, ...], before: int) -> Floats:
        """Mean power (kW) of each lead interval from each row, (rows, leads): NaN unless all of it was
        observed and ends at row ``before`` or earlier.
        """
        start = np.array([lead.start_minutes // self.step_minutes for lead in leads])
        width = np.array([lead.width_minutes // self.step_minutes for lead in leads])
        first = rows[:, None] + start[None, :]
        inside = first + width <= min(before, len(self.power_kw))
        first = np.where(inside, first, 0)
        full = self.observed_rows(first, width) == width
        return np.where(inside & full, self.mean("power", first, width), np.float32(np.nan))

    def duty_cycle_features(self, rows: Rows) -> Floats:
        """Columns of ``DutyCycles`` known before each row, (rows, columns); no columns for a coarse meter."""
        if not self.duty_cycles.columns:
            return np.zeros((len(rows), 0), np.float32)
        return self.duty_cycles.at(np.maximum(rows - 1 - self.padding, 0))

    def submeter_features(self, rows: Rows) -> Floats:
        """Columns of ``SubmeterLoads`` known before each row, (rows, columns)."""
        if not self.loads.columns:
            return np.zeros((len(rows), 0), np.float32)
        return self.loads.at(np.maximum(rows - 1 - self.padding, 0))

    def minutes(self, rows: Rows) -> Rows:
        """Minutes from the start of the first reading to each row."""
        return (rows - self.padding) * self.step_minutes

    def day_columns(self, minutes: Rows) -> Floats:
        """Calendar of the civil day of times given in minutes after the first reading, (…, columns)."""
        assert self._days is not None
        offset = (self.start - self.start.astype("datetime64[D]")).astype(int)
        row = np.clip((minutes + offset) // DAY_MINUTES + PADDING_DAYS, 0, len(self._days) - 1)
        return self._days.values[row]

    def minute_of_day(self, minutes: Rows) -> Rows:
        """Civil minute of the day of times given in minutes after the first reading."""
        offset = (self.start - self.start.astype("datetime64[D]")).astype(int)
        return (minutes + offset) % DAY_MINUTES


def mean_level_kw(history: History, start: np.datetime64, end: np.datetime64) -> float:
    """Mean power (kW) of the rows that start in [start, end), to four decimals.

    Raises DataError when nothing was observed.
    """
    power = history.power_kw[(history.starts >= start) & (history.starts < end)]
    if not np.isfinite(power).any():
        raise DataError(f"Nothing was observed between {start} and {end}; give other readings.")
    return round(float(np.nanmean(power, dtype=np.float64)), 4)


def _cached(history: History, level_kw: float, first: int, late: int) -> MinuteSeries:
    """Cached series of rows ``first`` …, extended by ``late`` unobserved rows; at most two are cached."""
    key: tuple[Any, ...] = (MinuteSeries, first, late, level_kw)
    kept = [each for each in history.cached_keys() if isinstance(each, tuple) and each[0] is MinuteSeries]
    if key not in kept:
        for old in kept[:-1]:  # one for the newest origins and one for a whole training are enough
            history.evict(old)

    def build() -> MinuteSeries:
        part = history.part(first, len(history.starts)) if first else history
        return MinuteSeries.transform(part.with_missing_rows(late) if late else part, level_kw)

    return history.cached(key, build)


def _fill_from_a_week_before(power: Floats, at: int, per_day: int) -> None:
    """Fill gaps from row ``at`` on in place, in order of time: the week before is filled by then."""
    for begin in range(at, len(power), per_day):
        block = power[begin : begin + per_day]
        gaps = np.isnan(block)
        if gaps.any():
            block[gaps] = power[begin - 7 * per_day : begin - 7 * per_day + len(block)][gaps]


def _same_clock_mean(power: Floats, at: int, every: int, count: int) -> Doubles:
    """Mean of rows ``at`` and later and the ``count`` − 1 rows before each at distance ``every``; fewer near
    the beginning.
    """
    total, number = power[at:].astype(np.float64), np.ones(len(power) - at)
    for k in range(1, count):
        first = max(at, k * every)
        total[first - at :] += power[first - k * every : max(len(power) - k * every, 0)]
        number[first - at :] += 1
    return total / number
