from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from smartgrid_pipeline.core.schema import ACTIVE_POWER
from smartgrid_pipeline.quality import patterns
from smartgrid_pipeline.quality.month import Month
from smartgrid_pipeline_tests.conftest import HOUSE


@pytest.fixture(scope="module")
def month(recorded: dict[str, pd.DataFrame]) -> Month:
    """February of the fine house, January before it."""
    readings = recorded[HOUSE.meter_id]
    return Month.of(readings.loc["2010-02"], HOUSE, "2010-02", readings.loc["2010-01"], True)


def _changed(month: Month, **columns: object) -> Month:
    return replace(month, clean=month.clean.assign(**columns))


def test_order__of_shuffled_values_is_no_evidence(month: Month) -> None:
    per_day = 1440
    assert patterns.order_of(month.power, per_day)[1] > 1000
    shuffled = np.random.default_rng(0).permutation(month.power)
    assert patterns.order_of(shuffled, per_day)[1] < patterns.ORDER_EVIDENCE
    assert patterns.order_of(np.ones(5000), per_day) == (0.0, 0.0)


def test_standstill__of_power_beside_moving_voltage_is_found(month: Month) -> None:
    assert all(finding.passed for finding in patterns.standstill(month))
    power = month.clean[ACTIVE_POWER].copy()
    power.iloc[5000:5600] = 0.5
    found = patterns.standstill(_changed(month, **{ACTIVE_POWER: power}))
    assert [finding.rule for finding in found if not finding.passed] == ["power does not stand still"]


def test_defects__are_warned_of_and_critical_past_their_limit(month: Month) -> None:
    few, many = month.defects.copy(), month.defects.copy()
    few.iloc[:60], many.iloc[: 60 * 13] = "freeze", "freeze"
    severities = [
        [f.severity for f in patterns.defects(replace(month, defects=defects)) if not f.passed]
        for defects in (few, many)
    ]
    assert severities == [["warning"], ["warning", "critical"]]
