import numpy as np

from smartgrid_pipeline.core.anomaly.physics import voltage_clock
from smartgrid_pipeline.core.anomaly.physics.hourly import HourlyAggregates
from smartgrid_pipeline_tests.core.anomaly import made

AT = int((made.FAULT_START - made.CLEAN.first_hour) / np.timedelta64(1, "h")) + 24 * made.FAULT_DAYS - 1


def test_voltage_clock__tells_by_how_much_the_clock_is_off() -> None:
    for minutes in (45.0, -120.0):
        known = made.with_fault("clock_shift", minutes)
        shifts, scores = voltage_clock.shift_scores(known, 3)
        assert abs(shifts[int(np.argmax(scores[AT]))] - minutes) <= 5
    shifts, scores = voltage_clock.shift_scores(made.CLEAN, 3)
    assert abs(shifts[int(np.argmax(scores[AT]))]) <= 5


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
