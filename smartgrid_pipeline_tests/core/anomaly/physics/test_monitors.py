import numpy as np
import pytest

from smartgrid_pipeline.core.anomaly.physics import monitors
from smartgrid_pipeline.core.anomaly.scoring import scores
from smartgrid_pipeline.core.schema import ACTIVE_POWER, VOLTAGE
from smartgrid_pipeline_tests.conftest import HOUSE
from smartgrid_pipeline_tests.core.anomaly import made

INTERVALS = made.RECORDED.intervals
WARM = np.arange(len(INTERVALS)) >= 12 * 288
TAILS = scores.fit_monitor_tails(HOUSE.channels, made.CLEAN, INTERVALS, WARM, 288, 0)

ONCE = 4.5
"""Above the score of what comes once in the readings that tails were fitted on."""

DAYS, EVENING = 24 * made.FAULT_DAYS, 8
MONITORS = {
    "voltage_clock": (("clock_shift", 45.0, DAYS), ("heat_wave", 0.8, DAYS)),
    "loop_impedance": (("bypass", 0.5, DAYS), ("party", 1.0, EVENING)),
    "gain": (("gain_step", 0.05, DAYS), ("vacation", 0.0, DAYS)),
    "excess": (("tamper_P", 0.9, DAYS), ("vacation", 0.0, DAYS)),
    "voltage_level": (("voltage_bias", 6.0, DAYS), ("party", 1.0, EVENING)),
    "phase_angle": (("swap_PQ", 0.0, DAYS), ("party", 1.0, EVENING)),
    "sub_exchange": (("swap_sub", 0.0, DAYS), ("party", 1.0, EVENING)),
    "sub_rest": (("heater_stuck", 1.0, DAYS), ("vacation", 0.0, DAYS)),
    "sub_silence": (("sub_dead", 0.0, DAYS), ("party", 1.0, EVENING)),
    "never_off": (("heater_stuck", 1.0, DAYS), ("vacation", 0.0, DAYS)),
    "base_load_high": (("stuck_on", 0.6, DAYS), ("party", 1.0, EVENING)),
    "steady_load_high": (("stuck_on", 0.6, DAYS), ("party", 1.0, EVENING)),
    "base_load_low": (("no_standby", 1.0, DAYS), ("vacation", 0.0, DAYS)),
    "flat": (("stuck_P", 0.0, DAYS), ("vacation", 0.0, DAYS)),
}
"""Monitor → a fault it must find, a change of normal use it must not flag: type, magnitude, hours."""


def highest(monitor: str, fault_type: str, magnitude: float, hours: int) -> float:
    tails = {name: tail for name, tail in TAILS.items() if name.startswith(f"{monitor}/")}
    hourly = made.with_fault(fault_type, magnitude, hours)
    found = scores.monitor_scores(tails, HOUSE.channels, hourly, INTERVALS)[monitor]
    begun = made.FAULT_START <= INTERVALS
    return float(np.nanmax(found[begun & (made.FAULT_START + np.timedelta64(hours + 1, "h") > INTERVALS)]))


@pytest.mark.parametrize("monitor", MONITORS)
def test_monitor__finds_its_fault_and_leaves_normal_use_alone(monitor: str) -> None:
    fault, normal = MONITORS[monitor]
    assert highest(monitor, *fault) > 7
    assert highest(monitor, *normal) < ONCE


def test_monitors__are_all_tested() -> None:
    assert set(MONITORS) == set(monitors.BY_NAME)


def test_active__are_those_whose_channels_a_meter_has() -> None:
    names = {monitor.name for monitor in monitors.active((ACTIVE_POWER, VOLTAGE))}
    assert {"base_load_high", "flat"} <= names
    assert not {"voltage_clock", "gain", "sub_silence", "phase_angle"} & names
