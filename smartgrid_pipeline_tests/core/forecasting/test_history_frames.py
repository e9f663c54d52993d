"""Histories from tables and files."""

from pathlib import Path

import numpy as np
import pytest

from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.forecasting import history_frames
from smartgrid_pipeline.core.schema import ACTIVE_POWER, DataError
from smartgrid_pipeline_tests.conftest import HOUSE, make_readings, make_table


@pytest.fixture(scope="module")
def house() -> History:
    return history_frames.history_from_readings(make_readings(3), HOUSE)


def test_history__comes_back_from_its_file_bit_for_bit(house: History, tmp_path: Path) -> None:
    found = history_frames.load(history_frames.save(house, tmp_path / "folder" / "house.npz"))
    assert found.meter == house.meter and found.within.keys() == house.within.keys()
    for name in ("starts", "power_kw", "observed_share", "features"):
        np.testing.assert_array_equal(getattr(found, name), getattr(house, name))
    np.testing.assert_array_equal(found.within[ACTIVE_POWER], house.within[ACTIVE_POWER])
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["house.npz"]


def test_history__of_its_last_days_ends_where_it_ended(house: History) -> None:
    assert house.last_days(1).end == house.end
    assert len(house.last_days(1).starts) == 288
    assert len(house.last_days(9).starts) == len(house.starts)


def test_history__of_an_irregular_table_is_refused(house: History) -> None:
    table = make_table(make_readings(2), HOUSE)
    with pytest.raises(DataError, match="not a regular grid"):
        history_frames.history_from_table(table.drop(table.index[10]), HOUSE)
