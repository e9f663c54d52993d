"""Hourly sums of what the physics monitors look at, and the trailing references they are held against.

All windows are finite: a value depends on the REFERENCE_DAYS + LAG_DAYS before it and on nothing older.
"""

from dataclasses import dataclass, replace

import numpy as np

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
SLOT_MINUTES = 5
SUB_BINS = 45
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

    def reference(self, values: Array, fallback: float) -> Array:
        """Median of the values at the ends of the reference days, ``fallback`` where under 20 are known."""
        end_of_day = 23 - int((self.first_hour - self.first_hour.astype("datetime64[D]")).astype(int))
        days = values[end_of_day::24]
        padded = np.concatenate([np.full(REFERENCE_DAYS - 1, np.nan), days])
        windows = np.lib.stride_tricks.sliding_window_view(padded, REFERENCE_DAYS)
        known = (~np.isnan(windows)).sum(1)
        middle = np.full(len(days), fallback)
        enough = known >= 20
        if enough.any():
            middle[enough] = np.nanmedian(windows[enough], axis=1)
        day = (np.arange(self.n) - end_of_day + 23) // 24 - 1 - LAG_DAYS
        return (
            np.where(day >= 0, middle[np.clip(day, 0, max(len(days) - 1, 0))], fallback)
            if len(days)
            else np.full(self.n, fallback)
        )

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
        columns |= _subs(stream, learned)
    lead = (
        int((stream.times[0] - first_hour.astype("datetime64[m]")) // np.timedelta64(1, "m"))
        // stream.meter.step_minutes
    )
    sums = {
        name: _by_hour(values, lead, 60 // stream.meter.step_minutes, np.nansum)
        for name, values in columns.items()
    }
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
    left = np.clip(drop - ohm * rise, -1.0, 1.0)
    return {"loop_xy": (left + ohm * rise) * rise, "loop_xx": np.where(np.isnan(left), np.nan, rise**2)}


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
        "gain_sq": ratio**2,
        "excess": excess,
        "excess_n": (~np.isnan(excess)).astype(float),
    }


def sub_bins(values: Array) -> Array:
    """Whole watt-hours a minute, as bin numbers; NaN stays NaN."""
    return np.where(np.isnan(values), np.nan, np.clip(np.round(values / 0.06), 0, SUB_BINS - 1))


PAIRS = ((0, 1), (0, 2), (1, 2))


def _subs(stream: Stream, learned: Learned) -> dict[str, Array]:
    """Per pair of sub-meters, how much better the readings fit when the two are exchanged (log likelihood);
    per sub-meter, whether it moved, and the energy the home used otherwise.
    """
    bins = [sub_bins(stream.values[sub]) for sub in ALL_SUBS]
    known = ~np.isnan(np.sum(bins, axis=0))
    index = [np.where(known, b, 0).astype(int) for b in bins]
    table = learned["sub_log_likelihood"]  # (3, SUB_BINS)
    columns = {}
    for a, b in PAIRS:
        exchanged = table[b][index[a]] + table[a][index[b]]
        columns[f"swap_{a}{b}"] = np.where(known, exchanged - table[a][index[a]] - table[b][index[b]], 0.0)
    for k in range(3):
        columns[f"active_{k}"] = np.where(known, (index[k] > 0).astype(float), np.nan)
    columns["energy"] = np.nan_to_num(stream.values[ACTIVE_POWER]) * stream.meter.step_minutes / 60
    return columns


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
        table = np.zeros((3, SUB_BINS))
        for k, sub in enumerate(ALL_SUBS):
            bins = sub_bins(stream.values[sub])
            counts = np.bincount(bins[~np.isnan(bins)].astype(int), minlength=SUB_BINS) + 1.0
            table[k] = np.log(counts / counts.sum())
        learned["sub_log_likelihood"] = np.maximum(table, -12.0)
    return learned
