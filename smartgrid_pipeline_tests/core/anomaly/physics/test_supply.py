import numpy as np

from smartgrid_pipeline.core.anomaly.physics import supply
from smartgrid_pipeline_tests.core.anomaly import made

AT = int((made.FAULT_START - made.CLEAN.first_hour) / np.timedelta64(1, "h")) + 24 * made.FAULT_DAYS - 1


def test_loop_impedance__is_that_of_the_supply_and_tells_the_measured_share() -> None:
    assert abs(float(made.LEARNED["loop_ohm"]) - 0.25) < 0.02
    ratio = supply.loop_ratio(made.with_fault("bypass", 0.5))[AT]
    assert abs(1 / ratio - 0.5) < 0.1


def test_gain__deviation_is_the_error_put_in() -> None:
    known = made.with_fault("gain_step", 0.03)
    clean = made.CLEAN
    moved = supply.gain_deviation(known, 72)[AT] - supply.gain_deviation(clean, 72)[AT]
    assert abs(moved + np.log(1.03)) < 0.006
