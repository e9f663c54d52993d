"""Limits of one meter's rules, learned once from clean readings: robust extremes with a margin."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from smartgrid_pipeline.core.anomaly.interval_array import (
    ALL_SUBS,
    ELECTRICAL,
    Array,
    Flags,
    IntervalArray,
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
from smartgrid_pipeline.core.features.lags import lag
from smartgrid_pipeline.core.schema import ACTIVE_POWER, VOLTAGE

MAX_SPREADS = 8.0
"""A daily maximum this many spreads above those of most days is a fault, not an extreme."""

HEALTHY_SHARE = 0.9
"""Share of the training days that are at least free of unknown faults."""

LONGEST_FAULT_DAYS = 25
"""How long a fault may last in readings that are searched themselves: a large share of a short file."""


@dataclass(frozen=True)
class RobustLimits:
    """Robust extremes of the readings that ``clean`` marks, from the maxima of their days.

    ``healthy_share`` of the days are taken to be free of faults. The smaller that share, the narrower is the
    spread of these days, and the more spreads are allowed above it.
    """

    recorded: IntervalArray
    clean: Flags
    healthy_share: float = HEALTHY_SHARE

    @classmethod
    def for_contaminated(cls, recorded: IntervalArray, clean: Flags) -> Self:
        """For readings that may hold a fault of LONGEST_FAULT_DAYS, in at most 40 % of their days."""
        fault_share = LONGEST_FAULT_DAYS * 1440 / (recorded.rows * recorded.meter.step_minutes)
        return cls(recorded, clean, float(np.clip(1 - fault_share, 0.6, HEALTHY_SHARE)))

    def maximum(self, values: Array, among: Flags | None = None) -> float:
        """Highest clean value, capped at MAX_SPREADS spreads above the daily maxima of the healthy days."""
        daily = self._daily_maxima(values, among)
        median, healthy = np.quantile(daily, [0.5, self.healthy_share])
        spreads = MAX_SPREADS * (HEALTHY_SHARE - 0.5) / (self.healthy_share - 0.5)
        return float(min(daily.max(), healthy + spreads * max(healthy - median, 0.1 * abs(healthy), 1e-3)))

    def healthy_maximum(self, values: Array) -> float:
        """Highest daily maximum of the healthy days."""
        return float(np.quantile(self._daily_maxima(values), self.healthy_share))

    def _daily_maxima(self, values: Array, among: Flags | None = None) -> Array:
        """Highest clean value of each day that has any, (days,)."""
        among = self.clean if among is None else among
        day = self.recorded.times.astype("datetime64[D]")
        starts = np.flatnonzero(np.concatenate([[True], day[1:] != day[:-1]]))
        daily = np.maximum.reduceat(np.where(among & ~np.isnan(values), values, -np.inf), starts)
        return daily[np.isfinite(daily)]

    def minimum(self, values: Array) -> float:
        """Lowest clean value, capped as ``maximum``."""
        return -self.maximum(-values)

    def longest_run(self, flags: Flags) -> float:
        """Length in readings of the longest run of flags among clean readings, capped as ``maximum``."""
        return self.maximum(run_lengths(flags & self.clean).astype(float), np.ones(len(flags), bool))


def learn_limits(recorded: IntervalArray, clean: Flags, contaminated: bool = False) -> Limits:
    """Limits of a meter from its clean readings, which ``clean`` marks: robust extremes with a margin.

    ``contaminated`` readings are searched themselves: limits on how channels agree are then learned with more
    days left out. Limits on habits are not, since a season lasts as long as a fault.
    """
    extremes = RobustLimits(recorded, clean)
    agreement = RobustLimits.for_contaminated(recorded, clean) if contaminated else extremes
    step = recorded.meter.step_minutes
    limits = _power_limits(extremes)
    limits["near_copies"] = max(4.0, 1.5 * extremes.longest_run(near_copy(recorded, limits)) + 1)
    limits["straight_readings"] = 1.5 * extremes.longest_run(straight_line(recorded, limits)) + 3
    limits["frozen_readings"], limits["copied_readings"] = max(30.0 / step, 4.0), 2.0
    if recorded.has(VOLTAGE):
        limits["straight_readings"] = min(max(limits["straight_readings"], 6.0), 10.0)
    else:
        limits["frozen_readings"] = max(3.0 * extremes.longest_run(constant_all(recorded)), DAY / step)
        limits["copied_readings"] = max(1.5 * extremes.longest_run(copied_day(recorded, limits)), 180 / step)
    for channel in [c for c in ELECTRICAL if recorded.has(c)]:
        limits[f"stuck_{channel}"] = max(1.4 * extremes.longest_run(stuck(channel)(recorded, limits)), 5.0)
    for channel, other in [pair for pair in BLIND if recorded.has(*pair)]:
        limits[f"blind_{channel}_{other}"] = (
            1.4 * agreement.maximum(moves_missed(recorded, channel, other)) + 2
        )
    if recorded.has(VOLTAGE):
        limits |= _voltage_limits(agreement)
    if recorded.has(*ALL_SUBS):
        limits["sub_excess_kw"] = max(1.2 * _sub_excess_kw(agreement), 0.06)
    if recorded.has(*ELECTRICAL):
        limits |= _excess_limits(agreement)
    return limits


def _sub_excess_kw(extremes: RobustLimits) -> float:
    """How far sub-meters exceed the total on healthy days, kW; at least their rounding."""
    values = extremes.recorded.values
    excess = np.sum([values[sub] for sub in ALL_SUBS], axis=0) - values[ACTIVE_POWER]
    rounding = sum(RESOLUTION[sub] for sub in ALL_SUBS)
    highest = float(np.quantile(excess[extremes.clean], 0.99999))
    return min(highest, max(extremes.healthy_maximum(excess), rounding))


def _power_limits(extremes: RobustLimits) -> Limits:
    """Highest power, and power that counts as none: below a share of the lowest, for unusually long."""
    recorded, clean = extremes.recorded, extremes.clean
    power = recorded.values[ACTIVE_POWER]
    lowest = extremes.minimum(power)
    positive = power[clean & (power > 0)]
    none_kw = 0.15 * (lowest if lowest > 0 else float(np.quantile(positive, 0.001)) if len(positive) else 0.0)
    natural = extremes.longest_run(power < none_kw)
    return {
        "highest_power_kw": 1.5 * extremes.maximum(power),
        "no_power_kw": none_kw,
        "zero_readings": 1.0 if natural == 0 else 1.5 * natural + 60.0 / recorded.meter.step_minutes,
    }


def _voltage_limits(extremes: RobustLimits) -> Limits:
    """Band and step of the voltage, and how far a copied reading may lie from its neighbours."""
    recorded, clean = extremes.recorded, extremes.clean
    volt, power = recorded.values[VOLTAGE], recorded.values[ACTIVE_POWER]
    step = np.abs(volt - lag(volt, 1))
    off = np.abs(volt[1:-1] - (volt[:-2] + volt[2:]) / 2)
    jump = np.minimum(np.abs(power[1:-1] - power[:-2]), np.abs(power[1:-1] - power[2:]))
    inner = clean[1:-1]
    low, high = extremes.minimum(volt), extremes.maximum(volt)
    median = float(np.median(volt[clean]))  # a few weeks do not contain all that is normal
    return {
        "voltage_low_v": min(low - 0.15 * (high - low), 0.92 * median),
        "voltage_high_v": max(high + 0.15 * (high - low), 1.07 * median),
        "voltage_step_v": 1.3 * extremes.maximum(step, clean & np.concatenate([[False], clean[:-1]])),
        "copy_voltage_v": float(np.nanquantile(off[inner], 0.95)),
        "copy_power_kw": float(np.nanquantile(jump[inner], 0.82)),
    }


def _excess_limits(extremes: RobustLimits) -> Limits:
    """Bounds of V·I − √(P² + Q²), kVA, and for how many readings it may lie outside its usual range."""
    recorded, clean = extremes.recorded, extremes.clean
    excess = recorded.excess_kva
    low = max(float(np.quantile(excess[clean], 1e-5)), extremes.minimum(excess))
    limits = {
        "excess_low_kva": 1.1 * low,
        "excess_high_kva": 1.3 * extremes.maximum(excess),
        "excess_usual_kva": 1.2 * abs(low),
    }
    unlike = power_unlike_current(recorded, limits)
    return limits | {"unlike_readings": max(1.5 * extremes.longest_run(unlike), 5.0)}
