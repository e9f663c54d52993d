"""Detectors fitted on the file they search: few false alarms, and long faults found all the same."""

import pandas as pd
import pytest

from smartgrid_pipeline.core.anomaly import fit_on_file
from smartgrid_pipeline.core.anomaly.detector import AnomalyDetector, Detection
from smartgrid_pipeline.core.schema import VOLTAGE, Meter
from smartgrid_pipeline_tests.conftest import HOME, HOUSE, make_readings


def detect(readings: pd.DataFrame, meter: Meter) -> Detection:
    detector = AnomalyDetector(1.0)
    fit_on_file.fit(detector, readings, meter)
    return detector.detect(readings)


@pytest.mark.parametrize("seed", [3, 4])
def test_healthy_home__keeps_the_promise_in_its_own_readings(seed: int) -> None:
    readings = make_readings(120, meter=HOME, seed=seed)
    assert len(detect(readings, HOME).events) <= 5  # four months at one alarm a month, and one


def test_week_of_another_voltage__is_found_though_it_is_a_tenth_of_the_file() -> None:
    readings = make_readings(70, seed=3)
    healthy = detect(readings, HOUSE).events
    readings.loc["2010-02-20":"2010-02-26", VOLTAGE] += 6
    events = detect(readings, HOUSE).events
    assert "voltage" not in set(healthy["fault_class"])
    assert "voltage" in set(events["fault_class"])
    week = (events["start"] < "2010-02-27") & (events["end"] > "2010-02-20")
    found = (events["end"].clip(upper=pd.Timestamp("2010-02-27")) - events["start"])[week].sum()
    assert found > pd.Timedelta(days=5)
