"""One run of a meter at a time, and runs whose process was killed are closed.

Dagster marks the run of a killed worker as failed while the code server that started the worker still runs.
When both are killed (power, memory, a closed session), the run stays "started" and keeps its place in the
retrain pool. Each run therefore has a file that its process keeps locked. The operating system releases the
lock when the process ends, however it ends: a file that no process holds belongs to an orphaned run.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import dagster as dg
from filelock import lock_descriptor

from smartgrid_pipeline.core.schema import SmartgridError
from smartgrid_pipeline.orchestration.dagster_private import free_pool_slots
from smartgrid_pipeline.orchestration.resources import Resources
from smartgrid_pipeline.settings import Settings

COMMAND_LINE_TAG = {"smartgrid/started_by": "command line"}
"""Tag of runs that execute in the process of a `smartgrid run` command."""

UNDER_WAY = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]


class RunUnderWay(SmartgridError):
    """Another run of this meter is under way; nothing was begun."""


@contextmanager
def only_run(instance: dg.DagsterInstance, resources: Resources) -> Iterator[list[str]]:
    """Hold the meter for one `smartgrid run`; yields the ids of killed runs that were closed first.

    Raises RegistryError when another command holds the meter. Raises RunUnderWay when the UI or the schedule
    started a run that has not ended.
    """
    from smartgrid_pipeline.registry.connection import exclusive

    home = resources.settings.dagster_home
    with exclusive(home / "command_line.lock", "run this meter", 1.0):
        closed = [*close_orphaned_runs(instance, home), *_close_killed_commands(instance)]
        _refuse_other_runs(instance)
        resources.registry.close_abandoned(lambda run_id: run_has_ended(instance, run_id))
        yield closed


def locked_resources(settings: Settings) -> dg.ResourceDefinition:
    """The Dagster resource of assets, schedules and sensors: the process of a run keeps its file locked."""

    @dg.resource(description="Readings, registry, budget and verdicts of one meter.")
    def resources(context: dg.InitResourceContext) -> Iterator[Resources]:
        run = context.run
        with lock_run(settings.dagster_home, run.run_id) if run else nullcontext():
            yield Resources(settings)

    return resources


@contextmanager
def lock_run(home: Path, run_id: str) -> Iterator[None]:
    """Keep the file of a run locked while its process works; the file is removed at the end."""
    path = _path(home, run_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    unnamed = path.with_name(f".{run_id}.{os.getpid()}")
    with unnamed.open("w") as file:
        lock_descriptor(file.fileno())
        unnamed.replace(path)  # locked before it has its name: never found unlocked while the process runs
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def is_orphaned(home: Path, run_id: str) -> bool:
    """Whether the process of a run was killed: its file is there, and no process holds it.

    False without a file: the process ended properly, has not begun, or runs on another machine.
    """
    try:
        with _path(home, run_id).open() as file:
            return lock_descriptor(file.fileno(), blocking=False)
    except FileNotFoundError:
        return False


def close_orphaned_runs(instance: dg.DagsterInstance, home: Path) -> list[str]:
    """Mark runs of killed processes failed and free their places in pools; returns their ids."""
    orphaned = [run for run in _under_way(instance) if is_orphaned(home, run.run_id)]
    for run in orphaned:
        _close(instance, run)
        _path(home, run.run_id).unlink(missing_ok=True)
    return [run.run_id for run in orphaned]


def run_has_ended(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether a Dagster run is over; True also for a run that this instance has no record of."""
    run = instance.get_run_by_id(run_id)
    return run is None or run.is_finished


def _close_killed_commands(instance: dg.DagsterInstance) -> list[str]:
    """Close runs of killed `smartgrid run` commands. The caller holds the lock, so none of them runs."""
    orphaned = _under_way(instance, COMMAND_LINE_TAG)
    for run in orphaned:
        _close(instance, run)
    return [run.run_id for run in orphaned]


def _close(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    instance.report_run_failed(run, "The process of this run ended without reporting: it was killed.")
    free_pool_slots(instance, run.run_id)


def _refuse_other_runs(instance: dg.DagsterInstance) -> None:
    for run in _under_way(instance):
        raise RunUnderWay(
            f"Run {run.run_id} ({run.job_name}) of {run.tags.get('dagster/partition', 'several months')} is "
            f"{run.status.value.lower()}: started by the UI or the schedule. Let it finish, or terminate "
            "it in the Dagster UI (smartgrid ui), then try again."
        )


def _under_way(instance: dg.DagsterInstance, tags: dict[str, str] | None = None) -> list[dg.DagsterRun]:
    records = instance.get_run_records(dg.RunsFilter(statuses=UNDER_WAY, tags=tags))
    return [record.dagster_run for record in records]


def _path(home: Path, run_id: str) -> Path:
    return home / "locks" / run_id
