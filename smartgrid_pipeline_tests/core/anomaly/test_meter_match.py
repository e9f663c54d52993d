import pandas as pd

from smartgrid_pipeline.core.anomaly.detector import AnomalyDetector
from smartgrid_pipeline.core.anomaly.meter_match import same_meter
from smartgrid_pipeline.core.schema import ACTIVE_POWER, Meter
from smartgrid_pipeline_tests.conftest import HOUSE, make_readings

Fitted = tuple[AnomalyDetector, pd.DataFrame]


def test_same_meter__is_decided_by_common_readings_else_by_the_physics(house: Fitted) -> None:
    detector, readings = house
    faulty = readings.copy()
    faulty.loc["2010-02-21":"2010-02-22", ACTIVE_POWER] *= 0.5
    assert same_meter(detector, faulty, HOUSE, readings)
    other = make_readings(57, seed=99)
    assert not same_meter(detector, other, HOUSE, readings)
    later = readings.copy()
    later.index = later.index + pd.Timedelta(days=400)
    assert same_meter(detector, later, HOUSE, readings)
    abroad = later.assign(voltage_v=later["voltage_v"] / 2)
    assert not same_meter(detector, abroad, HOUSE, readings)
    assert not same_meter(detector, readings, Meter("x", "UTC", 1), readings)
