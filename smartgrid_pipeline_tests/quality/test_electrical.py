from dataclasses import replace

import pandas as pd
import pytest

from smartgrid_pipeline.core.schema import ACTIVE_POWER, CURRENT, SUB_METERS
from smartgrid_pipeline.quality import electrical
from smartgrid_pipeline.quality.month import Month
from smartgrid_pipeline_tests.conftest import HOUSE


@pytest.fixture(scope="module")
def month(recorded: dict[str, pd.DataFrame]) -> Month:
    """February of the fine house, January before it."""
    readings = recorded[HOUSE.meter_id]
    return Month.of(readings.loc["2010-02"], HOUSE, "2010-02", readings.loc["2010-01"], True)


def _changed(month: Month, **columns: object) -> Month:
    return replace(month, clean=month.clean.assign(**columns))


def _failed(findings: list) -> list[str]:
    return [finding.rule for finding in findings if not finding.passed]


def test_scale__finds_a_load_in_the_wrong_unit(month: Month) -> None:
    assert not _failed(electrical.scale(month))
    tiny = _changed(month, **{ACTIVE_POWER: month.clean[ACTIVE_POWER] / 1000})
    assert "the load has a home's size" in _failed(electrical.scale(tiny))
    huge = _changed(month, **{ACTIVE_POWER: 60 * month.clean[ACTIVE_POWER]})
    assert "the peak is like those before" in _failed(electrical.scale(huge))


def test_volts_times_amperes__finds_power_above_it(month: Month) -> None:
    assert not _failed(electrical.volts_times_amperes(month))
    halved = _changed(month, **{CURRENT: month.clean[CURRENT] / 2})
    assert _failed(electrical.volts_times_amperes(halved)) == ["power fits voltage and current"]


def test_sub_meters__that_exceed_the_total_are_found(month: Month) -> None:
    assert not _failed(electrical.sub_meters(month))
    tripled = _changed(month, **{SUB_METERS[2]: 3 * month.clean[ACTIVE_POWER]})
    assert _failed(electrical.sub_meters(tripled)) == ["sub-meters fit into the whole"]
