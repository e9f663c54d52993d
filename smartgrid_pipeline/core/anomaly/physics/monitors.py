"""Monitors that know electricity and homes: which there are, what each means, what they learn of a meter."""

import numpy as np
import numpy.typing as npt

from smartgrid_pipeline.core.anomaly.interval_array import ALL_SUBS, ELECTRICAL, Array
from smartgrid_pipeline.core.anomaly.physics import loads, supply, voltage_clock
from smartgrid_pipeline.core.anomaly.physics.hours import HourlyAggregates
from smartgrid_pipeline.core.anomaly.physics.monitor import Monitor
from smartgrid_pipeline.core.schema import ACTIVE_POWER, CURRENT, REACTIVE_POWER, VOLTAGE

MONITORS = (
    Monitor("voltage_clock", "meter", "clock", (VOLTAGE,), (VOLTAGE, CURRENT), voltage_clock.clock,
            "the supply voltage's daily pattern comes at another time than usual: the clock is off",
            bell_shaped=True),
    Monitor("loop_impedance", "meter", "bypass", (CURRENT,), (VOLTAGE, CURRENT), supply.loop_impedance,
            "voltage drops by another amount per recorded ampere: part of the load is not measured",
            bell_shaped=True),
    Monitor("gain", "meter", "inconsistent", (ACTIVE_POWER,), ELECTRICAL, supply.gain,
            "recorded power and voltage times current have drifted apart"),
    Monitor("excess", "meter", "inconsistent", (ACTIVE_POWER,), ELECTRICAL, supply.excess,
            "recorded power no longer explains the current"),
    Monitor("voltage_level", "grid", "voltage", (VOLTAGE,), (VOLTAGE,), supply.voltage_level,
            "voltage has moved to another level"),
    Monitor("phase_angle", "meter", "phase", (ACTIVE_POWER, REACTIVE_POWER), (REACTIVE_POWER,),
            supply.phase, "more reactive than active power: the two may be exchanged"),
    Monitor("sub_exchange", "meter", "sub_meter", ALL_SUBS, ALL_SUBS, loads.exchange,
            "two sub-meters look like each other's history"),
    Monitor("sub_rest", "behaviour", "load", ALL_SUBS, ALL_SUBS, loads.rest,
            "a sub-meter rests on a level its history hardly knows"),
    Monitor("sub_silence", "meter", "sub_meter", ALL_SUBS, ALL_SUBS, loads.silence,
            "a sub-meter shows nothing while the home uses energy"),
    Monitor("never_off", "behaviour", "load", ALL_SUBS, ALL_SUBS, loads.never_off,
            "something on a sub-meter never switches off"),
    Monitor("base_load_high", "behaviour", "load", (ACTIVE_POWER,), (), loads.base_high,
            "the base load is higher than it was: something stays on"),
    Monitor("steady_load_high", "behaviour", "load", (ACTIVE_POWER,), (), loads.steady_high,
            "a higher base load that does not move: something stays on"),
    Monitor("base_load_low", "behaviour", "load", (ACTIVE_POWER,), (), loads.base_low,
            "the base load is lower than it ever is"),
    Monitor("flat", "data_quality", "frozen", (ACTIVE_POWER,), (), loads.flat,
            "power hardly moves, while it always did"),
)  # fmt: skip
"""Every physical monitor; those whose channels a meter lacks are off."""


def learn(hours: HourlyAggregates) -> dict[str, Array]:
    """What the monitors fall back on before their references know enough days: medians of the fit."""
    learned: dict[str, npt.ArrayLike] = {}
    for name in ("other_base", "power_base"):
        if name in hours.sums:
            learned[name] = _middle(loads.floor(hours, name, 24))
    twelve_readings = max(1, 12 * hours.step_minutes // 60)
    learned["quiet_range_kw"] = _quantile(loads.power_range(hours, twelve_readings), 0.01)
    if "volt" in hours.sums:
        learned["volt"] = _middle(hours.mean("volt", "volt_n", 24, 600))
    if len(hours.slots):
        learned["clock_noise"] = voltage_clock.learn_noise(hours)
    if "gain" in hours.sums:
        gain = hours.mean("gain", "gain_n", 24, 60)
        learned["gain"] = _middle(gain)
        learned["excess"] = _middle(hours.mean("excess", "excess_n", 24, 300))
    if "energy" in hours.sums:
        learned["sub_rests"] = np.stack([hours.sums[f"rests_{k}"].sum(0) for k in range(3)]).astype(float)
        learned["silent_kwh"] = np.array([max(loads.silent_energy(hours, k).max(), 1.0) for k in range(3)])
    return {name: np.asarray(value) for name, value in learned.items()}


def _middle(values: Array) -> float:
    return _quantile(values, 0.5)


def _quantile(values: Array, share: float) -> float:
    """Of the known values; NaN where there is none, so that what needs it stays silent."""
    known = values[~np.isnan(values)]
    return float(np.quantile(known, share)) if len(known) else float("nan")


def active(channels: tuple[str, ...]) -> tuple[Monitor, ...]:
    """The monitors a meter with these channels has."""
    return tuple(monitor for monitor in MONITORS if set(monitor.needs) <= set(channels))
