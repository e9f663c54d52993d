"""The monthly schedule and the sensor of failed runs."""

from datetime import UTC, datetime

import dagster as dg
import pytest

from smartgrid_pipeline.orchestration import automation
from smartgrid_pipeline.orchestration.partitions import key_of
from smartgrid_pipeline.orchestration.runtime.instance import reason_of_failure
from smartgrid_pipeline.orchestration.runtime.launch import RunFailed
from smartgrid_pipeline_tests.orchestration.conftest import MONTHS, Place
from smartgrid_pipeline_tests.orchestration.sabotage import negative, spoil


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
