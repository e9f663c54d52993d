"""Run the same jobs as the schedule from a program: first the history that is missing, then the month."""

import json
import uuid
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pandas as pd

from smartgrid_pipeline.core.schema import DataError, SmartgridError, Verdict
from smartgrid_pipeline.orchestration import automation
from smartgrid_pipeline.orchestration.code_version import package_sha256
from smartgrid_pipeline.orchestration.instance import reason_of_failure
from smartgrid_pipeline.orchestration.partitions import key_of, month_of
from smartgrid_pipeline.orchestration.runtime import run_lock
from smartgrid_pipeline.orchestration.workbench import Resources, VerdictFiles, write_atomically

OnStep = Callable[[str, str], None]
"""Called with a step's name and what happened: "start", "success", "skipped" or "failure"."""

_EVENTS = {
    "STEP_START": "start",
    "STEP_SUCCESS": "success",
    "STEP_SKIPPED": "skipped",
    "STEP_FAILURE": "failure",
}


class RunFailed(SmartgridError):
    """A Dagster run failed; the message is the reason of the first step that failed."""


@dataclass(frozen=True)
class Intake:
    """What became of the history: months taken in now, and months refused with their verdicts."""

    taken: tuple[str, ...]
    refused: tuple[Verdict, ...]


def run_job(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    job: str,
    months: Sequence[str],
    on_step: OnStep,
) -> str:
    """Execute a job in this process over one month or a span of months; returns the Dagster run id.

    The run is recorded in the instance like any other. Raises RunFailed with the reason.
    """
    run_id = str(uuid.uuid4())
    instance.add_event_listener(run_id, lambda entry: _tell(entry, on_step))
    span = _span_tags(months) if len(months) > 1 else {}
    result = resolve_job(definitions, job).execute_in_process(
        instance=instance,
        partition_key=None if span else key_of(months[0]),
        tags=span | run_lock.TAG,
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        run_id=run_id,
        raise_on_error=False,
    )
    if not result.success:
        raise RunFailed(reason_of_failure(instance, run_id))
    return run_id


def resolve_job(definitions: dg.Definitions, job: str) -> dg.JobDefinition:
    """A job of the location; Dagster's notice that data assets may run over many months at once is known."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*varying BackfillPolicies.*")
        return definitions.resolve_job_def(job)


def take_in_history(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    workbench: Resources,
    month: str,
    on_step: OnStep,
) -> Intake:
    """Bring every month before ``month`` that is not yet published to features, in as few runs as possible.

    A month whose audit fails is left out, with its verdict kept, and does not hold up the others.
    """
    wanted = missing_months(instance, workbench, month)
    refused: dict[str, Verdict] = {}
    taken: list[str] = []
    for _ in range(2):  # once for all; once more around the months whose audit failed
        for span in _spans([m for m in wanted if m not in refused and m not in taken]):
            try:
                run_job(definitions, instance, "take_in", span, on_step)
                taken += span
            except RunFailed:
                found = failed_verdicts(workbench.verdicts, span)
                if not found:
                    raise
                refused |= {verdict.subject: verdict for verdict in found}
    _remember_intake(workbench)
    return Intake(tuple(sorted(taken)), tuple(refused[m] for m in sorted(refused)))


def missing_months(instance: dg.DagsterInstance, workbench: Resources, month: str) -> list[str]:
    """Months of the source before ``month`` whose features are not published, or came from other readings or
    another version of this package.
    """
    published = {month_of(key) for key in instance.get_materialized_partitions(dg.AssetKey("feature_table"))}
    refused = {verdict.subject for verdict in failed_verdicts(workbench.verdicts, source_months(workbench))}
    done = (published | refused) if _last_intake(workbench) == _intake(workbench) else set()
    return [m for m in source_months(workbench) if m < month and m not in done]


def source_months(workbench: Resources) -> list[str]:
    """Every civil month between the first and the last reading."""
    identity = workbench.readings.fingerprint
    months = pd.period_range(identity.first, identity.last, freq="M")
    return [str(period) for period in months]


def choose_month(workbench: Resources, asked: str | None) -> str:
    """The month asked for, or the newest complete one. Raises DataError when the source does not have it."""
    identity, step = workbench.readings.fingerprint, workbench.readings.meter.step_minutes
    newest = automation.newest_complete_month(
        pd.Timestamp(identity.last) + pd.Timedelta(minutes=step), pd.Timestamp.now(tz="UTC")
    )
    month = asked or newest
    if month not in source_months(workbench) or month > newest:
        raise DataError(
            f"The source has no complete month {month}: it {identity.span}. "
            f"Choose one with --month, {newest} at the latest."
        )
    return month


def _intake(workbench: Resources) -> dict[str, str]:
    """What stored months depend on beside their own rows."""
    return {"readings": workbench.readings.fingerprint.sha256, "package": package_sha256()}


def _last_intake(workbench: Resources) -> dict[str, str] | None:
    path = _intake_path(workbench)
    return dict(json.loads(path.read_text())) if path.exists() else None


def _remember_intake(workbench: Resources) -> None:
    write_atomically(_intake_path(workbench), json.dumps(_intake(workbench)).encode())


def _intake_path(workbench: Resources) -> Path:
    return workbench.settings.data_dir / "runs" / "intake.json"


def failed_verdicts(files: VerdictFiles, months: Sequence[str]) -> list[Verdict]:
    """The data verdicts of these months that did not pass."""
    return files.failed(("readings", "features"), months)


def _span_tags(months: Sequence[str]) -> dict[str, str]:
    return {
        "dagster/asset_partition_range_start": key_of(months[0]),
        "dagster/asset_partition_range_end": key_of(months[-1]),
    }


def _spans(months: Sequence[str]) -> list[list[str]]:
    """Runs of consecutive months."""
    spans: list[list[str]] = []
    for month in sorted(months):
        if spans and str(pd.Period(spans[-1][-1], "M") + 1) == month:
            spans[-1].append(month)
        else:
            spans.append([month])
    return spans


def _tell(entry: dg.EventLogEntry, on_step: OnStep) -> None:
    event = entry.dagster_event
    if event is not None and event.event_type_value in _EVENTS and event.step_key:
        on_step(event.step_key, _EVENTS[event.event_type_value])
