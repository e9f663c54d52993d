"""From readings to hourly sums: what the physical monitors look at, and what they must know of a meter."""

import numpy as np

from smartgrid_pipeline.core.anomaly.interval_array import (
    ALL_SUBS,
    ELECTRICAL,
    Array,
    IntervalArray,
    lag,
    rolling_mean,
)
from smartgrid_pipeline.core.anomaly.physics import submeter_levels
from smartgrid_pipeline.core.anomaly.physics.hours import HourlyAggregates, Learned
from smartgrid_pipeline.core.schema import ACTIVE_POWER, CURRENT, REACTIVE_POWER, VOLTAGE

LOAD_KVA = 1.2
"""Gain is read where the load is above this: below it the 0.2 A steps of the current drown it."""

RATIO_CLIP = 0.06
SMALLEST_STEP_A = 0.6
"""Smaller current steps are mostly rounding, which would pull the slope of a quiet home towards zero."""


def build(stream: IntervalArray, learned: Learned) -> HourlyAggregates:
    """Hourly sums of a stream (its bad readings already NaN); ``learned`` as ``learn`` gave it."""
    first_hour = stream.times[0].astype("datetime64[h]")
    step, working = stream.meter.step_minutes, stream.meter.working_minutes
    lead = int((stream.times[0] - first_hour.astype("datetime64[m]")) // np.timedelta64(1, "m")) // step
    sums = {
        name: _by_hour(values, lead, 60 // step, np.nansum)
        for name, values in _columns(stream, learned).items()
    }
    hours = len(sums["readings"])
    sums |= _extremes(stream, lead)
    if stream.has(*ALL_SUBS):
        sums |= submeter_levels.count(stream, lead, hours)
        sums |= {f"rests_{k}": submeter_levels.rests(sums[f"{sub}_low"]) for k, sub in enumerate(ALL_SUBS)}
    slots = np.zeros(0)
    if stream.has(VOLTAGE, CURRENT):
        begun = lead * step // working
        slots = np.full(hours * (60 // working), np.nan)
        supply = slot_voltage(stream, float(learned["loop_ohm"]))
        slots[begun : begun + len(supply)] = supply
    return HourlyAggregates(first_hour, working, step, sums, slots, learned)


def _columns(stream: IntervalArray, learned: Learned) -> dict[str, Array]:
    values = stream.values
    columns = {"readings": (~np.isnan(values[ACTIVE_POWER])).astype(float)}
    if stream.has(*ELECTRICAL):
        columns |= _gain(stream)
    if stream.has(VOLTAGE, CURRENT):
        columns |= _loop(stream, float(learned["loop_ohm"]))
    if stream.has(VOLTAGE):
        columns |= {"volt": values[VOLTAGE], "volt_n": (~np.isnan(values[VOLTAGE])).astype(float)}
    if stream.has(REACTIVE_POWER):
        known = ~np.isnan(values[REACTIVE_POWER] + values[ACTIVE_POWER])
        columns |= {
            "phase_q": np.where(known, values[REACTIVE_POWER], 0.0),
            "phase_p": np.where(known, values[ACTIVE_POWER], 0.0),
        }
    if stream.has(*ALL_SUBS):
        columns["energy"] = np.nan_to_num(values[ACTIVE_POWER]) * stream.meter.step_minutes / 60
    return columns


def _extremes(stream: IntervalArray, lead: int) -> dict[str, Array]:
    """Lowest and highest reading of each hour, NaN where there is none."""
    watched = {"power": stream.values[ACTIVE_POWER]}
    if stream.has(VOLTAGE):
        watched["volt"] = stream.values[VOLTAGE]
    if stream.has(*ALL_SUBS):
        watched |= {sub: stream.values[sub] for sub in ALL_SUBS}
        watched["other"] = watched["power"] - np.sum([watched[sub] for sub in ALL_SUBS], axis=0)
    per = 60 // stream.meter.step_minutes
    base = {f"{name}_base": _base(watched[name], lead, per) for name in ("power", "other") if name in watched}
    return (
        base
        | {f"{name}_low": _lowest(values, lead, per) for name, values in watched.items()}
        | {f"{name}_high": -_lowest(-values, lead, per) for name, values in watched.items()}
    )


BASE_SHARE = 0.1


def _base(values: Array, lead: int, per: int) -> Array:
    """What all but the lowest tenth of an hour's readings reach: a single odd reading is no base load."""
    filled = np.where(np.isnan(values), np.inf, values)
    ranked = _by_hour(filled, lead, per, lambda block, axis: np.sort(block, axis=axis), np.inf)
    at = ranked[:, int(BASE_SHARE * per)]
    return np.where(np.isfinite(at), at, np.where(np.isfinite(ranked[:, 0]), ranked[:, 0], np.nan))


def _lowest(values: Array, lead: int, per: int) -> Array:
    least = _by_hour(np.where(np.isnan(values), np.inf, values), lead, per, np.min, np.inf)
    return np.where(np.isinf(least), np.nan, least)


def _by_hour(values: Array, lead: int, per: int, reduce: object, empty: float = np.nan) -> Array:
    n = -(-(lead + len(values)) // per) * per
    block = np.full(n, empty)
    block[lead : lead + len(values)] = values
    return np.asarray(reduce(block.reshape(-1, per), axis=1))  # type: ignore[operator]


def _loop(stream: IntervalArray, ohm: float) -> dict[str, Array]:
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


def _gain(stream: IntervalArray) -> dict[str, Array]:
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


def slot_voltage(stream: IntervalArray, ohm: float) -> Array:
    """Supply voltage of each working interval without the home's own load, against its last hour, ±4 V."""
    supply = stream.mean(stream.values[VOLTAGE] + ohm * stream.values[CURRENT])
    return np.clip(supply - rolling_mean(supply, stream.per_hours(1)), -4.0, 4.0)


def learn(stream: IntervalArray) -> Learned:
    """What the hourly sums need to know of this meter, from clean readings (others NaN)."""
    learned: Learned = {}
    if stream.has(VOLTAGE, CURRENT):
        rough = _loop(stream, 0.25)
        slope = np.nansum(rough["loop_xy"]) / max(float(np.nansum(rough["loop_xx"])), 1e-9)
        learned["loop_ohm"] = np.array(max(slope, 0.0))
    if stream.has(*ALL_SUBS):
        learned |= submeter_levels.learn(stream)
    return learned
