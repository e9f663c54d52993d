"""Whether readings are of the meter a detector was fitted on."""

import numpy as np
import pandas as pd

from smartgrid_pipeline.core.anomaly.detector import AnomalyDetector
from smartgrid_pipeline.core.anomaly.interval_array import IntervalArray
from smartgrid_pipeline.core.anomaly.physics import loads
from smartgrid_pipeline.core.anomaly.physics.hourly import aggregate, learn_constants
from smartgrid_pipeline.core.schema import ACTIVE_POWER, REACTIVE_POWER, VOLTAGE, Meter

FINE = (ACTIVE_POWER, REACTIVE_POWER, VOLTAGE)
"""Channels with so many levels that two homes rarely agree by chance."""

OVERLAP_DAYS = 1.0
EQUAL_SHARE = 0.3
"""Share of the common readings that must agree in some channel: a fault may change the other channels."""

VOLTAGE_SHARE, LOOP_FACTOR, BASE_LOG = 0.025, 1.6, 1.0
"""How far supply voltage, loop impedance and log base load of one home may differ."""


def same_meter(
    detector: AnomalyDetector, readings: pd.DataFrame, meter: Meter, known: pd.DataFrame | None
) -> bool:
    """Whether readings, on their grid, can be of the detector's meter, which recorded ``known``.

    Decided by common readings where there are enough of them, else by supply voltage, loop impedance and base
    load.
    """
    own = detector.meter
    if meter.step_minutes != own.step_minutes or not set(own.channels) <= set(meter.channels):
        return False
    if known is not None:
        both = readings.index.intersection(known.index)
        if len(both) * own.step_minutes >= OVERLAP_DAYS * 1440:
            return _equal_readings(readings.loc[both], known.loc[both], own.channels)
    return _same_physics(detector, readings)


def _equal_readings(one: pd.DataFrame, other: pd.DataFrame, channels: tuple[str, ...]) -> bool:
    """Whether in some channel EQUAL_SHARE of the readings are equal; both frames have the same index."""
    shares = []
    for channel in [channel for channel in FINE if channel in channels]:
        if channel not in other:
            return False
        pair = np.stack([one[channel].to_numpy(float), other[channel].to_numpy(float)])
        pair = pair[:, ~np.isnan(pair).any(axis=0) & (pair != 0).any(axis=0)]
        if pair.shape[1]:
            shares.append(float((np.abs(pair[0] - pair[1]) < 1e-6).mean()))
    return max(shares, default=1.0) >= EQUAL_SHARE


def _same_physics(detector: AnomalyDetector, readings: pd.DataFrame) -> bool:
    """Whether supply and base load of the readings are those the detector has learned."""
    learned = detector.learned
    recorded = IntervalArray.from_readings(readings, detector.meter)
    if VOLTAGE in detector.meter.channels:
        volt = float(np.nanmedian(recorded.values[VOLTAGE]))
        if abs(volt / float(learned["volt"]) - 1) > VOLTAGE_SHARE:
            return False
    found = learn_constants(recorded)
    if "loop_ohm" in found:
        ohms = np.maximum([float(found["loop_ohm"]), float(learned["loop_ohm"])], 0.02)
        if ohms.max() / ohms.min() > LOOP_FACTOR:
            return False
    base = loads.log_floor(aggregate(recorded, learned), "power_base", 24)
    return abs(float(np.nanmedian(base)) - float(learned["power_base"])) <= BASE_LOG
