"""Readings that rules call faulty are masked for monitors and ensemble, from when the alarm is raised."""

import numpy as np
import pandas as pd
import pytest

from smartgrid_pipeline.core.anomaly import inputs
from smartgrid_pipeline.core.anomaly.inputs import DetectorInputs
from smartgrid_pipeline.core.anomaly.interval_array import IntervalArray
from smartgrid_pipeline.core.anomaly.rules import limits, rules
from smartgrid_pipeline.core.anomaly.rules.rules import Hit
from smartgrid_pipeline.core.schema import ACTIVE_POWER, DataError
from smartgrid_pipeline_tests.conftest import HOME, make_readings

READINGS = make_readings(20, meter=HOME)
RECORDED = IntervalArray.from_readings(READINGS, HOME)
LIMITS = limits.learn_limits(RECORDED, np.ones(len(RECORDED.times), bool))
BY_NAME = {rule.name: rule for rule in rules.RULES}
WRONG = 500
"""Row of the reading that is made negative."""


def prepared(with_rules: bool = True) -> DetectorInputs:
    readings = READINGS.copy()
    readings.iloc[WRONG, readings.columns.get_loc(ACTIVE_POWER)] = -1.0
    recorded = IntervalArray.from_readings(readings, HOME)
    return inputs.prepare(recorded, LIMITS, {}, with_rules=with_rules)


def test_masked_by_rules__begins_with_the_alarm_and_leaves_out_the_grid() -> None:
    hits = [Hit(BY_NAME["freeze"], 10, 30, 25), Hit(BY_NAME["voltage_band"], 50, 60, 50)]
    assert np.flatnonzero(inputs.masked_by_rules(RECORDED, hits)).tolist() == list(range(25, 30))


def test_prepare__masks_what_a_rule_calls_faulty() -> None:
    found = prepared()
    assert [hit.rule.name for hit in found.hits] == ["negative"]
    assert np.flatnonzero(found.masked).tolist() == [WRONG]
    assert np.isnan(found.features["log_power"][WRONG])
    assert found.hourly.sums["readings"][WRONG // 2] == 1  # of the two readings of that hour
    assert found.recorded.values[ACTIVE_POWER][WRONG] == -1.0  # as recorded


def test_prepare__without_rules_masks_nothing() -> None:
    found = prepared(with_rules=False)
    assert found.hits == [] and not found.masked.any()
    assert np.isfinite(found.features["log_power"][WRONG])


def test_prepare__puts_earlier_hours_before_those_of_the_readings() -> None:
    whole = inputs.prepare(RECORDED, LIMITS, {})
    recent = READINGS[READINGS.index >= pd.Timestamp("2010-01-20")]
    recorded = IntervalArray.from_readings(recent, HOME)
    found = inputs.prepare(recorded, LIMITS, {}, whole.hourly)
    assert found.hourly.first_hour == whole.hourly.first_hour
    for name, values in whole.hourly.sums.items():
        np.testing.assert_array_equal(found.hourly.sums[name], values)
    short = IntervalArray.from_readings(READINGS[:48], HOME)
    with pytest.raises(DataError, match="does not reach"):
        inputs.prepare(recorded, LIMITS, {}, inputs.prepare(short, LIMITS, {}).hourly)
