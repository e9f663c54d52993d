"""The Dagster instance of one meter, and its failures as readable messages."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from sqlalchemy.exc import SQLAlchemyError

from smartgrid_pipeline.core.schema import SmartgridError
from smartgrid_pipeline.orchestration.files import write_atomically

DAGSTER_YAML = """\
telemetry:
  enabled: false
nux:
  enabled: false
concurrency:
  pools:
    default_limit: 1
run_monitoring:
  enabled: true
  poll_interval_seconds: 10
  free_slots_after_run_end_seconds: 20
  max_runtime_seconds: 7200
"""
"""Settings of a new Dagster home: no telemetry, one run at a time in each pool, runs of two hours at most."""


class StateError(SmartgridError):
    """Data or Dagster's own records could not be read or written: disk full, database locked."""


def prepare_home(home: Path) -> Path:
    """Write this package's dagster.yaml into a Dagster home that has none; returns the home."""
    config = home / "dagster.yaml"
    if not config.exists():
        write_atomically(config, DAGSTER_YAML.encode())
    return home


def open_instance(home: Path) -> dg.DagsterInstance:
    """The instance of a Dagster home, which is made at first use."""
    return dg.DagsterInstance.from_config(str(prepare_home(home)))


@contextmanager
def readable_failures(home: Path) -> Iterator[None]:
    """Raise errors of the disk and of Dagster's database as StateError: what failed, where, what to do."""
    try:
        yield
    except (OSError, SQLAlchemyError) as error:
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        free_mb = shutil.disk_usage(home if home.exists() else Path.home()).free / 1e6
        advice = "Free some space" if free_mb < 20 else "Let other processes finish"
        raise StateError(
            f"Cannot read or write the records in {home}: {cause} ({free_mb:.0f} MB free on that disk). "
            f"{advice}, then give the same command again; what was published and the champion are unchanged."
        ) from error


def reason_of_failure(instance: dg.DagsterInstance, run_id: str) -> str:
    """The innermost message of the first step that failed, prefixed with the step's name.

    Without a failed step: the message of the run's own failure event, or where to look.
    """
    message_of_run = ""
    for entry in instance.all_logs(run_id):
        event = entry.dagster_event
        if event is not None and event.is_run_failure and event.message:
            message_of_run = event.message
        if event is not None and event.is_step_failure:
            data = event.step_failure_data
            if data.user_failure_data and data.user_failure_data.description:
                return f"{event.step_key}: {data.user_failure_data.description}"
            error = data.error
            while error is not None and error.cause is not None:
                error = error.cause
            if error is not None and error.cls_name == "DagsterExecutionInterruptedError":
                return f"{event.step_key}: interrupted. What was finished is kept; the same command goes on."
            return f"{event.step_key}: {error.message.strip() if error else 'failed without a message'}"
    return message_of_run or f"Run {run_id} failed before its first step; see its log in the Dagster UI."
