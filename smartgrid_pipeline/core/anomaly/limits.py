"""The limits of one meter's rules, learned once on clean readings: extremes with a margin, plain numbers."""

import numpy as np

from smartgrid_pipeline.core.anomaly.rules import (
    BLIND,
    DAY,
    Limits,
    constant_all,
    copied_day,
    moves_missed,
    near_copy,
    power_unlike_current,
    straight_line,
    stuck,
)
from smartgrid_pipeline.core.anomaly.stream import (
    ALL_SUBS,
    ELECTRICAL,
    Array,
    Flags,
    Stream,
    lag,
    run_lengths,
)
from smartgrid_pipeline.core.schema import ACTIVE_POWER, VOLTAGE


def learn_limits(stream: Stream, clean: Flags) -> Limits:
    """Limits of this meter from its clean readings (``clean`` marks them): extremes with a margin."""
    values = stream.values
    step = stream.meter.step_minutes
    power = values[ACTIVE_POWER][clean]
    limits = {
        "highest_power_kw": float(power.max()) * 1.5,
        "lowest_power_kw": float(power.min()),
        "zero_readings": 1.0,
        "frozen_readings": 30.0 / step,
        "copied_readings": 2.0,
    }
    limits["near_copies"] = max(4.0, 1.5 * _longest(near_copy(stream, limits) & clean) + 1)
    limits["straight_readings"] = 1.5 * _longest(straight_line(stream, limits) & clean) + 3
    if stream.has(VOLTAGE):
        limits["straight_readings"] = min(max(limits["straight_readings"], 6.0), 10.0)
    if not stream.has(VOLTAGE):
        still = _longest(constant_all(stream) & clean)
        limits["frozen_readings"] = max(3.0 * still, DAY / step)
        repeats = _longest(copied_day(stream, limits) & clean)
        limits["copied_readings"] = max(1.5 * repeats, 180 / step)
    for channel in [c for c in ELECTRICAL if c in values]:
        longest = _longest(stuck(channel)(stream, limits) & clean)
        limits[f"stuck_{channel}"] = max(1.4 * longest, 5.0)
    for channel, other in [pair for pair in BLIND if stream.has(*pair)]:
        most = float(moves_missed(stream, channel, other)[clean].max(initial=0))
        limits[f"blind_{channel}_{other}"] = 1.4 * most + 2
    if stream.has(VOLTAGE):
        limits |= _voltage_limits(values[VOLTAGE], values[ACTIVE_POWER], clean)
    if stream.has(*ALL_SUBS):
        excess = np.sum([values[sub] for sub in ALL_SUBS], axis=0) - values[ACTIVE_POWER]
        limits["sub_excess_kw"] = max(1.2 * float(np.quantile(excess[clean], 0.99999)), 0.06)
    if stream.has(*ELECTRICAL):
        limits |= _excess_limits(stream, clean)
    return limits


def _longest(flags: Flags) -> float:
    return float(run_lengths(flags).max(initial=0))


def _voltage_limits(volt: Array, power: Array, clean: Flags) -> Limits:
    step = np.abs(volt - lag(volt, 1))[clean & np.concatenate([[False], clean[:-1]])]
    off = np.abs(volt[1:-1] - (volt[:-2] + volt[2:]) / 2)
    jump = np.minimum(np.abs(power[1:-1] - power[:-2]), np.abs(power[1:-1] - power[2:]))
    inner = clean[1:-1]
    low, high = float(volt[clean].min()), float(volt[clean].max())
    usual = float(np.median(volt[clean]))  # a few weeks have not seen all that is normal
    return {
        "voltage_low_v": min(low - 0.15 * (high - low), 0.92 * usual),
        "voltage_high_v": max(high + 0.15 * (high - low), 1.07 * usual),
        "voltage_step_v": 1.3 * float(np.nanmax(step)),
        "copy_voltage_v": float(np.nanquantile(off[inner], 0.95)),
        "copy_power_kw": float(np.nanquantile(jump[inner], 0.82)),
    }


def _excess_limits(stream: Stream, clean: Flags) -> Limits:
    excess = stream.excess_kva
    low = float(np.quantile(excess[clean], 1e-5))
    limits = {
        "excess_low_kva": 1.1 * low,
        "excess_high_kva": 1.3 * float(excess[clean].max()),
        "excess_usual_kva": 1.2 * abs(low),
    }
    unlike = power_unlike_current(stream, limits) & clean
    return limits | {"unlike_readings": max(1.5 * _longest(unlike), 5.0)}
