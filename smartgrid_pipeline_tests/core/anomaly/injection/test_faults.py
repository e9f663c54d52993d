import numpy as np
import pandas as pd
import pytest

from smartgrid_pipeline.core.anomaly.injection.catalogue import BENIGN_TYPES, FAULT_TYPES
from smartgrid_pipeline.core.anomaly.injection.faults import BENIGN, FAULTS, inject
from smartgrid_pipeline.core.anomaly.rules.rules import RESOLUTION
from smartgrid_pipeline.core.schema import ACTIVE_POWER, CHANNELS, CURRENT, REACTIVE_POWER, VOLTAGE, DataError
from smartgrid_pipeline_tests.conftest import HOME, make_readings

READINGS = make_readings(4, seed=5)
START = np.datetime64("2010-01-05T18:07")
DURATION = np.timedelta64(300, "m")
MAGNITUDES = {
    "clock_shift": 45.0,
    "bypass": 0.6,
    "sag": 0.8,
    "swell": 1.15,
    "unit_error": 5.0,
    "tamper_P": 0.5,
}


def put_in(fault_type: str, readings: pd.DataFrame = READINGS, seed: int = 0):  # noqa: ANN201
    return inject(
        readings, fault_type, MAGNITUDES.get(fault_type, 0.7), START, DURATION, np.random.default_rng(seed)
    )


@pytest.mark.parametrize("fault_type", [*FAULTS, *BENIGN])
def test_inject__changes_what_it_labels_and_nothing_else(fault_type: str) -> None:
    channels = list(CHANNELS)
    changed, event = put_in(fault_type)
    again, _ = put_in(fault_type)
    pd.testing.assert_frame_equal(changed, again, check_exact=True)
    differs = (changed[channels].to_numpy() != READINGS[channels].to_numpy()).any(axis=1)
    np.testing.assert_array_equal(differs, event.labels)
    assert event.labels.any()
    inside = (READINGS.index >= event.start) & (READINGS.index < event.end)
    assert not event.labels[~inside].any()
    for channel in channels:
        touched = (changed[channel] != READINGS[channel]).to_numpy().any()
        assert touched == (channel in event.channels)
        steps = changed[channel][event.labels] / RESOLUTION[channel]
        assert np.abs(steps - steps.round()).max() < 1e-6
    assert np.isfinite(changed[channels].to_numpy()).all()


@pytest.mark.parametrize("fault_type", ["bypass", "stuck_on", "heater_stuck", "no_standby", *BENIGN])
def test_consistent_faults__keep_power_and_current_of_one_story(fault_type: str) -> None:
    changed, _ = put_in(fault_type)

    def excess(frame: pd.DataFrame) -> np.ndarray:
        measured = frame[VOLTAGE] * frame[CURRENT] / 1000
        return (measured - np.hypot(frame[ACTIVE_POWER], frame[REACTIVE_POWER])).to_numpy()

    assert excess(changed).min() >= -0.052
    assert excess(changed).max() <= max(excess(READINGS).max(), 0.052)


def test_inject__leaves_missing_readings_missing() -> None:
    holes = READINGS.copy()
    holes.loc["2010-01-05 19:00":"2010-01-05 19:30", list(CHANNELS)] = np.nan
    changed, event = put_in("gain_step", holes)
    assert changed.loc["2010-01-05 19:00":"2010-01-05 19:30", ACTIVE_POWER].isna().all()
    assert not event.labels[holes[ACTIVE_POWER].isna().to_numpy()].any()


def test_inject__says_what_it_cannot_do() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(DataError, match="Unknown fault type"):
        inject(READINGS, "gremlins", 1.0, START, DURATION, rng)
    with pytest.raises(DataError, match="outside"):
        inject(READINGS, "stuck_P", 1.0, np.datetime64("2011-01-01"), DURATION, rng)
    with pytest.raises(DataError, match="voltage_v"):
        inject(make_readings(4, meter=HOME), "voltage_bias", 5.0, START, DURATION, rng)


def test_catalogue__has_every_fault_type_and_draws_within_its_ranges() -> None:
    assert set(FAULT_TYPES) == set(FAULTS) and set(BENIGN_TYPES) == set(BENIGN)
    rng = np.random.default_rng(1)
    for fault_type in FAULT_TYPES.values():
        for _ in range(20):
            magnitude, duration = fault_type.draw(rng)
            assert fault_type.minutes[0] <= duration / np.timedelta64(1, "m") <= fault_type.minutes[1]
            assert (
                magnitude in fault_type.choices
                or fault_type.magnitude[0] <= abs(magnitude) <= fault_type.magnitude[1]
            )
