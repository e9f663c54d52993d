"""The physical monitors: their statistics, the channels they need, and what an alarm of each means."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from smartgrid_pipeline.core.anomaly.interval_array import ALL_SUBS, ELECTRICAL, Array
from smartgrid_pipeline.core.anomaly.physics import loads, supply, voltage_clock
from smartgrid_pipeline.core.anomaly.physics.hourly import HourlyAggregates
from smartgrid_pipeline.core.schema import ACTIVE_POWER, CURRENT, REACTIVE_POWER, VOLTAGE


@dataclass(frozen=True)
class Monitor:
    """A physical monitor. ``statistics`` maps the name of a window to (hours,), larger is more anomalous.

    ``needs`` are the channels it is computed from, ``channels`` those an alarm is about. ``symmetric``
    statistics scatter symmetrically about their median as long as nothing is wrong.
    """

    name: str
    alarm_class: str
    fault_class: str
    channels: tuple[str, ...]
    needs: tuple[str, ...]
    statistics: Callable[[HourlyAggregates], dict[str, Array]]
    text: str
    symmetric: bool = False


MONITORS = (
    Monitor("voltage_clock", "meter", "clock", (VOLTAGE,), (VOLTAGE, CURRENT), voltage_clock.clock,
            "the supply voltage's daily pattern comes at another time than usual: the clock is off",
            symmetric=True),
    Monitor("loop_impedance", "meter", "bypass", (CURRENT,), (VOLTAGE, CURRENT), supply.loop_impedance,
            "voltage drops by more per recorded ampere than before: part of the load is not measured",
            symmetric=True),
    Monitor("gain", "meter", "inconsistent", (ACTIVE_POWER,), ELECTRICAL, supply.gain,
            "recorded power and voltage times current have drifted apart"),
    Monitor("excess", "meter", "inconsistent", (ACTIVE_POWER,), ELECTRICAL, supply.excess,
            "recorded power no longer explains the current"),
    Monitor("voltage_level", "grid", "voltage", (VOLTAGE,), (VOLTAGE,), supply.voltage_level,
            "voltage has moved to another level"),
    Monitor("phase_angle", "meter", "phase", (ACTIVE_POWER, REACTIVE_POWER), (REACTIVE_POWER,),
            supply.phase, "more reactive than active power: the two may be exchanged"),
    Monitor("sub_exchange", "meter", "sub_meter", ALL_SUBS, ALL_SUBS, loads.exchange,
            "each of two sub-meters behaves as the other one did before"),
    Monitor("sub_rest", "behaviour", "load", ALL_SUBS, ALL_SUBS, loads.dwell,
            "a sub-meter stays on a level that it has rarely had"),
    Monitor("sub_silence", "meter", "sub_meter", ALL_SUBS, ALL_SUBS, loads.silence_ratios,
            "a sub-meter shows nothing while the home uses energy"),
    Monitor("never_off", "behaviour", "load", ALL_SUBS, ALL_SUBS, loads.never_off,
            "something on a sub-meter never switches off"),
    Monitor("base_load_high", "behaviour", "load", (ACTIVE_POWER,), (), loads.base_high,
            "the base load is higher than it was: something stays on"),
    Monitor("steady_load_high", "behaviour", "load", (ACTIVE_POWER,), (), loads.steady_high,
            "a higher base load that does not move: something stays on"),
    Monitor("base_load_low", "behaviour", "load", (ACTIVE_POWER,), (), loads.base_low,
            "the base load is lower than it ever is"),
    Monitor("flat", "data_quality", "frozen", (ACTIVE_POWER,), (), loads.flatness,
            "power hardly moves, while it always did"),
)  # fmt: skip
"""Every physical monitor; those whose channels a meter lacks are off."""

BY_NAME = {monitor.name: monitor for monitor in MONITORS}


def active(channels: tuple[str, ...]) -> tuple[Monitor, ...]:
    """The monitors that a meter with these channels has."""
    return tuple(monitor for monitor in MONITORS if set(monitor.needs) <= set(channels))


def learn_references(hourly: HourlyAggregates) -> dict[str, Array]:
    """What monitors use before their references cover enough days: medians and extremes of clean readings."""
    learned: dict[str, npt.ArrayLike] = {}
    for name in ("other_base", "power_base"):
        if name in hourly.sums:
            learned[name] = _quantile(loads.log_floor(hourly, name, 24), 0.5)
    twelve_readings = max(1, 12 * hourly.step_minutes // 60)
    learned["calm_range_kw"] = _quantile(loads.power_range(hourly, twelve_readings), 0.01)
    if "volt" in hourly.sums:
        learned["volt"] = _quantile(hourly.mean("volt", "volt_n", 24, 600), 0.5)
    if len(hourly.slots):
        learned["clock_noise"] = voltage_clock.learn_noise(hourly)
    if "gain" in hourly.sums:
        learned["gain"] = _quantile(hourly.mean("gain", "gain_n", 24, 60), 0.5)
        learned["excess"] = _quantile(hourly.mean("excess", "excess_n", 24, 300), 0.5)
    if "energy" in hourly.sums:
        dwell = [hourly.sums[f"dwell_{k}"].sum(0) for k in range(3)]
        learned["submeter_dwell"] = np.stack(dwell).astype(float)
        learned["silent_kwh"] = np.array([max(loads.silent_energy(hourly, k).max(), 1.0) for k in range(3)])
    return {name: np.asarray(value) for name, value in learned.items()}


def _quantile(values: Array, share: float) -> float:
    """Quantile of the known values; NaN without any, so that what depends on it raises no alarm."""
    known = values[~np.isnan(values)]
    return float(np.quantile(known, share)) if len(known) else float("nan")
