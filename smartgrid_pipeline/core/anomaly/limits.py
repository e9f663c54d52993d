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

NOT_A_FAULT = 8.0
"""A highest value so many spreads above the highest values of most days is a fault, not an extreme."""


def learn_limits(stream: Stream, clean: Flags) -> Limits:
    """Limits of this meter from its clean readings (``clean`` marks them): extremes with a margin.

    A few faulty days among them do no harm: extremes are read off the highest values of most days.
    """
    step = stream.meter.step_minutes
    limits = _power_limits(stream, clean)
    limits["near_copies"] = max(4.0, 1.5 * _longest(stream, near_copy(stream, limits), clean) + 1)
    limits["straight_readings"] = 1.5 * _longest(stream, straight_line(stream, limits), clean) + 3
    limits["frozen_readings"], limits["copied_readings"] = max(30.0 / step, 4.0), 2.0
    if stream.has(VOLTAGE):
        limits["straight_readings"] = min(max(limits["straight_readings"], 6.0), 10.0)
    else:
        limits["frozen_readings"] = max(3.0 * _longest(stream, constant_all(stream), clean), DAY / step)
        limits["copied_readings"] = max(1.5 * _longest(stream, copied_day(stream, limits), clean), 180 / step)
    for channel in [c for c in ELECTRICAL if stream.has(c)]:
        longest = _longest(stream, stuck(channel)(stream, limits), clean)
        limits[f"stuck_{channel}"] = max(1.4 * longest, 5.0)
    for channel, other in [pair for pair in BLIND if stream.has(*pair)]:
        missed = _most(stream, moves_missed(stream, channel, other), clean)
        limits[f"blind_{channel}_{other}"] = 1.4 * missed + 2
    if stream.has(VOLTAGE):
        limits |= _voltage_limits(stream, clean)
    if stream.has(*ALL_SUBS):
        excess = np.sum([stream.values[sub] for sub in ALL_SUBS], axis=0) - stream.values[ACTIVE_POWER]
        limits["sub_excess_kw"] = max(1.2 * float(np.quantile(excess[clean], 0.99999)), 0.06)
    if stream.has(*ELECTRICAL):
        limits |= _excess_limits(stream, clean)
    return limits


def _most(stream: Stream, values: Array, clean: Flags) -> float:
    """Highest clean value, or what most days say it could be where a few days stand far out."""
    day = stream.times.astype("datetime64[D]")
    starts = np.flatnonzero(np.concatenate([[True], day[1:] != day[:-1]]))
    daily = np.maximum.reduceat(np.where(clean & ~np.isnan(values), values, -np.inf), starts)
    daily = daily[np.isfinite(daily)]
    middle, usual = np.quantile(daily, [0.5, 0.9])
    return float(min(daily.max(), usual + NOT_A_FAULT * max(usual - middle, 0.1 * abs(usual), 1e-3)))


def _longest(stream: Stream, flags: Flags, clean: Flags) -> float:
    return _most(stream, run_lengths(flags & clean).astype(float), np.ones(len(clean), bool))


def _power_limits(stream: Stream, clean: Flags) -> Limits:
    """Highest power, and what is as good as none: below a share of the lowest, for longer than is natural."""
    power = stream.values[ACTIVE_POWER]
    lowest = -_most(stream, -power, clean)
    positive = power[clean & (power > 0)]
    none_kw = 0.15 * (lowest if lowest > 0 else float(np.quantile(positive, 0.001)) if len(positive) else 0.0)
    natural = _longest(stream, power < none_kw, clean)
    return {
        "highest_power_kw": 1.5 * _most(stream, power, clean),
        "no_power_kw": none_kw,
        "zero_readings": 1.0 if natural == 0 else 1.5 * natural + 60.0 / stream.meter.step_minutes,
    }


def _voltage_limits(stream: Stream, clean: Flags) -> Limits:
    volt, power = stream.values[VOLTAGE], stream.values[ACTIVE_POWER]
    step = np.abs(volt - lag(volt, 1))
    off = np.abs(volt[1:-1] - (volt[:-2] + volt[2:]) / 2)
    jump = np.minimum(np.abs(power[1:-1] - power[:-2]), np.abs(power[1:-1] - power[2:]))
    inner = clean[1:-1]
    low, high = -_most(stream, -volt, clean), _most(stream, volt, clean)
    usual = float(np.median(volt[clean]))  # a few weeks have not seen all that is normal
    return {
        "voltage_low_v": min(low - 0.15 * (high - low), 0.92 * usual),
        "voltage_high_v": max(high + 0.15 * (high - low), 1.07 * usual),
        "voltage_step_v": 1.3 * _most(stream, step, clean & np.concatenate([[False], clean[:-1]])),
        "copy_voltage_v": float(np.nanquantile(off[inner], 0.95)),
        "copy_power_kw": float(np.nanquantile(jump[inner], 0.82)),
    }


def _excess_limits(stream: Stream, clean: Flags) -> Limits:
    excess = stream.excess_kva
    low = max(float(np.quantile(excess[clean], 1e-5)), -_most(stream, -excess, clean))
    limits = {
        "excess_low_kva": 1.1 * low,
        "excess_high_kva": 1.3 * _most(stream, excess, clean),
        "excess_usual_kva": 1.2 * abs(low),
    }
    unlike = power_unlike_current(stream, limits)
    return limits | {"unlike_readings": max(1.5 * _longest(stream, unlike, clean), 5.0)}
