"""Whether the process of a run still lives: a locked file each, whose lock falls with its process.

Dagster closes the run of a killed worker while the code server that started it lives. When both die (power,
memory, a killed session) nobody is left to say so, and the run would stay "started" until its time is up.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from smartgrid_pipeline.orchestration.dagster_private import free_pool_slots

UNDER_WAY = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]


@contextmanager
def held(home: Path, run_id: str) -> Iterator[None]:
    """Hold the file of a run while its process works; the file is gone when the block ends."""
    path = _path(home, run_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    begun = path.with_name(f".{run_id}.{os.getpid()}")
    with begun.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        begun.replace(path)  # locked before it has its name: nobody ever finds it free while we live
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def is_dead(home: Path, run_id: str) -> bool:
    """Whether the run's process has died: it left its file, and nobody holds it.

    False where there is no file: the process ended as it should, never came so far, or runs elsewhere.
    """
    try:
        with _path(home, run_id).open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (FileNotFoundError, BlockingIOError):
        return False
    return True


def close_dead(instance: dg.DagsterInstance, home: Path) -> list[str]:
    """Mark runs failed whose process has died, free their places in pools; returns their ids."""
    runs = instance.get_runs(dg.RunsFilter(statuses=UNDER_WAY))
    dead = [run for run in runs if is_dead(home, run.run_id)]
    for run in dead:
        close(instance, run)
        _path(home, run.run_id).unlink(missing_ok=True)
    return [run.run_id for run in dead]


def close(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    """Mark a run failed whose process is known to be dead, and free its places in pools."""
    instance.report_run_failed(run, "The process of this run ended without a word: it was killed.")
    free_pool_slots(instance, run.run_id)


def _path(home: Path, run_id: str) -> Path:
    return home / "alive" / run_id
