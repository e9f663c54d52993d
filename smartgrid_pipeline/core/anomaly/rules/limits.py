"""The limits of one meter's rules, learned once on clean readings: extremes with a margin, plain numbers."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from smartgrid_pipeline.core.anomaly.interval_array import (
    ALL_SUBS,
    ELECTRICAL,
    Array,
    Flags,
    IntervalArray,
    lag,
    run_lengths,
)
from smartgrid_pipeline.core.anomaly.rules.rules import (
    BLIND,
    DAY,
    RESOLUTION,
    Limits,
    constant_all,
    copied_day,
    moves_missed,
    near_copy,
    power_unlike_current,
    straight_line,
    stuck,
)
from smartgrid_pipeline.core.schema import ACTIVE_POWER, VOLTAGE

NOT_A_FAULT = 8.0
"""A highest value so many spreads above the highest values of most days is a fault, not an extreme."""

HEALTHY_SHARE = 0.9
"""Of days that teach, at least so many are free of faults nobody knows of."""

LONGEST_FAULT_DAYS = 25
"""So long a fault may last in readings that are themselves to be judged: a large share of a short file."""


@dataclass(frozen=True)
class RobustLimits:
    """Readings that teach limits: ``clean`` marks them, and a share of their days is taken to be healthy.

    The fewer those, the nearer they lie together and the more spreads away a fault begins.
    """

    stream: IntervalArray
    clean: Flags
    healthy_share: float = HEALTHY_SHARE

    @classmethod
    def of_short(cls, stream: IntervalArray, clean: Flags) -> Self:
        """A teacher that knows a long fault may hide in a short file, but not in more than half of it."""
        fault_share = LONGEST_FAULT_DAYS * 1440 / (stream.rows * stream.meter.step_minutes)
        return cls(stream, clean, float(np.clip(1 - fault_share, 0.6, HEALTHY_SHARE)))

    def most(self, values: Array, among: Flags | None = None) -> float:
        """Highest clean value, or what most days say it could be where the other days stand far out."""
        daily = self._daily(values, among)
        middle, usual = np.quantile(daily, [0.5, self.healthy_share])
        spreads = NOT_A_FAULT * (HEALTHY_SHARE - 0.5) / (self.healthy_share - 0.5)
        return float(min(daily.max(), usual + spreads * max(usual - middle, 0.1 * abs(usual), 1e-3)))

    def usual(self, values: Array) -> float:
        """What the highest value of a healthy day is at most."""
        return float(np.quantile(self._daily(values), self.healthy_share))

    def _daily(self, values: Array, among: Flags | None = None) -> Array:
        """The highest clean value of each day that has any."""
        among = self.clean if among is None else among
        day = self.stream.times.astype("datetime64[D]")
        starts = np.flatnonzero(np.concatenate([[True], day[1:] != day[:-1]]))
        daily = np.maximum.reduceat(np.where(among & ~np.isnan(values), values, -np.inf), starts)
        return daily[np.isfinite(daily)]

    def least(self, values: Array) -> float:
        """Lowest clean value, as ``most``."""
        return -self.most(-values)

    def longest(self, flags: Flags) -> float:
        """Readings in the longest clean run of flags, as ``most``."""
        return self.most(run_lengths(flags & self.clean).astype(float), np.ones(len(flags), bool))


def learn_limits(stream: IntervalArray, clean: Flags, contaminated: bool = False) -> Limits:
    """Limits of this meter from its clean readings (``clean`` marks them): extremes with a margin.

    A few faulty days among them do no harm: extremes are read off the highest values of most days.
    Where these are ``contaminated``, as readings that are themselves to be judged, what channels say of each
    other is learned with more days left out. What is a habit is not: a season lasts as long as a fault.
    """
    teacher = RobustLimits(stream, clean)
    agreement = RobustLimits.of_short(stream, clean) if contaminated else teacher
    step = stream.meter.step_minutes
    limits = _power_limits(teacher)
    limits["near_copies"] = max(4.0, 1.5 * teacher.longest(near_copy(stream, limits)) + 1)
    limits["straight_readings"] = 1.5 * teacher.longest(straight_line(stream, limits)) + 3
    limits["frozen_readings"], limits["copied_readings"] = max(30.0 / step, 4.0), 2.0
    if stream.has(VOLTAGE):
        limits["straight_readings"] = min(max(limits["straight_readings"], 6.0), 10.0)
    else:
        limits["frozen_readings"] = max(3.0 * teacher.longest(constant_all(stream)), DAY / step)
        limits["copied_readings"] = max(1.5 * teacher.longest(copied_day(stream, limits)), 180 / step)
    for channel in [c for c in ELECTRICAL if stream.has(c)]:
        limits[f"stuck_{channel}"] = max(1.4 * teacher.longest(stuck(channel)(stream, limits)), 5.0)
    for channel, other in [pair for pair in BLIND if stream.has(*pair)]:
        limits[f"blind_{channel}_{other}"] = 1.4 * agreement.most(moves_missed(stream, channel, other)) + 2
    if stream.has(VOLTAGE):
        limits |= _voltage_limits(agreement)
    if stream.has(*ALL_SUBS):
        limits["sub_excess_kw"] = max(1.2 * _sub_excess_kw(agreement), 0.06)
    if stream.has(*ELECTRICAL):
        limits |= _excess_limits(agreement)
    return limits


def _sub_excess_kw(teacher: RobustLimits) -> float:
    """How far sub-meters may exceed the total: by their rounding, or by what they do on a healthy day."""
    values = teacher.stream.values
    excess = np.sum([values[sub] for sub in ALL_SUBS], axis=0) - values[ACTIVE_POWER]
    rounding = sum(RESOLUTION[sub] for sub in ALL_SUBS)
    highest = float(np.quantile(excess[teacher.clean], 0.99999))
    return min(highest, max(teacher.usual(excess), rounding))


def _power_limits(teacher: RobustLimits) -> Limits:
    """Highest power, and what is as good as none: below a share of the lowest, for longer than is natural."""
    stream, clean = teacher.stream, teacher.clean
    power = stream.values[ACTIVE_POWER]
    lowest = teacher.least(power)
    positive = power[clean & (power > 0)]
    none_kw = 0.15 * (lowest if lowest > 0 else float(np.quantile(positive, 0.001)) if len(positive) else 0.0)
    natural = teacher.longest(power < none_kw)
    return {
        "highest_power_kw": 1.5 * teacher.most(power),
        "no_power_kw": none_kw,
        "zero_readings": 1.0 if natural == 0 else 1.5 * natural + 60.0 / stream.meter.step_minutes,
    }


def _voltage_limits(teacher: RobustLimits) -> Limits:
    stream, clean = teacher.stream, teacher.clean
    volt, power = stream.values[VOLTAGE], stream.values[ACTIVE_POWER]
    step = np.abs(volt - lag(volt, 1))
    off = np.abs(volt[1:-1] - (volt[:-2] + volt[2:]) / 2)
    jump = np.minimum(np.abs(power[1:-1] - power[:-2]), np.abs(power[1:-1] - power[2:]))
    inner = clean[1:-1]
    low, high = teacher.least(volt), teacher.most(volt)
    usual = float(np.median(volt[clean]))  # a few weeks have not seen all that is normal
    return {
        "voltage_low_v": min(low - 0.15 * (high - low), 0.92 * usual),
        "voltage_high_v": max(high + 0.15 * (high - low), 1.07 * usual),
        "voltage_step_v": 1.3 * teacher.most(step, clean & np.concatenate([[False], clean[:-1]])),
        "copy_voltage_v": float(np.nanquantile(off[inner], 0.95)),
        "copy_power_kw": float(np.nanquantile(jump[inner], 0.82)),
    }


def _excess_limits(teacher: RobustLimits) -> Limits:
    stream, clean = teacher.stream, teacher.clean
    excess = stream.excess_kva
    low = max(float(np.quantile(excess[clean], 1e-5)), teacher.least(excess))
    limits = {
        "excess_low_kva": 1.1 * low,
        "excess_high_kva": 1.3 * teacher.most(excess),
        "excess_usual_kva": 1.2 * abs(low),
    }
    unlike = power_unlike_current(stream, limits)
    return limits | {"unlike_readings": max(1.5 * teacher.longest(unlike), 5.0)}
