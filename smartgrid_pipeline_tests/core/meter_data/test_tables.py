import pandas as pd

from smartgrid_pipeline.core import meter_data
from smartgrid_pipeline.core.schema import CHANNELS
from smartgrid_pipeline_tests.conftest import HOME


def test_merge_defects__joins_what_a_month_end_cut() -> None:
    index = pd.date_range("2010-01-31 23:00", periods=4, freq="30min")
    types = pd.Series(["", "gap", "gap", ""], index=index)
    parts = [meter_data.defect_table(part, 30, HOME.channels) for part in (types[:2], types[2:])]
    merged = meter_data.merge_defects(parts, 30)
    assert merged[["start", "end", "minutes"]].to_numpy().tolist() == [[index[1], index[2], 60]]


def test_defect_table__has_one_row_per_run_of_a_type() -> None:
    index = pd.date_range("2010-01-01", periods=5, freq="1min")
    table = meter_data.defect_table(pd.Series(["gap", "gap", "freeze", "", "gap"], index), 1, CHANNELS)
    assert table[["kind", "minutes"]].to_numpy().tolist() == [["gap", 2], ["freeze", 1], ["gap", 1]]
