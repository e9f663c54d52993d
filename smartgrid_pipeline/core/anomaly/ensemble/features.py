"""Causal inputs of the ensemble: what each working interval looks like beside its own past.

All of them use this interval and earlier ones only, none more than CONTEXT_DAYS back; a channel a meter
lacks takes its inputs with it.
"""

import numpy as np

from smartgrid_pipeline.core.anomaly.interval_array import (
    ALL_SUBS,
    ELECTRICAL,
    Array,
    IntervalArray,
    lag,
    rolling_mean,
    rolling_min,
)
from smartgrid_pipeline.core.schema import ACTIVE_POWER, CURRENT, REACTIVE_POWER, VOLTAGE

CONTEXT_DAYS = 8

FLOOR_KW = 0.02
"""Added before logarithms, so that an empty home is not infinitely far from a quiet one."""


def build(stream: IntervalArray) -> dict[str, Array]:
    """Name → one value per working interval, NaN where the readings behind it are missing."""
    power = stream.mean(stream.values[ACTIVE_POWER])
    columns = _power(stream, power) | _calendar(stream)
    if stream.has(VOLTAGE):
        columns |= _voltage(stream, power)
    if stream.has(REACTIVE_POWER):
        columns |= _reactive(stream, power)
    if stream.has(*ELECTRICAL):
        columns |= _consistency(stream)
    if stream.has(*ALL_SUBS):
        columns |= _subs(stream, power)
    return columns


def channel_of(name: str) -> str:
    """The channel an input speaks of; inputs of several channels are about the power they should explain."""
    if name.startswith("voltage"):
        return VOLTAGE
    if name.startswith(("reactive", "phase")):
        return REACTIVE_POWER
    if name.startswith("current"):
        return CURRENT
    if name.startswith("sub_meter"):
        return f"{'_'.join(name.split('_')[:3])}_kw"
    return ACTIVE_POWER


def expected_power(stream: IntervalArray, power: Array) -> Array:
    """Mean power of the same interval on the seven days before, kW: what would have been usual."""
    day = stream.per_hours(24)
    past = np.stack([lag(power, day * k) for k in range(1, 8)])
    seen = ~np.isnan(past)
    with np.errstate(invalid="ignore"):
        return np.where(seen, past, 0.0).sum(0) / seen.sum(0)


def _spread(stream: IntervalArray, values: Array) -> tuple[Array, Array, Array]:
    """Lowest, highest and standard deviation of the readings inside each interval."""
    block = stream.blocks(values)
    empty = np.asarray(np.all(np.isnan(block), axis=1))
    filled = np.where(empty[:, None], 0.0, block)
    low = np.nanmin(filled, axis=1)
    high = np.nanmax(filled, axis=1)
    deviation = np.nanstd(filled, axis=1)
    return tuple(np.where(empty, np.nan, part) for part in (low, high, deviation))  # type: ignore[return-value]


def _log(values: Array) -> Array:
    return np.log(np.maximum(values, 0.0) + FLOOR_KW)


def _power(stream: IntervalArray, power: Array) -> dict[str, Array]:
    hour, day = max(1, stream.per_hours(1)), stream.per_hours(24)
    level = _log(power)
    hourly, daily = rolling_mean(power, hour), rolling_mean(power, day)
    low_day = rolling_min(power, day)
    week_low = rolling_min(power, 7 * day)
    columns = {
        "log_power": level,
        "power_change_kw": power - lag(power, 1),
        "power_against_usual": level - _log(expected_power(stream, power)),
        "power_3h_against_usual": _log(rolling_mean(power, 3 * hour))
        - _log(rolling_mean(expected_power(stream, power), 3 * hour)),
        "power_24h_against_7d": _log(daily) - _log(rolling_mean(power, 7 * day)),
        "power_12h_lowest_against_24h": _log(rolling_min(power, 12 * hour)) - _log(daily),
        "power_24h_lowest": _log(low_day),
        "power_24h_lowest_against_7d": _log(low_day) - _log(lag(week_low, day)),
        "power_unlike_yesterday": np.abs(level - _log(lag(power, day))),
        "standstill_3h": rolling_mean(_still(power), 3 * hour),
        "likeness_to_yesterday_3h": rolling_mean(_alike(power, lag(power, day)), 3 * hour),
    }
    if hour > 1:
        columns["power_against_1h"] = level - _log(hourly)
        columns["power_1h_sd"] = _log(_deviation(power, hour))
    columns["power_24h_sd"] = _log(_deviation(power, day))
    if stream.per > 1:
        low, high, _ = _spread(stream, stream.values[ACTIVE_POWER])
        columns["power_range"] = _log(high - low)
        columns["power_peak"] = _log(high) - level
    return columns


def _still(values: Array) -> Array:
    return np.where(np.isnan(values), np.nan, (np.abs(values - lag(values, 1)) < 0.0015).astype(float))


def _alike(values: Array, others: Array) -> Array:
    return np.where(np.isnan(values), np.nan, (np.abs(values - others) < 0.0015).astype(float))


def _deviation(values: Array, rows: int) -> Array:
    mean = rolling_mean(values, rows)
    return np.sqrt(np.maximum(rolling_mean(values**2, rows) - mean**2, 0.0))


def _calendar(stream: IntervalArray) -> dict[str, Array]:
    minutes = stream.intervals
    days = minutes.astype("datetime64[D]")
    hour = 2 * np.pi * (minutes - days).astype(float) / 1440
    weekend = ((days.astype(int) + 3) % 7 >= 5).astype(float)
    return {"hour_sin": np.sin(hour), "hour_cos": np.cos(hour), "is_weekend": weekend}


def _voltage(stream: IntervalArray, power: Array) -> dict[str, Array]:
    hour, day = stream.per_hours(1), stream.per_hours(24)
    volt = stream.mean(stream.values[VOLTAGE])
    columns = {
        "voltage": volt - rolling_mean(volt, 7 * day),
        "voltage_against_1h": volt - rolling_mean(volt, max(2, hour)),
        "voltage_change": volt - lag(volt, 1) + 1.0 * (power - lag(power, 1)),
        "voltage_against_yesterday": volt - lag(volt, day),
    }
    if stream.per > 1:
        _, _, deviation = _spread(stream, stream.values[VOLTAGE])
        columns["voltage_noise"] = np.log(deviation + 0.02)
        columns["voltage_noise_3h"] = rolling_mean(np.log(deviation + 0.02), 3 * hour)
    return columns


def _reactive(stream: IntervalArray, power: Array) -> dict[str, Array]:
    day = stream.per_hours(24)
    reactive = stream.mean(stream.values[REACTIVE_POWER])
    angle = np.arctan2(reactive, np.maximum(power, 0.0))
    return {
        "reactive": np.log(np.maximum(reactive, 0.0) + 0.02),
        "phase_angle": angle,
        "phase_angle_24h": rolling_mean(angle, day),
    }


def _consistency(stream: IntervalArray) -> dict[str, Array]:
    excess = stream.excess_kva
    low, high, _ = _spread(stream, excess)
    mean = stream.mean(excess)
    hour = stream.per_hours(1)
    apparent = stream.mean(stream.apparent_kva)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.where(apparent > 0.3, np.clip(mean / apparent, -0.5, 0.5), 0.0)
    return {
        "current_a": np.log(np.maximum(stream.mean(stream.values[CURRENT]), 0.0) + 0.1),
        "excess_lowest": low,
        "excess_highest": np.sign(high) * np.sqrt(np.abs(high)),
        "excess_ratio": ratio,
        "excess_3h": rolling_mean(np.clip(mean, -0.3, 0.3), 3 * hour),
    }


def _subs(stream: IntervalArray, power: Array) -> dict[str, Array]:
    hour, day = stream.per_hours(1), stream.per_hours(24)
    subs = {name: stream.mean(stream.values[name]) for name in ALL_SUBS}
    other = power - np.sum(list(subs.values()), axis=0)
    columns = {"other_load": np.sign(other) * np.log1p(np.abs(other) / 0.1)}
    for name, values in subs.items():
        columns[name.replace("_kw", "_log")] = np.log(np.maximum(values, 0.0) + 0.01)
        columns[name.replace("_kw", "_3h")] = np.log(np.maximum(rolling_mean(values, 3 * hour), 0.0) + 0.01)
        columns[name.replace("_kw", "_24h")] = np.log(np.maximum(rolling_mean(values, day), 0.0) + 0.01)
    columns["other_load_24h_lowest"] = rolling_min(other, day)
    return columns
