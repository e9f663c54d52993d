"""Readings that judge themselves: few alarms of what is usual, and long faults found all the same."""

import numpy as np
import pandas as pd
import pytest

from smartgrid_pipeline.core.anomaly import unlabelled
from smartgrid_pipeline.core.anomaly.detector import AnomalyDetector, Detection
from smartgrid_pipeline.core.anomaly.scoring import alarms, thresholds
from smartgrid_pipeline.core.schema import VOLTAGE, Meter
from smartgrid_pipeline_tests.conftest import HOME, HOUSE, make_readings


def judged(readings: pd.DataFrame, meter: Meter) -> Detection:
    detector = AnomalyDetector(1.0)
    unlabelled.teach(detector, readings, meter)
    return detector.detect(readings)


@pytest.mark.parametrize("seed", [3, 4])
def test_healthy_home__keeps_the_promise_in_its_own_readings(seed: int) -> None:
    readings = make_readings(120, meter=HOME, seed=seed)
    assert len(judged(readings, HOME).events) <= 5  # four months at one alarm a month, and one


def test_week_of_another_voltage__is_told_though_it_is_a_tenth_of_the_file() -> None:
    readings = make_readings(70, seed=3)
    healthy = judged(readings, HOUSE).events
    readings.loc["2010-02-20":"2010-02-26", VOLTAGE] += 6
    events = judged(readings, HOUSE).events
    assert "voltage" not in set(healthy["fault_class"])
    assert "voltage" in set(events["fault_class"])
    week = (events["start"] < "2010-02-27") & (events["end"] > "2010-02-20")
    told = (events["end"].clip(upper=pd.Timestamp("2010-02-27")) - events["start"])[week].sum()
    assert told > pd.Timedelta(days=5)


def test_beyond_habit__what_comes_often_is_a_habit() -> None:
    rarity = np.full(3_000, 1.0)
    rarity[100] = 9.0
    everywhere = np.ones(3_000, bool)
    once = thresholds.hear(rarity, everywhere, everywhere, 6, 1.0, 3)
    assert once.most == pytest.approx(np.log10(3_000) + 1)
    assert once.heights.max() == 1.0
    assert alarms.calibrate({"a": once}, {"a": 1.0}, 1.0, 1.0, 6)["a"] <= once.most
    rarity[200:1_000:100] = 9.0
    often = thresholds.hear(rarity, everywhere, everywhere, 6, 1.0, 3)
    assert np.isinf(often.most)
    assert often.heights.max() == 9.0
    assert np.isinf(thresholds.hear(rarity, everywhere, everywhere, 6, 1.0, 0).most)
