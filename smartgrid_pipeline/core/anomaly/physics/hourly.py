"""Hourly aggregates of a meter's readings, and the trailing references that monitors compare them with.

All windows are finite: a value depends on the REFERENCE_DAYS + LAG_DAYS before it and on nothing older.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from smartgrid_pipeline.core.anomaly.interval_array import (
    ALL_SUBS,
    ELECTRICAL,
    Array,
    IntervalArray,
    Times,
)
from smartgrid_pipeline.core.anomaly.physics import submeter_levels
from smartgrid_pipeline.core.features.lags import lag
from smartgrid_pipeline.core.features.rolling import rolling_max, rolling_mean, rolling_sum
from smartgrid_pipeline.core.schema import ACTIVE_POWER, CURRENT, REACTIVE_POWER, VOLTAGE, DataError

REFERENCE_DAYS, LAG_DAYS = 60, 8
"""A reference is the median day of REFERENCE_DAYS that ended LAG_DAYS ago: a fresh fault is not in it."""

MIN_REFERENCE_DAYS = 20
LOAD_KVA = 1.2
"""Gain is measured where the load is above this: below it the 0.2 A steps of the current hide it."""

RATIO_CLIP = 0.06
SMALLEST_STEP_A = 0.6
"""Smaller current steps are mostly rounding, which would pull the slope of a calm home towards zero."""

BASE_SHARE = 0.1
"""The base load of an hour is exceeded by all but this share of its readings: one odd reading is no base."""

Learned = dict[str, Array]
"""Constants learned from clean readings of one meter, by name."""


@dataclass(frozen=True)
class HourlyAggregates:
    """Aggregates per civil hour from ``first_hour`` on: ``sums`` maps a name to (hours,) or (hours, cells).

    ``slots`` is the supply voltage less its mean of the last hour, one value per working interval of those
    hours; empty for a meter without voltage and current. Costly monitors may skip hours before ``from_row``.
    """

    first_hour: np.datetime64
    working_minutes: int
    step_minutes: int
    sums: dict[str, Array]
    slots: Array
    learned: Learned
    from_row: int = 0

    @property
    def n(self) -> int:
        """Number of hours, the last of which may be incomplete."""
        return len(self.sums["readings"])

    def total(self, name: str, hours: int) -> Array:
        """Sum over the last ``hours`` hours, (hours,)."""
        return rolling_sum(self.sums[name], hours)

    def mean(self, name: str, count: str, hours: int, min_minutes: float) -> Array:
        """Mean over the last ``hours`` hours, NaN with fewer than ``min_minutes`` of readings, (hours,)."""
        n = self.total(count, hours)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(n * self.step_minutes >= min_minutes, self.total(name, hours) / n, np.nan)

    @property
    def _end_of_first_day(self) -> int:
        return 23 - int((self.first_hour - self.first_hour.astype("datetime64[D]")).astype(int))

    def reference_day(self) -> npt.NDArray[np.int64]:
        """For every hour the index of the last day of its reference; negative where there is none yet."""
        return (np.arange(self.n) - self._end_of_first_day + 23) // 24 - 1 - LAG_DAYS

    def reference(self, values: Array, fallback: float, reference_days: int = REFERENCE_DAYS) -> Array:
        """Median of the values (hours,) at the ends of the reference days; ``fallback`` where too few are
        known.
        """
        days = values[self._end_of_first_day :: 24]
        if len(days) == 0:
            return np.full(self.n, fallback)
        padded = np.concatenate([np.full(reference_days - 1, np.nan), days])
        windows = np.lib.stride_tricks.sliding_window_view(padded, reference_days)
        median = np.full(len(days), fallback)
        enough = (~np.isnan(windows)).sum(1) >= min(MIN_REFERENCE_DAYS, reference_days // 2)
        if enough.any():
            median[enough] = np.nanmedian(windows[enough], axis=1)
        return self._by_reference_day(median, fallback)

    def reference_max(self, values: Array, fallback: float) -> Array:
        """Highest value (hours,) on the reference days; ``fallback`` with under MIN_REFERENCE_DAYS known."""
        days = rolling_max(values, 24)[self._end_of_first_day :: 24]
        if len(days) == 0:
            return np.full(self.n, fallback)
        known = rolling_sum((~np.isnan(days)).astype(float), REFERENCE_DAYS)
        highest = np.where(known >= MIN_REFERENCE_DAYS, rolling_max(days, REFERENCE_DAYS), fallback)
        return self._by_reference_day(highest, fallback)

    def _by_reference_day(self, daily: Array, fallback: float) -> Array:
        day = self.reference_day()
        return np.where(day >= 0, daily[np.clip(day, 0, len(daily) - 1)], fallback)

    def reference_sums(self, sums: Array) -> Array:
        """Sums (hours, cells) over the reference days, (days + 1, cells).

        Row 0 is for hours without any reference day, row ``reference_day() + 1`` for all others.
        """
        ends = np.cumsum(sums, axis=0)[self._end_of_first_day :: 24]
        before = np.concatenate([np.zeros((REFERENCE_DAYS, sums.shape[1])), ends])[: len(ends)]
        return np.concatenate([np.zeros((1, sums.shape[1])), ends - before])

    def to_intervals(self, values: Array, intervals: Times) -> Array:
        """Hourly values (hours,) on working intervals: each holds from the interval that completes its hour
        until the next hour is complete. NaN before the first.
        """
        ends = intervals + np.timedelta64(self.working_minutes, "m")
        hour = ((ends - self.first_hour.astype("datetime64[m]")) // np.timedelta64(60, "m")).astype(int) - 1
        return np.where(hour >= 0, values[np.clip(hour, 0, self.n - 1)], np.nan)

    def after(self, earlier: "HourlyAggregates", warm_hours: int = 3) -> "HourlyAggregates":
        """These hours appended to those of an earlier state, as far back as references reach.

        The first ``warm_hours`` are taken from ``earlier``, since here the readings before them are missing.
        Raises DataError when ``earlier`` ends before that.
        """
        rows = int((self.first_hour - earlier.first_hour).astype(int)) + warm_hours
        if rows < warm_hours or rows > earlier.n:
            raise DataError(
                f"The earlier state covers {earlier.n} hours from {earlier.first_hour}; it does not reach "
                f"{self.first_hour} plus {warm_hours} h."
            )
        start = max(0, rows - 24 * (REFERENCE_DAYS + LAG_DAYS + 9))
        per = 60 // self.working_minutes
        sums = {
            name: np.concatenate([earlier.sums[name][start:rows], values[warm_hours:]])
            for name, values in self.sums.items()
        }
        slots = np.concatenate([earlier.slots[start * per : rows * per], self.slots[warm_hours * per :]])
        first_hour = earlier.first_hour + np.timedelta64(start, "h")
        return replace(self, first_hour=first_hour, sums=sums, slots=slots)


def aggregate(recorded: IntervalArray, learned: Learned) -> HourlyAggregates:
    """Hourly aggregates of readings whose masked rows are NaN; ``learned`` from ``learn_constants``."""
    first_hour = recorded.times[0].astype("datetime64[h]")
    step, working = recorded.meter.step_minutes, recorded.meter.working_minutes
    offset = int((recorded.times[0] - first_hour.astype("datetime64[m]")) // np.timedelta64(1, "m")) // step
    sums = {
        name: _by_hour(values, offset, 60 // step, np.nansum)
        for name, values in _columns(recorded, learned).items()
    }
    hours = len(sums["readings"])
    sums |= _extremes(recorded, offset)
    if recorded.has(*ALL_SUBS):
        sums |= submeter_levels.count(recorded, offset, hours)
        sums |= {f"dwell_{k}": submeter_levels.dwell(sums[f"{sub}_low"]) for k, sub in enumerate(ALL_SUBS)}
    slots = np.zeros(0)
    if recorded.has(VOLTAGE, CURRENT):
        first_slot = offset * step // working
        slots = np.full(hours * (60 // working), np.nan)
        supply = _slot_voltage(recorded, float(learned["loop_ohm"]))
        slots[first_slot : first_slot + len(supply)] = supply
    return HourlyAggregates(first_hour, working, step, sums, slots, learned)


def learn_constants(recorded: IntervalArray) -> Learned:
    """The constants that ``aggregate`` needs of a meter, from its clean readings (others NaN)."""
    learned: Learned = {}
    if recorded.has(VOLTAGE, CURRENT):
        rough = _loop(recorded, 0.25)
        slope = np.nansum(rough["loop_xy"]) / max(float(np.nansum(rough["loop_xx"])), 1e-9)
        learned["loop_ohm"] = np.array(max(slope, 0.0))
    if recorded.has(*ALL_SUBS):
        learned |= submeter_levels.learn(recorded)
    return learned


def _columns(recorded: IntervalArray, learned: Learned) -> dict[str, Array]:
    values = recorded.values
    columns = {"readings": (~np.isnan(values[ACTIVE_POWER])).astype(float)}
    if recorded.has(*ELECTRICAL):
        columns |= _gain(recorded)
    if recorded.has(VOLTAGE, CURRENT):
        columns |= _loop(recorded, float(learned["loop_ohm"]))
    if recorded.has(VOLTAGE):
        columns |= {"volt": values[VOLTAGE], "volt_n": (~np.isnan(values[VOLTAGE])).astype(float)}
    if recorded.has(REACTIVE_POWER):
        known = ~np.isnan(values[REACTIVE_POWER] + values[ACTIVE_POWER])
        columns |= {
            "phase_q": np.where(known, values[REACTIVE_POWER], 0.0),
            "phase_p": np.where(known, values[ACTIVE_POWER], 0.0),
        }
    if recorded.has(*ALL_SUBS):
        columns["energy"] = np.nan_to_num(values[ACTIVE_POWER]) * recorded.meter.step_minutes / 60
    return columns


def _extremes(recorded: IntervalArray, offset: int) -> dict[str, Array]:
    """Lowest, highest and base value of each hour by channel, NaN where there is no reading."""
    channels = {"power": recorded.values[ACTIVE_POWER]}
    if recorded.has(*ALL_SUBS):
        channels |= {sub: recorded.values[sub] for sub in ALL_SUBS}
        channels["other"] = channels["power"] - np.sum([channels[sub] for sub in ALL_SUBS], axis=0)
    per = 60 // recorded.meter.step_minutes
    totals = [name for name in ("power", "other") if name in channels]
    return (
        {f"{name}_base": _base(channels[name], offset, per) for name in totals}
        | {f"{name}_low": _lowest(values, offset, per) for name, values in channels.items()}
        | {f"{name}_high": -_lowest(-values, offset, per) for name, values in channels.items()}
    )


def _base(values: Array, offset: int, per: int) -> Array:
    """What all but the lowest BASE_SHARE of an hour's readings reach, (hours,)."""
    filled = np.where(np.isnan(values), np.inf, values)
    ranked = _by_hour(filled, offset, per, lambda block, axis: np.sort(block, axis=axis), np.inf)
    at = ranked[:, int(BASE_SHARE * per)]
    return np.where(np.isfinite(at), at, np.where(np.isfinite(ranked[:, 0]), ranked[:, 0], np.nan))


def _lowest(values: Array, offset: int, per: int) -> Array:
    lowest = _by_hour(np.where(np.isnan(values), np.inf, values), offset, per, np.min, np.inf)
    return np.where(np.isinf(lowest), np.nan, lowest)


def _by_hour(
    values: Array, offset: int, per: int, reduce: Callable[..., Array], empty: float = np.nan
) -> Array:
    """Reduce readings to hours, (hours,). ``offset`` readings are missing at the start of the first hour;
    they and the rest of the last hour count as ``empty``.
    """
    n = -(-(offset + len(values)) // per) * per
    block = np.full(n, empty)
    block[offset : offset + len(values)] = values
    return np.asarray(reduce(block.reshape(-1, per), axis=1))


def _loop(recorded: IntervalArray, ohm: float) -> dict[str, Array]:
    """Terms of the slope of −ΔV on ΔI of each reading; Δ is the change since the reading before.

    ΔI below SMALLEST_STEP_A counts as 0. ``loop_xx`` is ΔI² (A²). ``loop_raw`` is −ΔV·ΔI (V·A) as recorded.
    ``loop_xy`` is the same with −ΔV cut to at most 1 V from what the learned slope ``ohm`` gives. Σ loop_xy /
    Σ loop_xx is the slope in ohms, robust against steps of the supply; Σ loop_raw / Σ loop_xx is the slope
    without that cut.
    """
    volt, current = recorded.values[VOLTAGE], recorded.values[CURRENT]
    drop, rise = lag(volt, 1) - volt, current - lag(current, 1)
    rise = np.where(np.abs(rise) >= SMALLEST_STEP_A, rise, np.where(np.isnan(rise), np.nan, 0.0))
    residual = np.clip(drop - ohm * rise, -1.0, 1.0)
    return {
        "loop_xy": (residual + ohm * rise) * rise,
        "loop_xx": np.where(np.isnan(residual), np.nan, rise**2),
        "loop_raw": drop * rise,
    }


def _gain(recorded: IntervalArray) -> dict[str, Array]:
    """Winsorised log of V·I over √(P² + Q²) at high load, and V·I − √(P² + Q²) at any load, kVA."""
    apparent = recorded.apparent_kva
    measured = recorded.values[VOLTAGE] * recorded.values[CURRENT] / 1000
    high = measured > LOAD_KVA  # by current, so that a fault of P does not choose its own readings
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.log(np.maximum(measured, 1e-3) / np.maximum(apparent, 1e-3))
    ratio = np.where(high, np.clip(ratio, -RATIO_CLIP, RATIO_CLIP), np.nan)
    excess = np.clip(measured - apparent, -0.06, 0.06)
    return {
        "gain": ratio,
        "gain_n": (~np.isnan(ratio)).astype(float),
        "excess": excess,
        "excess_n": (~np.isnan(excess)).astype(float),
    }


def _slot_voltage(recorded: IntervalArray, ohm: float) -> Array:
    """Supply voltage of each working interval, the home's own drop added back, less its mean of the last
    hour; clipped at ±4 V.
    """
    supply = recorded.mean(recorded.values[VOLTAGE] + ohm * recorded.values[CURRENT])
    return np.clip(supply - rolling_mean(supply, recorded.per_hours(1)), -4.0, 4.0)
