"""Which months a command runs."""

from pathlib import Path
from typing import Any

import pytest

from smartgrid_pipeline.core.schema import DataError
from smartgrid_pipeline.orchestration.resources import Resources
from smartgrid_pipeline.orchestration.runtime import launch
from smartgrid_pipeline.settings import Settings
from smartgrid_pipeline_tests.conftest import HOME, make_readings


@pytest.fixture
def resources(tmp_path: Path) -> Resources:
    """Readings from 2010-01-01 to 2010-03-11."""
    make_readings(70, "2010-01-01", HOME).to_parquet(tmp_path / "meter.parquet")
    source = str(tmp_path / "meter.parquet")
    return Resources(Settings(home=tmp_path, source=source, timezone=HOME.timezone))


@pytest.mark.parametrize(
    ("months", "spans"),
    [
        ([], []),
        (["2010-12", "2011-01"], [["2010-12", "2011-01"]]),
        (["2010-03", "2010-01"], [["2010-01"], ["2010-03"]]),
    ],
)
def test_spans__are_runs_of_consecutive_months(months: list[str], spans: list[list[str]]) -> None:
    assert launch._spans(months) == spans


def test_source_months__run_from_the_first_reading_to_the_last(resources: Resources) -> None:
    assert launch.source_months(resources) == ["2010-01", "2010-02", "2010-03"]


def test_month__is_the_newest_complete_one_unless_asked_for(resources: Resources) -> None:
    assert launch.choose_month(resources, None) == "2010-02"
    assert launch.choose_month(resources, "2010-01") == "2010-01"


@pytest.mark.parametrize("month", ["2010-03", "2009-12", "2012-07"])
def test_month__that_is_not_complete_in_the_source_is_refused(resources: Resources, month: str) -> None:
    with pytest.raises(DataError, match=f"no complete month {month}.*2010-02 at the latest"):
        launch.choose_month(resources, month)


def test_missing_months__are_those_without_features_unless_readings_or_package_changed(
    resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Instance:
        def get_materialized_partitions(self, key: Any) -> set[str]:
            return {"2010-01-01"}

    instance: Any = Instance()
    assert launch.missing_months(instance, resources, "2010-03") == ["2010-01", "2010-02"]
    launch._write_ingest_state(resources)
    assert launch.missing_months(instance, resources, "2010-03") == ["2010-02"]
    monkeypatch.setattr(launch, "package_sha256", lambda: "another package")
    assert launch.missing_months(instance, resources, "2010-03") == ["2010-01", "2010-02"]
