"""What runs by itself: the jobs, the monthly schedule, the sensors for failures and dead runs."""

import json
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pandas as pd

from smartgrid_pipeline.orchestration import process_locks
from smartgrid_pipeline.orchestration.dagster_private import AssetJob
from smartgrid_pipeline.orchestration.instance import reason_of_failure
from smartgrid_pipeline.orchestration.partitions import key_of
from smartgrid_pipeline.orchestration.workbench import Resources, write_atomically

READINGS = dg.AssetSelection.groups("readings")


def jobs() -> dict[str, AssetJob]:
    """``take_in`` brings a range of months to features in one run; ``monthly_retraining`` does a whole month.

    Both run in one process: a killed worker then leaves nothing alive that still trains or holds the pool.
    """
    return {
        "take_in": dg.define_asset_job(
            "take_in",
            selection=READINGS,
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


def newest_complete_month(last_reading_end: pd.Timestamp, now: pd.Timestamp) -> str:
    """The newest civil month that has ended both in the source and on the wall."""
    until = min(last_reading_end, now.tz_localize(None) if now.tzinfo else now)
    return str(until.to_period("M") - 1)


def monthly_schedule(job: AssetJob, months: dg.MonthlyPartitionsDefinition) -> dg.ScheduleDefinition:
    """Retrain on the second of each month at 03:00, once the month just closed is complete in the source."""

    @dg.schedule(
        job=job,
        cron_schedule="0 3 2 * *",
        name="monthly_retraining_schedule",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
    def monthly_retraining_schedule(
        context: dg.ScheduleEvaluationContext, workbench: dg.ResourceParam[Resources]
    ) -> dg.RunRequest | dg.SkipReason:
        """Ask for the newest complete month, or say why there is nothing to do."""
        identity = workbench.readings.fingerprint
        step = pd.Timedelta(minutes=workbench.readings.meter.step_minutes)
        month = newest_complete_month(
            pd.Timestamp(identity.last) + step, pd.Timestamp(context.scheduled_execution_time)
        )
        judged = context.instance.get_materialized_partitions(dg.AssetKey("champion"))
        if key_of(month) in judged:
            return dg.SkipReason(
                f"No new complete month: the source {identity.span}, and {month} already has its decision."
            )
        if not months.has_partition_key(key_of(month)):
            return dg.SkipReason(f"No complete month: the source {identity.span}.")
        return dg.RunRequest(run_key=f"{workbench.settings.meter_slug} {month}", partition_key=key_of(month))

    return monthly_retraining_schedule


@dg.run_failure_sensor(
    name="failure_notice",
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Notes every failed run of this location, and closes tracking runs that died with it.",
)
def failure_notice(context: dg.RunFailureSensorContext, workbench: dg.ResourceParam[Resources]) -> None:
    """Write a notice beside the data, post it where SMARTGRID_NOTIFY_URL says, reap dead tracking runs."""
    run = context.dagster_run
    notice = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "run_id": run.run_id,
        "job": run.job_name,
        "month": run.tags.get("dagster/partition", run.tags.get("dagster/asset_partition_range_end", "")),
        "message": reason_of_failure(context.instance, run.run_id),
    }
    write_notice(workbench.settings.data_dir / "failures" / f"{run.run_id}.json", notice)
    if workbench.settings.notify_url:
        post_notice(workbench.settings.notify_url, notice)
    workbench.registry.close_abandoned(lambda run_id: run_has_ended(context.instance, run_id))


@dg.sensor(
    name="dead_runs",
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Marks runs failed whose process died with everything around it.",
)
def dead_runs(context: dg.SensorEvaluationContext, workbench: dg.ResourceParam[Resources]) -> dg.SkipReason:
    """Close what a killed session left, so that it holds up nobody; the failure notice follows."""
    closed = process_locks.close_dead(context.instance, workbench.settings.dagster_home)
    return dg.SkipReason(f"Closed {', '.join(closed)}." if closed else "Every run under way is alive.")


def write_notice(path: Path, notice: dict[str, str]) -> None:
    """Keep a notice as a small JSON file."""
    write_atomically(path, json.dumps(notice, indent=1).encode())


def post_notice(url: str, notice: dict[str, str]) -> None:
    """Send a notice as JSON to a web hook, within ten seconds."""
    from urllib.request import Request, urlopen

    if not url.startswith(("http://", "https://")):
        raise ValueError(f"SMARTGRID_NOTIFY_URL must be http(s): found {url!r}.")
    body = json.dumps(notice).encode()
    request = Request(url, data=body, headers={"Content-Type": "application/json"})  # noqa: S310 - checked
    urlopen(request, timeout=10).close()  # noqa: S310 - scheme checked above


def run_has_ended(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether a Dagster run is over, or unknown."""
    run = instance.get_run_by_id(run_id)
    return run is None or run.is_finished
