import numpy as np
import pandas as pd
import pytest

from smartgrid_pipeline.core.schema import DataError
from smartgrid_pipeline.quality.month import Month
from smartgrid_pipeline_tests.conftest import HOME


def test_month__runs_to_its_end_only_when_readings_follow(recorded: dict[str, pd.DataFrame]) -> None:
    february = recorded[HOME.meter_id].loc["2010-02"].iloc[:-48]
    cut = Month.of(february, HOME, "2010-02", None, followed=False)
    whole = Month.of(february, HOME, "2010-02", None, followed=True)
    assert (len(whole.grid), len(cut.grid)) == (28 * 48, 27 * 48)
    assert whole.calendar_rows == 28 * 48 and np.isnan(whole.power[-48:]).all()
    assert not whole.is_fine and whole.rows_per_hour == 2


def test_month__has_the_power_of_the_days_before_it(recorded: dict[str, pd.DataFrame]) -> None:
    readings = recorded[HOME.meter_id]
    month = Month.of(readings.loc["2010-02"], HOME, "2010-02", readings.loc["2010-01"], True)
    assert len(month.earlier_power(3)) == 3 * 48
    alone = Month.of(readings.loc["2010-02"], HOME, "2010-02", None, True)
    assert len(alone.earlier_power(3)) == 0


def test_month__without_its_own_rows_is_refused(recorded: dict[str, pd.DataFrame]) -> None:
    with pytest.raises(DataError, match="No readings of 2010-02"):
        Month.of(recorded[HOME.meter_id].loc["2010-01"], HOME, "2010-02", None, True)
