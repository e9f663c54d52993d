"""The asset graph, its checks, its jobs and its schedule are what the README draws."""

from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from smartgrid_pipeline.definitions import create_definitions
from smartgrid_pipeline.orchestration import automation, checks
from smartgrid_pipeline.orchestration.partitions import key_of
from smartgrid_pipeline.orchestration.runtime import launch
from smartgrid_pipeline.orchestration.runtime.instance import reason_of_failure
from smartgrid_pipeline.orchestration.runtime.launch import RunFailed
from smartgrid_pipeline.settings import Settings
from smartgrid_pipeline_tests.orchestration.conftest import MONTHS, Place
from smartgrid_pipeline_tests.orchestration.sabotage import negative, spoil

README = Path(__file__).parents[2] / "README.md"
MODELS = [
    "references",
    "lightgbm",
    "ridge",
    "random_forest",
    "extra_trees",
    "gru",
    "cnn_lstm",
    "transformer",
    "attention",
]

GRAPH = {
    "raw_readings": set(),
    "validated_readings": {"raw_readings"},
    "defects": {"validated_readings"},
    "feature_table": {"validated_readings"},
    **{name: {"feature_table"} for name in MODELS},
    "mixture_of_experts": {"feature_table", "gru", "cnn_lstm", "transformer", "attention"},
    "anomaly_detector": {"raw_readings", "validated_readings"},
    "anomaly_report": {"raw_readings", "anomaly_detector"},
    "comparison_report": {"feature_table", "defects", "mixture_of_experts", *MODELS},
    "champion": {"comparison_report"},
}


@pytest.fixture(scope="module")
def definitions(tmp_path_factory: pytest.TempPathFactory) -> dg.Definitions:
    return create_definitions(Settings(home=tmp_path_factory.mktemp("home")))


def test_graph__is_the_one_drawn(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    found = {
        key.to_user_string(): {parent.to_user_string() for parent in graph.get(key).parent_keys}
        for key in graph.get_all_asset_keys()
    }
    assert found == GRAPH


def test_readme__names_every_asset_of_the_graph_in_its_picture() -> None:
    picture = README.read_text().split("```mermaid")[1].split("```")[0]
    drawn: dict[str, set[str]] = {name: set() for name in GRAPH}
    for line in picture.splitlines():
        if "-->" in line:
            left, right = (side.split("&") for side in line.split("-->"))
            for target in right:
                drawn[target.strip()] |= {source.strip() for source in left}
    assert drawn == GRAPH


def test_assets__are_described_owned_grouped_and_partitioned(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.description and node.owners and node.kinds and node.group_name != "default", key
        assert isinstance(node.partitions_def, dg.MonthlyPartitionsDefinition), key


def test_months__of_the_house_end_with_it_and_those_of_a_live_source_grow(place: Place) -> None:
    def keys(settings: Settings, year: int) -> list[str]:
        graph = create_definitions(settings).resolve_asset_graph()
        found = graph.get(dg.AssetKey("champion")).partitions_def
        assert found is not None
        return list(found.get_partition_keys(current_time=datetime(year, 1, 15, tzinfo=UTC)))

    house = keys(Settings(home=place.root), 2026)
    assert (house[0], house[-1], len(house)) == ("2006-12-01", "2010-11-01", 48)
    assert keys(place.settings, 2026)[-1] == "2025-12-01"
    assert keys(place.settings, 2030)[-1] == "2029-12-01"


def test_checks__block_and_are_partitioned(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    found = {key.name: graph.get(key) for key in graph.asset_check_keys}
    assert set(found) == set(checks.CHECKED)
    assert all(node.blocking and node.partitions_def is not None for node in found.values())


def test_retraining__waits_for_its_pool(definitions: dg.Definitions) -> None:
    job = launch.resolve_job(definitions, "monthly_retraining")
    pools = {node.name: node.definition.pool for node in job.graph.nodes}
    assert {name for name, pool in pools.items() if pool == "retrain"} == {
        *MODELS,
        "mixture_of_experts",
        "anomaly_detector",
    }


def tick(place: Place, instance: dg.DagsterInstance, when: datetime) -> dg.RunRequest | dg.SkipReason:
    schedule = place.definitions().resolve_schedule_def("monthly_retraining_schedule")
    context = dg.build_schedule_context(
        instance, scheduled_execution_time=when, resources={"resources": place.resources}
    )
    result = schedule(context)
    assert isinstance(result, dg.RunRequest | dg.SkipReason)
    return result


def test_schedule__asks_for_the_month_just_closed_on_day_two_at_three(taken_in: Place) -> None:
    with taken_in.instance() as instance:
        asked = tick(taken_in, instance, datetime(2010, 4, 2, 3, tzinfo=UTC))
        assert isinstance(asked, dg.RunRequest)
        assert asked.partition_key == key_of("2010-03")
    schedule = taken_in.definitions().resolve_schedule_def("monthly_retraining_schedule")
    assert schedule.cron_schedule == "0 3 2 * *"


def test_schedule__skips_with_a_reason_when_the_month_is_judged(place: Place) -> None:
    with place.instance() as instance:
        partition = key_of(MONTHS[-1])
        instance.report_runless_asset_event(dg.AssetMaterialization("champion", partition=partition))
        skipped = tick(place, instance, datetime(2026, 1, 2, 3, tzinfo=UTC))
        assert isinstance(skipped, dg.SkipReason)
        assert "2010-04 already has its decision" in str(skipped.skip_message)


def test_schedule__skips_with_a_reason_when_no_month_is_complete(taken_in: Place) -> None:
    with taken_in.instance() as instance:
        skipped = tick(taken_in, instance, datetime(2010, 1, 2, 3, tzinfo=UTC))
    assert isinstance(skipped, dg.SkipReason)
    assert "No complete month: the source runs from 2010-01-01" in str(skipped.skip_message)


def test_failure_sensor__notes_any_failed_run_and_says_why(place: Place) -> None:
    @dg.op
    def breaks() -> None:
        raise RuntimeError("the disk is on fire")

    @dg.job
    def elsewhere() -> None:
        breaks()

    with place.instance() as instance:
        result = elsewhere.execute_in_process(instance=instance, raise_on_error=False)
        context = dg.build_run_status_sensor_context(
            sensor_name="failure_notice",
            dagster_instance=instance,
            dagster_run=result.dagster_run,
            dagster_event=result.get_run_failure_event(),
            resources={"resources": place.resources},
        ).for_run_failure()
        automation.failure_notice(context)
    (notice,) = (place.settings.data_dir / "failures").glob("*.json")
    assert result.run_id in notice.read_text()
    assert "elsewhere" in notice.read_text()
    assert "the disk is on fire" in notice.read_text()


def test_failed_run__is_found_by_its_month(place: Place) -> None:
    """Dagster #17836: which run failed for this month, and why?"""
    spoil(place, negative)
    with pytest.raises(RunFailed):
        place.take_in(MONTHS[-1])
    wanted = dg.RunsFilter(
        statuses=[dg.DagsterRunStatus.FAILURE], tags={"dagster/partition": key_of(MONTHS[-1])}
    )
    with place.instance() as instance:
        (run,) = instance.get_runs(wanted)
        assert f"readings of {MONTHS[-1]}: FAILED" in reason_of_failure(instance, run.run_id)
