"""One command-line run of a meter at a time, and what a killed one left behind.

A killed process cannot say that it ended: its run stays "started" and keeps its place in the retrain pool, so
the next run would wait for it for ever. The lock file falls with its process; whoever holds it knows that
every other run with the tag is dead.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from smartgrid_pipeline.core.schema import SmartgridError
from smartgrid_pipeline.orchestration import process_locks
from smartgrid_pipeline.orchestration.automation import run_has_ended
from smartgrid_pipeline.orchestration.workbench import Resources

TAG = {"smartgrid/started_by": "command line"}
"""Of runs that live in the process that asked for them."""


class RunUnderWay(SmartgridError):
    """Another run of this meter is under way; nothing was begun."""


@contextmanager
def alone(instance: dg.DagsterInstance, workbench: Resources) -> Iterator[list[str]]:
    """Be the only run of the meter; yields the ids of killed runs closed on the way in.

    Raises RegistryError when another command holds the meter, RunUnderWay when the UI or the schedule
    started a run that has not ended.
    """
    from smartgrid_pipeline.registry.connection import exclusive

    lock = workbench.settings.dagster_home / "command_line.lock"
    with exclusive(lock, "run this meter", 1.0):
        home = workbench.settings.dagster_home
        closed = [*process_locks.close_dead(instance, home), *close_dead_runs(instance)]
        _refuse_company(instance)
        workbench.registry.close_abandoned(lambda run_id: run_has_ended(instance, run_id))
        yield closed


def close_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Mark runs of killed commands failed and free their places in pools; call it holding the lock."""
    dead = instance.get_runs(dg.RunsFilter(statuses=process_locks.UNDER_WAY, tags=TAG))
    for run in dead:
        process_locks.close(instance, run)
    return [run.run_id for run in dead]


def _refuse_company(instance: dg.DagsterInstance) -> None:
    for run in instance.get_runs(dg.RunsFilter(statuses=process_locks.UNDER_WAY)):
        raise RunUnderWay(
            f"Run {run.run_id} ({run.job_name}) of {run.tags.get('dagster/partition', 'several months')} is "
            f"{run.status.value.lower()}: the UI or the schedule asked for it. Let it finish, or terminate "
            "it in the Dagster UI (smartgrid ui), then try again."
        )
