"""One run of a meter at a time; a killed one holds nobody up."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest

from smartgrid_pipeline.core.schema import RegistryError
from smartgrid_pipeline.orchestration import automation
from smartgrid_pipeline.orchestration.resources import Resources
from smartgrid_pipeline.orchestration.runtime import run_lock
from smartgrid_pipeline.orchestration.runtime.instance import reason_of_failure
from smartgrid_pipeline.orchestration.runtime.run_lock import locked_resources
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
    orphaned = begin(instance, run_lock.COMMAND_LINE_TAG)
    assert claimed(instance) == [orphaned]
    with run_lock.only_run(instance, place.resources) as closed:
        assert closed == [orphaned]
    run = instance.get_run_by_id(orphaned)
    assert run is not None and run.status == dg.DagsterRunStatus.FAILURE
    assert claimed(instance) == []


def test_run_of_the_schedule__is_left_alone_and_waited_for(
    instance: dg.DagsterInstance, place: Place
) -> None:
    other = begin(instance, {"dagster/schedule_name": "monthly_retraining_schedule"})
    with pytest.raises(run_lock.RunUnderWay, match=other), run_lock.only_run(instance, place.resources):
        pass
    run = instance.get_run_by_id(other)
    assert run is not None and run.status == dg.DagsterRunStatus.STARTED


def test_second_command__is_refused_while_the_first_one_runs(
    instance: dg.DagsterInstance, place: Place
) -> None:
    with (
        run_lock.only_run(instance, place.resources),
        pytest.raises(RegistryError, match="Let it finish or stop it"),
        run_lock.only_run(instance, place.resources),
    ):
        pass


HOLDS = """
import sys
from pathlib import Path
from smartgrid_pipeline.orchestration.runtime import run_lock
with run_lock.lock_run(Path(sys.argv[1]), sys.argv[2]):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def worker(place: Place, run_id: str) -> Iterator[subprocess.Popen[str]]:
    """A process that works on a run until its standard input ends."""
    words = [sys.executable, "-W", "ignore", "-c", HOLDS, str(place.settings.dagster_home), run_id]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        yield process
        process.kill()


def find_orphaned_runs(instance: dg.DagsterInstance, place: Place) -> str:
    context = dg.build_sensor_context(instance, resources={"resources": place.resources})
    result = automation.orphaned_runs(context)
    assert isinstance(result, dg.SkipReason)
    return str(result.skip_message)


def test_worker_killed_with_its_server__is_closed_at_the_next_look(
    instance: dg.DagsterInstance, place: Place
) -> None:
    other = begin(instance, {"dagster/schedule_name": "monthly_retraining_schedule"})
    with worker(place, other) as process:
        assert "is orphaned" in find_orphaned_runs(instance, place)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert other in find_orphaned_runs(instance, place)
    run = instance.get_run_by_id(other)
    assert run is not None and run.status == dg.DagsterRunStatus.FAILURE
    assert claimed(instance) == []
    assert "it was killed" in reason_of_failure(instance, other)


def test_command__goes_on_where_a_killed_worker_of_the_schedule_left_off(
    instance: dg.DagsterInstance, place: Place
) -> None:
    other = begin(instance, {"dagster/schedule_name": "monthly_retraining_schedule"})
    with worker(place, other) as process:
        with pytest.raises(run_lock.RunUnderWay), run_lock.only_run(instance, place.resources):
            pass
        process.kill()
        process.wait()
    with run_lock.only_run(instance, place.resources) as closed:
        assert closed == [other]


def test_worker_that_ended_well_or_never_began_here__is_not_orphaned(
    instance: dg.DagsterInstance, place: Place
) -> None:
    home = place.settings.dagster_home
    elsewhere = begin(instance, {"dagster/schedule_name": "monthly_retraining_schedule"})
    assert run_lock.close_orphaned_runs(instance, home) == []
    with run_lock.lock_run(home, elsewhere):
        assert not run_lock.is_orphaned(home, elsewhere)
    assert not run_lock.is_orphaned(home, elsewhere) and list((home / "locks").iterdir()) == []


def test_run_of_an_asset__holds_its_lock_while_it_works(place: Place) -> None:
    held: list[bool] = []

    @dg.asset
    def looks(context: dg.AssetExecutionContext, resources: dg.ResourceParam[Resources]) -> None:
        home = resources.settings.dagster_home
        held.append((home / "locks" / context.run.run_id).exists())
        held.append(run_lock.is_orphaned(home, context.run.run_id))

    assert dg.materialize([looks], resources={"resources": locked_resources(place.settings)}).success
    assert held == [True, False]
