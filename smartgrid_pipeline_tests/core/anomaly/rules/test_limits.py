import numpy as np
import pandas as pd

from smartgrid_pipeline.core.anomaly.interval_array import IntervalArray
from smartgrid_pipeline.core.anomaly.rules import limits
from smartgrid_pipeline.core.schema import ACTIVE_POWER, SUB_METERS
from smartgrid_pipeline_tests.conftest import HOME, HOUSE, make_readings


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


def test_limits__a_fault_of_nine_days_in_forty_does_not_widen_them() -> None:
    clean = make_readings(40, seed=5)
    spoiled = clean.copy()
    spoiled.loc["2010-01-20":"2010-01-28", SUB_METERS[2]] += 2.0
    found = {}
    for name, readings in (("clean", clean), ("spoiled", spoiled)):
        recorded = IntervalArray.from_readings(readings, HOUSE)
        found[name] = limits.learn_limits(recorded, np.ones(len(recorded.times), bool), contaminated=True)
    assert found["spoiled"]["sub_excess_kw"] < found["clean"]["sub_excess_kw"] + 0.1
