"""What starts without a command: jobs, the monthly schedule, the sensors for failed and orphaned runs."""

import json
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pandas as pd

from smartgrid_pipeline.orchestration.dagster_private import AssetJob
from smartgrid_pipeline.orchestration.files import write_atomically
from smartgrid_pipeline.orchestration.partitions import key_of, newest_complete_month
from smartgrid_pipeline.orchestration.resources import Resources
from smartgrid_pipeline.orchestration.runtime.instance import reason_of_failure
from smartgrid_pipeline.orchestration.runtime.run_lock import close_orphaned_runs, run_has_ended


def jobs() -> dict[str, AssetJob]:
    """The jobs by name: ``take_in`` makes the features of many months, ``monthly_retraining`` does one month.

    Both run in one process. A killed process then leaves no child that still trains or holds the pool.
    """
    return {
        "take_in": dg.define_asset_job(
            "take_in",
            selection=dg.AssetSelection.groups("readings"),
            executor_def=dg.in_process_executor,
            description="Raw readings to validated readings and features, for one month or many in one run.",
        ),
        "monthly_retraining": dg.define_asset_job(
            "monthly_retraining",
            selection=dg.AssetSelection.all(),
            executor_def=dg.in_process_executor,
            description="One month from readings to a gated champion, with its report.",
        ),
    }


def monthly_schedule(job: AssetJob, months: dg.MonthlyPartitionsDefinition) -> dg.ScheduleDefinition:
    """Retrain on the second of each month at 03:00, on the newest month that is complete in the source."""

    @dg.schedule(
        job=job,
        cron_schedule="0 3 2 * *",
        name="monthly_retraining_schedule",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
    def monthly_retraining_schedule(
        context: dg.ScheduleEvaluationContext, resources: dg.ResourceParam[Resources]
    ) -> dg.RunRequest | dg.SkipReason:
        """Request a run of the newest complete month; skip with a reason when there is nothing to do."""
        fingerprint = resources.readings.fingerprint
        step = pd.Timedelta(minutes=resources.readings.meter.step_minutes)
        month = newest_complete_month(
            pd.Timestamp(fingerprint.last) + step, pd.Timestamp(context.scheduled_execution_time)
        )
        decided = context.instance.get_materialized_partitions(dg.AssetKey("champion"))
        if key_of(month) in decided:
            return dg.SkipReason(
                f"No new complete month: the source {fingerprint.span}, and {month} already has its decision."
            )
        if not months.has_partition_key(key_of(month)):
            return dg.SkipReason(f"No complete month: the source {fingerprint.span}.")
        return dg.RunRequest(run_key=f"{resources.settings.meter_slug} {month}", partition_key=key_of(month))

    return monthly_retraining_schedule


@dg.run_failure_sensor(
    name="failure_notice",
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Notes every failed run of this location, and closes the tracked runs that it left open.",
)
def failure_notice(context: dg.RunFailureSensorContext, resources: dg.ResourceParam[Resources]) -> None:
    """Write a notice of the failed run beside the data, and post it to SMARTGRID_NOTIFY_URL where set."""
    run = context.dagster_run
    notice = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "run_id": run.run_id,
        "job": run.job_name,
        "month": run.tags.get("dagster/partition", run.tags.get("dagster/asset_partition_range_end", "")),
        "message": reason_of_failure(context.instance, run.run_id),
    }
    write_notice(resources.settings.data_dir / "failures" / f"{run.run_id}.json", notice)
    if resources.settings.notify_url:
        post_notice(resources.settings.notify_url, notice)
    resources.registry.close_abandoned(lambda run_id: run_has_ended(context.instance, run_id))


@dg.sensor(
    name="orphaned_runs",
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Marks runs failed whose process was killed together with its code server.",
)
def orphaned_runs(
    context: dg.SensorEvaluationContext, resources: dg.ResourceParam[Resources]
) -> dg.SkipReason:
    """Close the runs of killed processes, so that no other run waits for them."""
    closed = close_orphaned_runs(context.instance, resources.settings.dagster_home)
    return dg.SkipReason(f"Closed {', '.join(closed)}." if closed else "No run under way is orphaned.")


def write_notice(path: Path, notice: dict[str, str]) -> None:
    """Store a notice as a JSON file."""
    write_atomically(path, json.dumps(notice, indent=1).encode())


def post_notice(url: str, notice: dict[str, str]) -> None:
    """Post a notice as JSON to a web hook; gives up after ten seconds. Raises ValueError for a bad scheme."""
    from urllib.request import Request, urlopen

    if not url.startswith(("http://", "https://")):
        raise ValueError(f"SMARTGRID_NOTIFY_URL must be http(s): found {url!r}.")
    body = json.dumps(notice).encode()
    request = Request(url, data=body, headers={"Content-Type": "application/json"})  # noqa: S310 - checked
    urlopen(request, timeout=10).close()  # noqa: S310 - scheme checked above
