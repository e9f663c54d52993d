"""Fault put in, rules and monitors that raise it → fault class and channels."""

import numpy as np
import pytest

from smartgrid_pipeline.core.anomaly.detection import ALARM_CLASS
from smartgrid_pipeline.core.anomaly.events.diagnosis import Diagnosis, Evidence, diagnose
from smartgrid_pipeline.core.anomaly.injection.catalogue import FAULT_TYPES
from smartgrid_pipeline.core.anomaly.physics.hourly import aggregate
from smartgrid_pipeline.core.schema import (
    ACTIVE_POWER,
    CHANNELS,
    CURRENT,
    REACTIVE_POWER,
    SUB_METERS,
    VOLTAGE,
)
from smartgrid_pipeline_tests.core.anomaly import made

P, Q, V, I, SUBS = ACTIVE_POWER, REACTIVE_POWER, VOLTAGE, CURRENT, SUB_METERS  # noqa: E741
CASES = (
    ("reverse_ct", 0.0, "negative", (P,)),
    ("duplicate_day", 0.0, "copied_day", CHANNELS),
    ("linear_fill", 0.0, "straight_line", CHANNELS),
    ("dropout_zero", 0.0, "no_power", (P,)),
    ("stuck_V", 0.0, f"stuck_{V}", (V,)),
    ("stuck_all", 0.0, "freeze", CHANNELS),
    ("sag", 0.85, "voltage_band", (V,)),
    ("swap_PQ", 0.0, "power_unlike_current", (P, Q)),
    ("unit_error", 5.0, "too_much_power", (P,)),
    ("unit_error", 5.0, "gain", (P,)),
    ("tamper_P", 0.5, "gain", (P,)),
    ("voltage_bias", 6.0, "gain", (V,)),
    ("clock_shift", 45.0, "voltage_clock", (V,)),
    ("bypass", 0.5, "loop_impedance", (I,)),
    ("swap_PQ", 0.0, "phase_angle", (P, Q)),
    ("heater_stuck", 2.0, "never_off", (SUBS[2],)),
    ("heater_stuck", 2.0, "sub_rest", (SUBS[2],)),
    ("stuck_on", 0.6, "base_load_high", (P,)),
)


def diagnosed(fault_type: str, magnitude: float, *names: str) -> Diagnosis | None:
    recorded = made.injected(fault_type, magnitude)
    rows = np.flatnonzero(recorded.times >= made.FAULT_START)[: made.FAULT_DAYS * 1440]
    hourly = aggregate(recorded, made.LEARNED)
    return diagnose(Evidence(recorded, hourly, slice(rows[0], rows[-1] + 1), frozenset(names)))


@pytest.mark.parametrize(("fault_type", "magnitude", "name", "channels"), CASES)
def test_diagnosis__has_the_class_and_the_channels_of_the_fault(
    fault_type: str, magnitude: float, name: str, channels: tuple[str, ...]
) -> None:
    found = diagnosed(fault_type, magnitude, name)
    assert found is not None
    assert found.fault_class == FAULT_TYPES[fault_type].fault_class
    assert found.channels == channels


def test_diagnosis__of_exchanged_sub_meters_names_both() -> None:
    found = diagnosed("swap_sub", 0.0, "sub_exchange")
    assert found is not None and found.fault_class == "sub_meter"
    assert len(set(found.channels) & set(SUBS)) == 2


def test_diagnosis__tells_the_size_of_shifts_and_bypasses() -> None:
    shift = diagnosed("clock_shift", -60.0, "voltage_clock")
    bypass = diagnosed("bypass", 0.5, "loop_impedance")
    assert shift is not None and shift.size == "by about -60 min"
    assert bypass is not None and bypass.lost_kwh is not None
    rows = slice(
        *np.searchsorted(made.RECORDED.times, [made.FAULT_START, made.FAULT_START + np.timedelta64(5, "D")])
    )
    used_kwh = made.RECORDED.values[P][rows].sum() / 60
    assert bypass.lost_kwh == pytest.approx(used_kwh / 2, rel=0.3)


def test_diagnosis__needs_more_than_the_ensemble() -> None:
    assert diagnosed("party", 1.0, "ensemble") is None


def test_alarm_classes__cover_every_fault_class() -> None:
    assert {fault.fault_class for fault in FAULT_TYPES.values()} <= set(ALARM_CLASS)
