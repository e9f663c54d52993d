"""What users of such systems lost time with; the numbers are the rows of the list of complaints."""

import numpy as np
import pandas as pd
import pytest

from smartgrid_pipeline.core.anomaly.detector import AnomalyDetector
from smartgrid_pipeline.core.anomaly.interval_array import IntervalArray
from smartgrid_pipeline.core.anomaly.meter_match import same_meter
from smartgrid_pipeline.core.anomaly.rules import limits
from smartgrid_pipeline.core.anomaly.rules.rules import moves_missed
from smartgrid_pipeline.core.schema import ACTIVE_POWER, CURRENT, SUB_METERS, Meter
from smartgrid_pipeline_tests.conftest import HOME, HOUSE, make_readings
from smartgrid_pipeline_tests.core.anomaly.conftest import FITTED_UNTIL

Fitted = tuple[AnomalyDetector, pd.DataFrame]


@pytest.mark.parametrize("level_kw", [0.003, 0.4])
def test_row_1__a_noisy_flatline_is_found_near_zero_and_above(home: Fitted, level_kw: float) -> None:
    detector, readings = home
    broken = readings.copy()
    flat = slice("2010-02-22 06:00", "2010-02-23 18:00")
    rng = np.random.default_rng(0)
    rows = len(broken.loc[flat])
    broken.loc[flat, ACTIVE_POWER] = level_kw + 0.002 * rng.integers(0, 2, rows)
    events = detector.detect(broken, since=FITTED_UNTIL.to_datetime64()).events
    inside = events[(events["start"] < "2010-02-23 18:00") & (events["end"] > "2010-02-22 06:00")]
    assert set(",".join(inside["kinds"]).split(",")) & {"no_power", "flat"}


def test_row_4__the_flatline_limit_is_that_of_the_meter() -> None:
    restless = make_readings(30, meter=HOME, seed=1)
    calm = restless.copy()
    for day in range(2, 30, 3):  # stands still for 20 hours every third day
        start = calm.index[day * 48]
        calm.loc[start : start + pd.Timedelta("20h"), ACTIVE_POWER] = 0.3
    learned = []
    for readings in (restless, calm):
        recorded = IntervalArray.from_readings(readings, HOME)
        learned.append(limits.learn_limits(recorded, np.ones(len(recorded.times), bool))["frozen_readings"])
    assert learned[0] == 48
    assert learned[1] > 100


def test_limits__a_few_faulty_days_do_not_spoil_what_is_learned() -> None:
    clean = make_readings(40, seed=5)
    spoiled = clean.copy()
    spoiled.loc["2010-01-20 10:00":"2010-01-20 14:00", ACTIVE_POWER] *= 60
    found = []
    for readings in (clean, spoiled):
        recorded = IntervalArray.from_readings(readings, HOUSE)
        found.append(limits.learn_limits(recorded, np.ones(len(recorded.times), bool)))
    assert found[1]["highest_power_kw"] < 3 * found[0]["highest_power_kw"]


def test_limits__a_fault_of_nine_days_in_forty_is_not_taken_for_a_habit() -> None:
    clean = make_readings(40, seed=5)
    spoiled = clean.copy()
    spoiled.loc["2010-01-20":"2010-01-28", SUB_METERS[2]] += 2.0
    found = {}
    for name, readings in (("clean", clean), ("spoiled", spoiled)):
        recorded = IntervalArray.from_readings(readings, HOUSE)
        found[name] = limits.learn_limits(recorded, np.ones(len(recorded.times), bool), contaminated=True)
    assert found["spoiled"]["sub_excess_kw"] < found["clean"]["sub_excess_kw"] + 0.1


def test_blind__a_frozen_channel_is_betrayed_by_those_that_move() -> None:
    readings = make_readings(3, seed=5)
    frozen = readings.copy()
    frozen.iloc[2_000:2_400, 1] = frozen.iloc[2_000, 1]
    missed = [
        moves_missed(IntervalArray.from_readings(each, HOUSE), ACTIVE_POWER, CURRENT)
        for each in (readings, frozen)
    ]
    assert missed[0].max() == 0
    assert missed[1][2_399] >= 2


def test_contaminated__readings_that_teach_their_own_detector_still_give_their_faults_away() -> None:
    readings = make_readings(70, meter=HOME, seed=8)
    readings.loc["2010-01-25":"2010-01-26", ACTIVE_POWER] = 0.4
    readings.loc["2010-02-20 10:00", ACTIVE_POWER] *= -1
    readings.loc["2010-03-01":"2010-03-03", ACTIVE_POWER] *= 0.1
    detector = AnomalyDetector(1.0)
    detector.fit(readings, HOME, np.datetime64("2010-02-08", "m"), contaminated=True)
    events = detector.detect(readings).events
    for day in ("2010-01-25 18:00", "2010-02-20 10:00", "2010-03-02"):
        at = pd.Timestamp(day)
        assert ((events["start"] <= at) & (events["end"] > at)).any(), day
    assert len(events) <= 14


def test_same_meter__is_told_by_common_readings_else_by_the_physics(house: Fitted) -> None:
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
