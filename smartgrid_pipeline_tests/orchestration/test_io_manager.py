"""Frames of assets are stored and joined by month."""

from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from smartgrid_pipeline.core.schema import DataError
from smartgrid_pipeline.orchestration.io_manager import MonthlyParquet
from smartgrid_pipeline.orchestration.months import load_months
from smartgrid_pipeline.orchestration.partitions import key_of, months

KEYS = dg.PartitionKeyRange(key_of("2010-01"), key_of("2010-03"))
TIMES = pd.to_datetime(["2010-01-31 23:30", "2010-02-01 00:00", "2010-03-05 12:00"])


def written(context_keys: dg.PartitionKeyRange, folder: Path, frame: pd.DataFrame) -> MonthlyParquet:
    manager = MonthlyParquet(directory=str(folder))
    context = dg.build_output_context(
        asset_key=dg.AssetKey("asset"),
        asset_partitions_def=months("2010-01"),
        asset_partition_key_range=context_keys,
    )
    manager.handle_output(context, frame)
    return manager


def test_frame_of_several_months__is_stored_by_month_and_joined_again(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": [1.0, 2.0, 3.0]}, index=TIMES)
    manager = written(KEYS, tmp_path, frame)
    assert [len(pd.read_parquet(manager.path("asset", f"2010-0{n}"))) for n in (1, 2, 3)] == [1, 1, 1]
    context = dg.build_input_context(
        asset_key=dg.AssetKey("asset"),
        asset_partitions_def=months("2010-01"),
        asset_partition_key_range=KEYS,
    )
    pd.testing.assert_frame_equal(manager.load_input(context), frame, check_freq=False)


def test_month_without_rows__is_stored_empty_and_months_never_stored_are_left_out(tmp_path: Path) -> None:
    written(KEYS, tmp_path, pd.DataFrame({"x": [1.0]}, index=TIMES[:1]))
    assert len(pd.read_parquet(tmp_path / "asset" / "2010-02.parquet")) == 0
    joined = load_months(tmp_path, "asset", ["2009-12", "2010-01", "2010-02"])
    assert joined is not None and joined.index.tolist() == [TIMES[0]]
    assert load_months(tmp_path, "asset", ["2009-12"]) is None


def test_load__of_nothing_stored_says_what_to_do(tmp_path: Path) -> None:
    context = dg.build_input_context(
        asset_key=dg.AssetKey("asset"),
        asset_partitions_def=months("2010-01"),
        asset_partition_key_range=KEYS,
    )
    with pytest.raises(DataError, match="materialise it first"):
        MonthlyParquet(directory=str(tmp_path)).load_input(context)
