import pandas as pd
import pytest

from smartgrid_pipeline.core import meter_data
from smartgrid_pipeline.core.schema import ACTIVE_POWER, DataError
from smartgrid_pipeline_tests.conftest import HOME, make_readings


def test_to_grid__orders_completes_and_keeps_the_first_of_repeats() -> None:
    readings = make_readings(1, meter=HOME)
    repeat = readings.iloc[20:21].assign(**{ACTIVE_POWER: 0.0})
    recorded = pd.concat([readings.iloc[10:], readings.iloc[:5], repeat])
    grid = meter_data.to_grid(recorded, HOME)
    assert grid.index.equals(readings.index.as_unit(grid.index.unit))
    assert grid[ACTIVE_POWER].iloc[5:10].isna().all()
    assert grid[ACTIVE_POWER].iloc[20] == readings[ACTIVE_POWER].iloc[20]


def test_to_grid__is_not_led_astray_by_a_first_row_off_the_grid() -> None:
    readings = make_readings(1, meter=HOME)
    off = readings.iloc[:1].shift(freq="7min")
    grid = meter_data.to_grid(pd.concat([off, readings.iloc[1:]]), HOME)
    assert grid[ACTIVE_POWER].notna().sum() == len(readings) - 1


def test_civil_clock__has_no_utc_in_the_hour_that_is_skipped() -> None:
    civil = pd.DatetimeIndex(["2010-03-28 01:59", "2010-03-28 02:30", "2010-03-28 03:00", "2010-10-31 02:30"])
    utc = meter_data.civil_to_utc(civil, "Europe/Paris")
    assert utc.isna().tolist() == [False, True, False, False]
    assert str(utc[3]) == "2010-10-31 00:30:00+00:00"  # the first pass: still summer time


def test_to_grid__refuses_an_empty_frame() -> None:
    with pytest.raises(DataError, match="empty"):
        meter_data.to_grid(make_readings(1, meter=HOME).iloc[:0], HOME)


def test_step__of_irregular_or_too_few_readings_is_refused() -> None:
    readings = make_readings(1, meter=HOME)
    assert meter_data.step_minutes(readings) == 30
    with pytest.raises(DataError, match="regular"):
        meter_data.step_minutes(readings.drop(readings.index[3]))
    with pytest.raises(DataError, match="at least 2"):
        meter_data.step_minutes(readings.iloc[:1])
