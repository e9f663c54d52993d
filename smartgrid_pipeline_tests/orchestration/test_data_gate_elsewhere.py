"""The same bad months in the multiprocess executor and on the command line."""

from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from smartgrid_pipeline import cli
from smartgrid_pipeline.definitions import create_definitions
from smartgrid_pipeline.orchestration.partitions import key_of
from smartgrid_pipeline.orchestration.runtime import launch
from smartgrid_pipeline.orchestration.runtime.instance import reason_of_failure
from smartgrid_pipeline.settings import Settings
from smartgrid_pipeline_tests.conftest import HOME, make_readings
from smartgrid_pipeline_tests.orchestration.conftest import LAST, Place
from smartgrid_pipeline_tests.orchestration.sabotage import SABOTAGE, spoil

BAD_MONTHS = [f"2010-{number:02d}" for number in range(2, 2 + len(SABOTAGE))]


def published(place: Place) -> dict[str, bytes]:
    """What an audit stands before; raw readings are kept as they came."""
    return {name: rows for name, rows in place.stored().items() if not name.startswith("raw_readings")}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Callable[[Place], None]:
    """Makes a place the one that other processes and the command line find."""

    def set_up(place: Place) -> None:
        monkeypatch.setenv("DAGSTER_HOME", str(place.settings.dagster_home))
        for name, value in place.settings.model_dump(exclude_none=True).items():
            monkeypatch.setenv(f"SMARTGRID_{name.upper()}", str(value))

    return set_up


def readings_job() -> dg.JobDefinition:
    return _in_processes("readings_in_processes", dg.AssetSelection.groups("readings"))


def downstream_job() -> dg.JobDefinition:
    return _in_processes("downstream_in_processes", dg.AssetSelection.assets("feature_table"))


def _in_processes(name: str, selection: dg.AssetSelection) -> dg.JobDefinition:
    job = dg.define_asset_job(name, selection=selection, executor_def=dg.multiprocess_executor)
    merged = dg.Definitions.merge(create_definitions(Settings()), dg.Definitions(jobs=[job]))
    return launch.resolve_job(merged, name)


def _execute(job: Callable[[], dg.JobDefinition], place: Place, tags: dict[str, str]) -> str:
    """Run a job in processes that must fail; returns what its first failed step said."""
    with place.instance() as instance:
        result = dg.execute_job(dg.reconstructable(job), instance=instance, tags=tags, raise_on_error=False)
        assert not result.success
        return reason_of_failure(instance, result.run_id)


def test_bad_months__stop_in_the_multiprocess_executor(
    tmp_path: Path, environment: Callable[[Place], None]
) -> None:
    place = Place(tmp_path)
    readings = make_readings(211, "2010-01-01", HOME)
    month = readings.index.strftime("%Y-%m")
    parts = [sabotage(readings[month == bad]) for bad, sabotage in zip(BAD_MONTHS, SABOTAGE, strict=True)]
    place.write(pd.concat([readings[month == "2010-01"], *parts, readings[month > BAD_MONTHS[-1]]]))
    place.take_in("2010-01")
    before = published(place)
    environment(place)
    span = launch._span_tags(BAD_MONTHS)
    said = _execute(readings_job, place, span)
    for bad in BAD_MONTHS:
        assert f"readings of {bad}: FAILED" in said
    refused = _execute(downstream_job, place, {"dagster/partition": key_of(BAD_MONTHS[0])})
    assert "checks have not passed (validated_readings.readings_pass_audit failed)" in refused
    assert published(place) == before


@pytest.mark.parametrize("sabotage", SABOTAGE, ids=lambda each: each.__name__)
def test_bad_month__stops_the_command_with_its_verdict(
    place: Place,
    sabotage: Callable[[pd.DataFrame], pd.DataFrame],
    environment: Callable[[Place], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    spoil(place, sabotage)
    before = published(place)
    environment(place)
    monkeypatch.setattr("sys.argv", ["smartgrid", "run", "--month", LAST])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr()
    assert ended.value.code == 1 and said.out == "" and "Traceback" not in said.err
    assert f"readings of {LAST}: FAILED" in said.err and "✗" in said.err and "quality.html" in said.err
    assert published(place) == before
    assert place.resources.registry.champion() is None
    assert "FAILED" in (place.settings.data_dir / "reports" / "quality.html").read_text()
