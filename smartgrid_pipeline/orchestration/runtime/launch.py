"""Run the schedule's jobs from a program: first the months of history that are missing, then the month."""

import json
import uuid
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pandas as pd

from smartgrid_pipeline.core.schema import DataError, SmartgridError, Verdict
from smartgrid_pipeline.orchestration.code_version import package_sha256
from smartgrid_pipeline.orchestration.files import write_atomically
from smartgrid_pipeline.orchestration.partitions import key_of, month_of, newest_complete_month
from smartgrid_pipeline.orchestration.resources import Resources
from smartgrid_pipeline.orchestration.runtime.instance import reason_of_failure
from smartgrid_pipeline.orchestration.runtime.run_lock import COMMAND_LINE_TAG

OnStep = Callable[[str, str], None]
"""Called with a step's name and its state: "start", "success", "skipped" or "failure"."""

STEP_STATES = {
    "STEP_START": "start",
    "STEP_SUCCESS": "success",
    "STEP_SKIPPED": "skipped",
    "STEP_FAILURE": "failure",
}
"""Dagster's event type → the state given to ``OnStep``."""


class RunFailed(SmartgridError):
    """A Dagster run failed; the message is the reason of the first step that failed."""


@dataclass(frozen=True)
class HistoryIngest:
    """Months of history ingested by a command, and the verdicts of the months that failed their audit."""

    ingested: tuple[str, ...]
    refused: tuple[Verdict, ...]


def run_job(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    job: str,
    months: Sequence[str],
    on_step: OnStep,
) -> str:
    """Execute a job in this process over one month or consecutive months; returns the Dagster run id.

    The instance records the run like any other. Raises RunFailed with the reason.
    """
    run_id = str(uuid.uuid4())
    instance.add_event_listener(run_id, lambda entry: _report_step(entry, on_step))
    span = _span_tags(months) if len(months) > 1 else {}
    result = resolve_job(definitions, job).execute_in_process(
        instance=instance,
        partition_key=None if span else key_of(months[0]),
        tags=span | COMMAND_LINE_TAG,
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        run_id=run_id,
        raise_on_error=False,
    )
    if not result.success:
        raise RunFailed(reason_of_failure(instance, run_id))
    return run_id


def resolve_job(definitions: dg.Definitions, job: str) -> dg.JobDefinition:
    """A job by its name, without Dagster's warning that only the data assets run over many months at once."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*varying BackfillPolicies.*")
        return definitions.resolve_job_def(job)


def ingest_history(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    resources: Resources,
    month: str,
    on_step: OnStep,
) -> HistoryIngest:
    """Bring every missing month before ``month`` from raw readings to features, in as few runs as possible.

    A month that fails its audit keeps its verdict and is left out; the other months go on without it. Raises
    RunFailed when a run fails for any other reason.
    """
    missing = missing_months(instance, resources, month)
    refused: dict[str, Verdict] = {}
    ingested: list[str] = []
    for _ in range(2):  # once for all months; once more for those beside a month that failed its audit
        for span in _spans([m for m in missing if m not in refused and m not in ingested]):
            try:
                run_job(definitions, instance, "take_in", span, on_step)
                ingested += span
            except RunFailed:
                failed = resources.verdicts.failed_data(span)
                if not failed:
                    raise
                refused |= {verdict.subject: verdict for verdict in failed}
    _write_ingest_state(resources)
    return HistoryIngest(tuple(sorted(ingested)), tuple(refused[m] for m in sorted(refused)))


def missing_months(instance: dg.DagsterInstance, resources: Resources, month: str) -> list[str]:
    """Months of the source before ``month`` without features, unless their audit failed.

    When readings or package have changed since the last ingest, all months before ``month``.
    """
    published = {month_of(key) for key in instance.get_materialized_partitions(dg.AssetKey("feature_table"))}
    months = source_months(resources)
    refused = {verdict.subject for verdict in resources.verdicts.failed_data(months)}
    unchanged = _stored_ingest_state(resources) == _ingest_state(resources)
    done = published | refused if unchanged else set()
    return [m for m in months if m < month and m not in done]


def source_months(resources: Resources) -> list[str]:
    """Every civil month from the source's first reading to its last."""
    fingerprint = resources.readings.fingerprint
    return [str(period) for period in pd.period_range(fingerprint.first, fingerprint.last, freq="M")]


def choose_month(resources: Resources, requested: str | None) -> str:
    """The month requested, else the newest complete one. Raises DataError when the source lacks it."""
    fingerprint, step_minutes = resources.readings.fingerprint, resources.readings.meter.step_minutes
    last_reading_end = pd.Timestamp(fingerprint.last) + pd.Timedelta(minutes=step_minutes)
    newest = newest_complete_month(last_reading_end, pd.Timestamp.now(tz="UTC"))
    month = requested or newest
    if month not in source_months(resources) or month > newest:
        raise DataError(
            f"The source has no complete month {month}: it {fingerprint.span}. "
            f"Choose one with --month, {newest} at the latest."
        )
    return month


def _ingest_state(resources: Resources) -> dict[str, str]:
    """What stored months depend on beside their own rows: all readings, and the package."""
    return {"readings": resources.readings.fingerprint.sha256, "package": package_sha256()}


def _stored_ingest_state(resources: Resources) -> dict[str, str] | None:
    path = _ingest_path(resources)
    return dict(json.loads(path.read_text())) if path.exists() else None


def _write_ingest_state(resources: Resources) -> None:
    write_atomically(_ingest_path(resources), json.dumps(_ingest_state(resources)).encode())


def _ingest_path(resources: Resources) -> Path:
    return resources.settings.data_dir / "runs" / "ingest.json"


def _span_tags(months: Sequence[str]) -> dict[str, str]:
    """Dagster's tags of a run over consecutive months."""
    return {
        "dagster/asset_partition_range_start": key_of(months[0]),
        "dagster/asset_partition_range_end": key_of(months[-1]),
    }


def _spans(months: Sequence[str]) -> list[list[str]]:
    """The months grouped into runs of consecutive ones."""
    spans: list[list[str]] = []
    for month in sorted(months):
        if spans and str(pd.Period(spans[-1][-1], "M") + 1) == month:
            spans[-1].append(month)
        else:
            spans.append([month])
    return spans


def _report_step(entry: dg.EventLogEntry, on_step: OnStep) -> None:
    event = entry.dagster_event
    if event is not None and event.event_type_value in STEP_STATES and event.step_key:
        on_step(event.step_key, STEP_STATES[event.event_type_value])
