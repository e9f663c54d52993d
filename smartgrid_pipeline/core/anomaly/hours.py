"""Hourly sums of what the physics monitors look at, and the trailing references they are held against.

All windows are finite: a value depends on the REFERENCE_DAYS + LAG_DAYS before it and on nothing older.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from smartgrid_pipeline.core.anomaly.stream import (
    ALL_SUBS,
    ELECTRICAL,
    Array,
    Stream,
    Times,
    lag,
    rolling_mean,
    rolling_sum,
)
from smartgrid_pipeline.core.schema import ACTIVE_POWER, CURRENT, REACTIVE_POWER, VOLTAGE, DataError

REFERENCE_DAYS = 60
LAG_DAYS = 8
"""A reference is the median day of REFERENCE_DAYS that ended LAG_DAYS ago: a fresh fault is not in it."""

LOAD_KVA = 1.2
"""Gain is read where the load is above this: below it the 0.2 A steps of the current drown it."""

RATIO_CLIP = 0.06
SMALLEST_STEP_A = 0.6
"""Smaller current steps are mostly rounding, which would pull the slope of a quiet home towards zero."""

SUB_BINS = 45
DAY_MINUTES = 1440
"""Sub-meter readings are counted in whole watt-hours a minute, 0 … SUB_BINS − 1."""

Learned = dict[str, Array]


@dataclass(frozen=True)
class Hours:
    """Sums per civil hour: ``sums`` maps a name to (hours,); ``slots`` is the supply voltage against its last
    hour on the working intervals of those hours, empty without a voltmeter.
    """

    first_hour: np.datetime64
    working_minutes: int
    sums: dict[str, Array]
    slots: Array
    learned: Learned
    from_row: int = 0
    """Costly monitors may leave out the hours before this one: nobody asks for them."""

    @property
    def n(self) -> int:
        """Number of hours begun."""
        return len(self.sums["readings"])

    def total(self, name: str, hours: int) -> Array:
        """Sum over the last ``hours`` hours."""
        return rolling_sum(self.sums[name], hours)

    def mean(self, name: str, count: str, hours: int, fewest: float) -> Array:
        """Mean over the last ``hours`` hours, NaN with fewer than ``fewest`` readings behind it."""
        n = self.total(count, hours)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(n >= fewest, self.total(name, hours) / n, np.nan)

    @property
    def _end_of_first_day(self) -> int:
        return 23 - int((self.first_hour - self.first_hour.astype("datetime64[D]")).astype(int))

    def _reference_day(self) -> npt.NDArray[np.int64]:
        """For every hour the last day of its reference; negative where there is none yet."""
        return (np.arange(self.n) - self._end_of_first_day + 23) // 24 - 1 - LAG_DAYS

    def reference(self, values: Array, fallback: float) -> Array:
        """Median of the values at the ends of the reference days, ``fallback`` where under 20 are known."""
        days = values[self._end_of_first_day :: 24]
        if len(days) == 0:
            return np.full(self.n, fallback)
        padded = np.concatenate([np.full(REFERENCE_DAYS - 1, np.nan), days])
        windows = np.lib.stride_tricks.sliding_window_view(padded, REFERENCE_DAYS)
        middle = np.full(len(days), fallback)
        enough = (~np.isnan(windows)).sum(1) >= 20
        if enough.any():
            middle[enough] = np.nanmedian(windows[enough], axis=1)
        day = self._reference_day()
        return np.where(day >= 0, middle[np.clip(day, 0, len(days) - 1)], fallback)

    def level_logs(self) -> Array:
        """Log probability of each level of each sub-meter by its own reference days, (hours, 3, SUB_BINS).

        The learned levels stand in for up to 20 days that are missing.
        """
        day = self._reference_day()
        usual = self.learned["sub_levels"]
        usual = usual / usual.sum(1, keepdims=True) * 20 * DAY_MINUTES
        logs = np.empty((self.n, 3, SUB_BINS))
        for k in range(3):
            ends = np.cumsum(self.sums[f"levels_{k}"], axis=0)[self._end_of_first_day :: 24]
            before = np.concatenate([np.zeros((REFERENCE_DAYS, SUB_BINS)), ends])[: len(ends)]
            daily = np.concatenate([np.zeros((1, SUB_BINS)), ends - before])
            counts = daily[np.clip(day + 1, 0, len(ends))]
            missing = np.clip(1 - counts.sum(1) / (20 * DAY_MINUTES), 0, 1)
            counts = counts + missing[:, None] * usual[k] + 0.5
            logs[:, k] = np.log(counts / counts.sum(1, keepdims=True))
        return np.maximum(logs, -10.0)

    def to_intervals(self, values: Array, intervals: Times) -> Array:
        """An hour's value on working intervals: from the one that completes the hour until the next."""
        ends = intervals + np.timedelta64(self.working_minutes, "m")
        hour = ((ends - self.first_hour.astype("datetime64[m]")) // np.timedelta64(60, "m")).astype(int) - 1
        return np.where(hour >= 0, values[np.clip(hour, 0, self.n - 1)], np.nan)

    def after(self, earlier: "Hours", warm_hours: int = 3) -> "Hours":
        """These hours preceded by those of an earlier state, which also gives the first ``warm_hours``: ours
        lack what came before them.
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
        return replace(
            self, first_hour=earlier.first_hour + np.timedelta64(start, "h"), sums=sums, slots=slots
        )


def build(stream: Stream, learned: Learned) -> Hours:
    """Hourly sums of a stream (its bad readings already NaN); ``learned`` as ``learn`` gave it."""
    first_hour = stream.times[0].astype("datetime64[h]")
    columns = {"readings": (~np.isnan(stream.values[ACTIVE_POWER])).astype(float)}
    if stream.has(*ELECTRICAL):
        columns |= _loop(stream, float(learned["loop_ohm"])) | _gain(stream)
    if stream.has(VOLTAGE):
        columns |= {
            "volt": stream.values[VOLTAGE],
            "volt_n": (~np.isnan(stream.values[VOLTAGE])).astype(float),
        }
    if stream.has(REACTIVE_POWER):
        known = ~np.isnan(stream.values[REACTIVE_POWER] + stream.values[ACTIVE_POWER])
        columns |= {
            "phase_q": np.where(known, stream.values[REACTIVE_POWER], 0.0),
            "phase_p": np.where(known, stream.values[ACTIVE_POWER], 0.0),
        }
    if stream.has(*ALL_SUBS):
        columns["energy"] = np.nan_to_num(stream.values[ACTIVE_POWER]) * stream.meter.step_minutes / 60
    lead = (
        int((stream.times[0] - first_hour.astype("datetime64[m]")) // np.timedelta64(1, "m"))
        // stream.meter.step_minutes
    )
    sums = {
        name: _by_hour(values, lead, 60 // stream.meter.step_minutes, np.nansum)
        for name, values in columns.items()
    }
    if stream.has(*ALL_SUBS):
        sums |= _sub_counts(stream, lead, len(sums["readings"]))
    lowest = {"power_low": stream.values[ACTIVE_POWER]}
    if stream.has(*ALL_SUBS):
        subs = [stream.values[sub] for sub in ALL_SUBS]
        lowest |= {"other_low": stream.values[ACTIVE_POWER] - np.sum(subs, axis=0)}
        lowest |= {f"{sub}_low": values for sub, values in zip(ALL_SUBS, subs, strict=True)}
    for name, values in lowest.items():
        least = _by_hour(
            np.where(np.isnan(values), np.inf, values), lead, 60 // stream.meter.step_minutes, np.min, np.inf
        )
        sums[name] = np.where(np.isinf(least), np.nan, least)
    slots = np.zeros(0)
    if stream.has(VOLTAGE, CURRENT):
        per = 60 // stream.meter.working_minutes
        begun = lead * stream.meter.step_minutes // stream.meter.working_minutes
        slots = np.full(len(sums["readings"]) * per, np.nan)
        supply = slot_voltage(stream, float(learned["loop_ohm"]))
        slots[begun : begun + len(supply)] = supply
    return Hours(first_hour, stream.meter.working_minutes, sums, slots, learned)


def _by_hour(values: Array, lead: int, per: int, reduce: object, empty: float = np.nan) -> Array:
    n = -(-(lead + len(values)) // per) * per
    block = np.full(n, empty)
    block[lead : lead + len(values)] = values
    return np.asarray(reduce(block.reshape(-1, per), axis=1))  # type: ignore[operator]


def _loop(stream: Stream, ohm: float) -> dict[str, Array]:
    """Sums for the slope of −ΔV on ΔI; what the learned slope leaves over is winsorised at 1 V."""
    volt, current = stream.values[VOLTAGE], stream.values[CURRENT]
    drop, rise = lag(volt, 1) - volt, current - lag(current, 1)
    rise = np.where(np.abs(rise) >= SMALLEST_STEP_A, rise, np.where(np.isnan(rise), np.nan, 0.0))
    left = np.clip(drop - ohm * rise, -1.0, 1.0)
    return {
        "loop_xy": (left + ohm * rise) * rise,
        "loop_xx": np.where(np.isnan(left), np.nan, rise**2),
        "loop_raw": drop * rise,
    }


def _gain(stream: Stream) -> dict[str, Array]:
    """Winsorised log of V·I over √(P² + Q²) where the load is high enough to read it."""
    apparent = stream.apparent_kva
    measured = stream.values[VOLTAGE] * stream.values[CURRENT] / 1000
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


def sub_bins(values: Array) -> Array:
    """Whole watt-hours a minute, as bin numbers; NaN stays NaN."""
    return np.where(np.isnan(values), np.nan, np.clip(np.round(values / 0.06), 0, SUB_BINS - 1))


def _sub_counts(stream: Stream, lead: int, hours: int) -> dict[str, Array]:
    """How often each sub-meter showed each level in each hour: (hours, SUB_BINS) per sub-meter."""
    hour = (lead + np.arange(len(stream.times))) // (60 // stream.meter.step_minutes)
    counts = {}
    for k, sub in enumerate(ALL_SUBS):
        bins = sub_bins(stream.values[sub])
        known = ~np.isnan(bins)
        cells = hour[known] * SUB_BINS + bins[known].astype(int)
        flat = np.bincount(cells, minlength=hours * SUB_BINS).astype(float)
        counts[f"levels_{k}"] = flat.reshape(hours, SUB_BINS)
    return counts


def slot_voltage(stream: Stream, ohm: float) -> Array:
    """Supply voltage of each working interval without the home's own load, against its last hour, ±4 V."""
    supply = stream.mean(stream.values[VOLTAGE] + ohm * stream.values[CURRENT])
    return np.clip(supply - rolling_mean(supply, stream.per_hours(1)), -4.0, 4.0)


def learn(stream: Stream) -> Learned:
    """What the hourly sums need to know of this meter, from clean readings (others NaN)."""
    learned: Learned = {}
    if stream.has(*ELECTRICAL):
        rough = _loop(stream, 0.25)
        slope = np.nansum(rough["loop_xy"]) / max(float(np.nansum(rough["loop_xx"])), 1e-9)
        learned["loop_ohm"] = np.array(max(slope, 0.0))
    if stream.has(*ALL_SUBS):
        bins = [sub_bins(stream.values[sub]) for sub in ALL_SUBS]
        counts = [np.bincount(b[~np.isnan(b)].astype(int), minlength=SUB_BINS) for b in bins]
        learned["sub_levels"] = np.stack(counts).astype(float)
    return learned
