import numpy as np
import pandas as pd
import pytest

from smartgrid_pipeline.core import meter_data
from smartgrid_pipeline.core.schema import ACTIVE_POWER, CHANNELS, OBSERVED_SHARE, DataError
from smartgrid_pipeline_tests.conftest import HOME, HOUSE, make_readings


def test_mask__leaves_nothing_behind_and_fills_nothing() -> None:
    readings = make_readings(2)
    types = pd.Series("", index=readings.index, dtype=object)
    types.iloc[10:20] = "gap"
    clean = meter_data.mask(readings, types)
    assert clean[list(CHANNELS)].iloc[10:20].isna().all(axis=None)
    pd.testing.assert_frame_equal(clean.drop(clean.index[10:20]), readings.drop(readings.index[10:20]))


def test_resample__means_over_the_observed_minutes_with_their_share() -> None:
    readings = make_readings(1).iloc[:10].copy()
    readings[ACTIVE_POWER] = [1.0, 2.0, 3.0, 4.0, 5.0, 1.0, np.nan, np.nan, 4.0, np.nan]
    intervals = meter_data.resample(readings, HOUSE)
    assert intervals[ACTIVE_POWER].tolist() == [3.0, 2.5]
    assert intervals[OBSERVED_SHARE].tolist() == [1.0, pytest.approx(0.4)]
    within = [f"{ACTIVE_POWER}_within_{i}" for i in range(5)]
    assert intervals[within].iloc[0].tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]


def test_resample__keeps_whole_intervals_of_the_civil_clock() -> None:
    readings = make_readings(1).iloc[3:12]  # 00:03 to 00:11
    intervals = meter_data.resample(readings, HOUSE)
    assert [str(time.time()) for time in intervals.index] == ["00:00:00", "00:05:00", "00:10:00"]
    assert intervals[OBSERVED_SHARE].tolist() == [pytest.approx(0.4), 1.0, pytest.approx(0.4)]


def test_resample__refuses_empty_and_irregular_frames() -> None:
    readings = make_readings(1, meter=HOME)
    with pytest.raises(DataError, match="empty"):
        meter_data.resample(readings.iloc[:0], HOME)
    with pytest.raises(DataError, match="regular"):
        meter_data.resample(readings.drop(readings.index[3]), HOME)
