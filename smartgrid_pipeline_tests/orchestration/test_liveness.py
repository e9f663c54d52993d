"""One run of a meter at a time; a killed one holds nobody up."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from smartgrid_pipeline.core.schema import RegistryError
from smartgrid_pipeline.orchestration import liveness
from smartgrid_pipeline_tests.orchestration.conftest import Place


@dg.op(pool="retrain")
def trains() -> None:
    """Stands for a training."""


@dg.job
def retraining() -> None:
    trains()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A home directory in which nothing was run yet."""
    return Place(tmp_path)


@pytest.fixture
def instance(place: Place) -> Iterator[dg.DagsterInstance]:
    with place.instance() as opened:
        opened.event_log_storage.initialize_concurrency_limit_to_default("retrain")
        yield opened


def begin(instance: dg.DagsterInstance, tags: dict[str, str]) -> str:
    """A run that began, took its place in the pool and says no more."""
    run = instance.create_run_for_job(retraining, tags=tags)
    instance.report_dagster_event(
        dg.DagsterEvent(dg.DagsterEventType.RUN_START.value, job_name=run.job_name), run.run_id
    )
    claim = instance.event_log_storage.claim_concurrency_slot("retrain", run.run_id, "trains")
    assert claim.slot_status.value == "CLAIMED"
    return run.run_id


def claimed(instance: dg.DagsterInstance) -> list[str]:
    return [slot.run_id for slot in instance.event_log_storage.get_concurrency_info("retrain").claimed_slots]


def test_killed_run__is_closed_and_gives_up_its_place(instance: dg.DagsterInstance, place: Place) -> None:
    dead = begin(instance, liveness.TAG)
    assert claimed(instance) == [dead]
    with liveness.alone(instance, place.workbench) as closed:
        assert closed == [dead]
    run = instance.get_run_by_id(dead)
    assert run is not None and run.status == dg.DagsterRunStatus.FAILURE
    assert claimed(instance) == []


def test_run_of_the_schedule__is_left_alone_and_waited_for(
    instance: dg.DagsterInstance, place: Place
) -> None:
    other = begin(instance, {"dagster/schedule_name": "monthly_retraining_schedule"})
    with pytest.raises(liveness.RunUnderWay, match=other), liveness.alone(instance, place.workbench):
        pass
    run = instance.get_run_by_id(other)
    assert run is not None and run.status == dg.DagsterRunStatus.STARTED


def test_second_command__is_refused_while_the_first_one_runs(
    instance: dg.DagsterInstance, place: Place
) -> None:
    with (
        liveness.alone(instance, place.workbench),
        pytest.raises(RegistryError, match="Let it finish or stop it"),
        liveness.alone(instance, place.workbench),
    ):
        pass
