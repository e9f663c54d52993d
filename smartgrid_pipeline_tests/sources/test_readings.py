"""Files and folders that hold several meters."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from smartgrid_pipeline import sources
from smartgrid_pipeline.core.schema import (
    ACTIVE_POWER,
    SourceError,
)
from smartgrid_pipeline.sources import SourceSpec
from smartgrid_pipeline_tests.sources.made import HOMES, half_hours, made_values, two_homes


def test_many_meters__are_listed_and_one_is_chosen(tmp_path: Path) -> None:
    path = tmp_path / "homes.csv"
    two_homes().to_csv(path, index=False)
    assert sources.list_meters(SourceSpec(str(path))) == ("one", "two")
    with pytest.raises(SourceError, match=r"2 meters .*\(one, two\).*--meter"):
        sources.read(SourceSpec(str(path)))
    with pytest.raises(SourceError, match="No meter 'three'"):
        sources.read(SourceSpec(str(path), meter_id="three"))
    found = sources.read(SourceSpec(str(path), meter_id="two"))
    assert found.meter.meter_id == "two"
    np.testing.assert_allclose(found.frame[ACTIVE_POWER], made_values() * 4)


def test_folder__is_read_as_one_source(tmp_path: Path) -> None:
    frame = pd.DataFrame({"timestamp": half_hours(), "kwh": made_values()})
    frame[:200].to_csv(tmp_path / "2012-01.csv", index=False)
    frame[200:].to_parquet(tmp_path / "2012-02.parquet")
    (tmp_path / "notes.md").write_text("not readings", encoding="utf-8")
    found = sources.read(SourceSpec(str(tmp_path)))
    assert found.frame.index.equals(half_hours().as_unit("s"))
    np.testing.assert_allclose(found.frame[ACTIVE_POWER], 2 * made_values())


def test_numbered_rows__are_not_taken_for_meters(tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": range(400), "timestamp": half_hours(), "kwh": made_values()})
    frame.to_csv(tmp_path / "home.csv", index=False)
    assert sources.list_meters(SourceSpec(str(tmp_path / "home.csv"))) == ("home",)
    assert len(sources.read(SourceSpec(str(tmp_path / "home.csv"))).frame) == 400


def test_half_hourly_homes__run_through_the_same_path() -> None:
    if not HOMES.exists():
        pytest.skip(f"{HOMES.name} is not beside the repository")
    spec = SourceSpec(str(HOMES), timezone="Australia/Brisbane")
    ids = sources.list_meters(spec)
    assert len(ids) == 80
    found = sources.read(SourceSpec(str(HOMES), meter_id=ids[0], timezone="Australia/Brisbane"))
    assert (found.meter.step_minutes, found.meter.channels) == (30, (ACTIVE_POWER,))
    assert found.frame[ACTIVE_POWER].max() < 20
