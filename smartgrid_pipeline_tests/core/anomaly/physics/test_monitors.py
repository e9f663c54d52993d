import numpy as np
import pandas as pd

from smartgrid_pipeline.core.anomaly.injection.faults import inject
from smartgrid_pipeline.core.anomaly.interval_array import IntervalArray
from smartgrid_pipeline.core.anomaly.physics import loads, monitors, supply, voltage_clock
from smartgrid_pipeline.core.anomaly.physics.hourly import HourlyAggregates, aggregate, learn_constants
from smartgrid_pipeline.core.schema import CURRENT, VOLTAGE
from smartgrid_pipeline_tests.conftest import HOUSE, make_readings

DAYS = 50


def rhythmic() -> pd.DataFrame:
    """A house whose supply voltage has a daily pattern and a loop impedance of 0.25 Ω."""
    readings = make_readings(DAYS, seed=2)
    minute = np.arange(len(readings)) % 1440
    rng = np.random.default_rng(0)
    pattern = np.repeat(rng.normal(0, 1.0, 288), 5)[minute]
    source = 241 + pattern + rng.normal(0, 0.3, len(readings))
    readings[VOLTAGE] = np.round(source - 0.25 * readings[CURRENT], 2)
    return readings


READINGS = rhythmic()
STREAM = IntervalArray.from_readings(READINGS, HOUSE)
LEARNED = learn_constants(STREAM)
LEARNED |= monitors.learn_references(aggregate(STREAM, LEARNED))


def with_fault(fault_type: str, magnitude: float) -> HourlyAggregates:
    start = np.datetime64("2010-02-17T00:00")
    changed, _ = inject(
        READINGS, fault_type, magnitude, start, np.timedelta64(5 * 1440, "m"), np.random.default_rng(0)
    )
    return aggregate(IntervalArray.from_readings(changed, HOUSE), LEARNED)


def test_loop_impedance__is_that_of_the_supply_and_tells_the_measured_share() -> None:
    assert abs(float(LEARNED["loop_ohm"]) - 0.25) < 0.02
    ratio = supply.loop_ratio(with_fault("bypass", 0.5))[-30]
    assert abs(1 / ratio - 0.5) < 0.1


def test_voltage_clock__tells_by_how_much_the_clock_is_off() -> None:
    for minutes in (45.0, -120.0):
        known = with_fault("clock_shift", minutes)
        shifts, scores = voltage_clock.shift_scores(known, 3)
        assert abs(shifts[int(np.argmax(scores[-30]))] - minutes) <= 5
    shifts, scores = voltage_clock.shift_scores(aggregate(STREAM, LEARNED), 3)
    assert abs(shifts[int(np.argmax(scores[-30]))]) <= 5


def test_voltage_clock__frequencies_weigh_by_their_noise() -> None:
    """A slow swing that differs from day to day drowns a plain correlation, not a weighted one."""
    rng = np.random.default_rng(5)
    day, pattern = np.arange(288), rng.normal(0, 0.3, 288)
    swing = np.sin(2 * np.pi * (day / 288 + rng.random((60, 1)))) * rng.normal(0, 3.0, (60, 1))
    slots = (pattern + swing).ravel()
    slots[-5 * 288 :] = np.roll(pattern, 6)[np.tile(day, 5)] + swing[-5:].ravel()
    sums = {"readings": np.full(60 * 24, 60.0)}

    def found(noise: np.ndarray) -> float:
        known = HourlyAggregates(np.datetime64("2010-01-01T00"), 5, 1, sums, slots, {"clock_noise": noise})
        shifts, scores = voltage_clock.shift_scores(known, 3)
        return abs(float(shifts[int(np.argmax(scores[-1]))]) - 30)

    healthy = HourlyAggregates(np.datetime64("2010-01-01T00"), 5, 1, sums, slots[: 50 * 288], {})
    noise = voltage_clock.learn_noise(healthy)
    assert noise.argmax() == 1
    assert found(noise) == 0
    assert found(np.ones(len(noise))) > 0


def test_gain__deviation_is_the_error_put_in() -> None:
    known = with_fault("gain_step", 0.03)
    clean = aggregate(STREAM, LEARNED)
    moved = supply.gain_deviation(known, 72)[-30] - supply.gain_deviation(clean, 72)[-30]
    assert abs(moved + np.log(1.03)) < 0.006


def test_exchange__swapped_sub_meters_fit_better_exchanged() -> None:
    gains = loads.exchange_gains(with_fault("swap_sub", 0.0))
    clean = loads.exchange_gains(aggregate(STREAM, LEARNED))
    assert max(gain[-90:-30].sum() for gain in gains.values()) > 0
    assert max(gain[-90:-30].sum() for gain in clean.values()) <= 0


def test_hours__of_a_chunk_after_a_state_equal_those_of_the_whole() -> None:
    whole = aggregate(STREAM, LEARNED)
    later = IntervalArray.from_readings(READINGS["2010-02-10":], HOUSE)
    joined = aggregate(later, LEARNED).after(whole)
    for name, values in joined.sums.items():
        np.testing.assert_allclose(values, whole.sums[name][-len(values) :], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(joined.slots, whole.slots[-len(joined.slots) :], atol=1e-9)
