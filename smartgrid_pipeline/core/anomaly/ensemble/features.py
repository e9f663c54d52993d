"""Causal inputs of the ensemble: each working interval beside its own past, as a feature block.

All of them use this interval and earlier ones only, none more than CONTEXT_DAYS back. Features that need a
channel the meter lacks are omitted.
"""

from typing import Self

import numpy as np

from smartgrid_pipeline.core.anomaly.interval_array import ALL_SUBS, ELECTRICAL, Array, IntervalArray
from smartgrid_pipeline.core.features.calendar import minute_of_day, weekday
from smartgrid_pipeline.core.features.lags import lag
from smartgrid_pipeline.core.features.rolling import RollingSeries
from smartgrid_pipeline.core.meter_data.growing_array import GrowingArray
from smartgrid_pipeline.core.schema import ACTIVE_POWER, CURRENT, REACTIVE_POWER, VOLTAGE

CONTEXT_DAYS = 8

FLOOR_KW = 0.02
"""Added before logarithms, so that an empty home is not infinitely far from a quiet one."""

SAME_KW = 0.0015
"""Two means that differ by less are the same: half a step of a meter that counts watts."""


def build(intervals: IntervalArray) -> dict[str, Array]:
    """Name → one value per working interval, NaN where the readings behind it are missing."""
    return EnsembleFeatures.transform(intervals).columns


def channel_of(name: str) -> str:
    """The channel an input is computed from; inputs of several channels count for power."""
    if name.startswith("voltage"):
        return VOLTAGE
    if name.startswith(("reactive", "phase")):
        return REACTIVE_POWER
    if name.startswith("current"):
        return CURRENT
    if name.startswith("sub_meter"):
        return f"{'_'.join(name.split('_')[:3])}_kw"
    return ACTIVE_POWER


def expected_power(intervals: IntervalArray, power_kw: Array) -> Array:
    """Mean power of the same interval on the seven days before, (intervals,) kW."""
    day = intervals.per_hours(24)
    return _mean_of_days([lag(power_kw, day * k) for k in range(1, 8)])


class EnsembleFeatures:
    """The inputs of every working interval, kept up to date as intervals arrive."""

    def __init__(self) -> None:
        self._series: dict[str, RollingSeries] = {}
        self._columns: dict[str, GrowingArray[np.float64]] = {}

    @classmethod
    def transform(cls, intervals: IntervalArray) -> Self:
        """Of all intervals of a file."""
        block = cls()
        block.update(intervals)
        return block

    @property
    def columns(self) -> dict[str, Array]:
        """Name → one value per working interval."""
        return {name: column.values for name, column in self._columns.items()}

    def update(self, intervals: IntervalArray, first: int = 0) -> None:
        """Take in working intervals ``first`` and later: new ones, or ones that were corrected."""
        rows = _Rows(intervals.from_interval(first), first, self._series)
        for name, values in rows.columns().items():
            self._columns.setdefault(name, GrowingArray(np.float64)).write(first, values)


class _Rows:
    """One update: inputs of the intervals from ``first`` on, of which ``part`` holds the readings; ``series``
    are the rolling series of the block.
    """

    def __init__(self, part: IntervalArray, first: int, series: dict[str, RollingSeries]) -> None:
        self.part, self.first, self.series = part, first, series
        self.hour, self.day = part.per_hours(1), part.per_hours(24)

    def columns(self) -> dict[str, Array]:
        """All inputs the meter's channels allow, each (intervals,)."""
        part = self.part
        power = self._rolling("power", part.mean(part.values[ACTIVE_POWER]))
        columns = self._of_power(power) | self._of_the_calendar()
        if part.has(VOLTAGE):
            columns |= self._of_voltage(power)
        if part.has(REACTIVE_POWER):
            columns |= self._of_reactive_power(power)
        if part.has(*ELECTRICAL):
            columns |= self._of_consistency()
        if part.has(*ALL_SUBS):
            columns |= self._of_sub_meters(power)
        return columns

    def _rolling(self, name: str, values: Array) -> RollingSeries:
        """The series of this name with ``values`` written to it."""
        series = self.series.setdefault(name, RollingSeries())
        series.write(self.first, values)
        return series

    def _mean(self, name: str, values: Array, width: int) -> Array:
        """Rolling mean of a series that is used for nothing else."""
        return self._rolling(name, values).mean(width, self.first)

    def _spread(self, values: Array) -> tuple[Array, Array, Array]:
        """Lowest, highest and standard deviation of the readings inside each interval."""
        block = self.part.blocks(values)
        empty = np.asarray(np.all(np.isnan(block), axis=1))
        filled = np.where(empty[:, None], 0.0, block)
        low, high, sd = (of(filled, axis=1) for of in (np.nanmin, np.nanmax, np.nanstd))
        return tuple(np.where(empty, np.nan, each) for each in (low, high, sd))  # type: ignore[return-value]

    def _deviation(self, series: RollingSeries, squares: str, width: int) -> Array:
        """Standard deviation of the last ``width`` rows; ``squares`` names the series of squares."""
        mean, now = series.mean(width, self.first), series.values[self.first :]
        return np.sqrt(np.maximum(self._mean(squares, now**2, width) - mean**2, 0.0))

    def _of_power(self, power: RollingSeries) -> dict[str, Array]:
        first, day = self.first, self.day
        hour = max(1, self.hour)
        now, yesterday = power.values[first:], power.lag(day, first)
        usual = _mean_of_days([power.lag(day * k, first) for k in range(1, 8)])
        change = now - power.lag(1, first)
        level, daily = _log(now), power.mean(day, first)
        lowest = self._rolling("power_lowest_7d", power.lowest(7 * day, first))
        columns = {
            "log_power": level,
            "power_change_kw": change,
            "power_against_usual": level - _log(usual),
            "power_3h_against_usual": _log(power.mean(3 * hour, first))
            - _log(self._mean("usual", usual, 3 * hour)),
            "power_24h_against_7d": _log(daily) - _log(power.mean(7 * day, first)),
            "power_12h_lowest_against_24h": _log(power.lowest(12 * hour, first)) - _log(daily),
            "power_24h_lowest": _log(power.lowest(day, first)),
            "power_24h_lowest_against_7d": _log(power.lowest(day, first)) - _log(lowest.lag(day, first)),
            "power_against_yesterday": np.abs(level - _log(yesterday)),
            "constant_3h": self._mean("constant", _is_same(now, power.lag(1, first)), 3 * hour),
            "same_as_yesterday_3h": self._mean("same", _is_same(now, yesterday), 3 * hour),
        }
        if hour > 1:
            columns["power_against_1h"] = level - _log(power.mean(hour, first))
            columns["power_1h_sd"] = _log(self._deviation(power, "power_squared", hour))
        columns["power_24h_sd"] = _log(self._deviation(power, "power_squared", day))
        if self.part.per > 1:
            low, high, _ = self._spread(self.part.values[ACTIVE_POWER])
            columns |= {"power_range": _log(high - low), "power_peak": _log(high) - level}
        return columns

    def _of_the_calendar(self) -> dict[str, Array]:
        times = self.part.intervals
        hour = 2 * np.pi * minute_of_day(times).astype(float) / 1440
        return {
            "hour_sin": np.sin(hour),
            "hour_cos": np.cos(hour),
            "is_weekend": (weekday(times) >= 5).astype(float),
        }

    def _of_voltage(self, power: RollingSeries) -> dict[str, Array]:
        first, day = self.first, self.day
        volt = self._rolling("voltage", self.part.mean(self.part.values[VOLTAGE]))
        now = volt.values[first:]
        power_change = power.values[first:] - power.lag(1, first)
        columns = {
            "voltage": now - volt.mean(7 * day, first),
            "voltage_against_1h": now - volt.mean(max(2, self.hour), first),
            "voltage_change": now - volt.lag(1, first) + 1.0 * power_change,
            "voltage_against_yesterday": now - volt.lag(day, first),
        }
        if self.part.per > 1:
            noise = np.log(self._spread(self.part.values[VOLTAGE])[2] + 0.02)
            columns["voltage_noise"] = noise
            columns["voltage_noise_3h"] = self._mean("voltage_noise", noise, 3 * self.hour)
        return columns

    def _of_reactive_power(self, power: RollingSeries) -> dict[str, Array]:
        reactive = self.part.mean(self.part.values[REACTIVE_POWER])
        angle = np.arctan2(reactive, np.maximum(power.values[self.first :], 0.0))
        return {
            "reactive": np.log(np.maximum(reactive, 0.0) + 0.02),
            "phase_angle": angle,
            "phase_angle_24h": self._mean("phase_angle", angle, self.day),
        }

    def _of_consistency(self) -> dict[str, Array]:
        part = self.part
        low, high, _ = self._spread(part.excess_kva)
        mean, apparent = part.mean(part.excess_kva), part.mean(part.apparent_kva)
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = np.where(apparent > 0.3, np.clip(mean / apparent, -0.5, 0.5), 0.0)
        return {
            "current_a": np.log(np.maximum(part.mean(part.values[CURRENT]), 0.0) + 0.1),
            "excess_lowest": low,
            "excess_highest": np.sign(high) * np.sqrt(np.abs(high)),
            "excess_ratio": ratio,
            "excess_3h": self._mean("excess", np.clip(mean, -0.3, 0.3), 3 * self.hour),
        }

    def _of_sub_meters(self, power: RollingSeries) -> dict[str, Array]:
        first = self.first
        subs = {name: self.part.mean(self.part.values[name]) for name in ALL_SUBS}
        other = power.values[first:] - np.sum(list(subs.values()), axis=0)
        columns = {"other_load": np.sign(other) * np.log1p(np.abs(other) / 0.1)}
        for name, values in subs.items():
            series = self._rolling(name, values)
            columns[name.replace("_kw", "_log")] = np.log(np.maximum(values, 0.0) + 0.01)
            for suffix, width in (("_3h", 3 * self.hour), ("_24h", self.day)):
                mean = series.mean(width, first)
                columns[name.replace("_kw", suffix)] = np.log(np.maximum(mean, 0.0) + 0.01)
        columns["other_load_24h_lowest"] = self._rolling("other_load", other).lowest(self.day, first)
        return columns


def _mean_of_days(days: list[Array]) -> Array:
    """Mean of the days on which an interval was observed, NaN where there is none."""
    earlier = np.stack(days)
    observed = ~np.isnan(earlier)
    with np.errstate(invalid="ignore"):
        return np.where(observed, earlier, 0.0).sum(0) / observed.sum(0)


def _log(values: Array) -> Array:
    return np.log(np.maximum(values, 0.0) + FLOOR_KW)


def _is_same(values: Array, others: Array) -> Array:
    """1 where both are the same to SAME_KW, else 0; NaN where the first was not observed."""
    return np.where(np.isnan(values), np.nan, (np.abs(values - others) < SAME_KW).astype(float))
