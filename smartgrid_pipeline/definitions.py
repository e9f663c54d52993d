"""Table of contents for Dagster: every asset, check, job, schedule, sensor and resource."""

import dagster as dg

from smartgrid_pipeline.orchestration import automation, partitions
from smartgrid_pipeline.orchestration.assets import anomaly, candidates, champion, readings
from smartgrid_pipeline.orchestration.io_manager import MonthlyParquet
from smartgrid_pipeline.orchestration.runtime.run_lock import locked_resources
from smartgrid_pipeline.settings import Settings


def create_definitions(settings: Settings) -> dg.Definitions:
    """The Dagster code location of one meter."""
    months = partitions.months(settings.first_month, settings.last_month)
    jobs = automation.jobs()
    with partitions.previews_accepted():
        assets = [
            *readings.assets(months),
            *candidates.assets(months),
            *anomaly.assets(months),
            *champion.assets(months),
        ]
    return dg.Definitions(
        assets=assets,
        jobs=list(jobs.values()),
        executor=dg.in_process_executor,  # of what people launch from the graph, as of the jobs
        schedules=[automation.monthly_schedule(jobs["monthly_retraining"], months)],
        sensors=[automation.failure_notice, automation.orphaned_runs],
        resources={
            "resources": locked_resources(settings),
            "io_manager": MonthlyParquet(directory=str(settings.data_dir)),
        },
    )


@dg.definitions
def defs() -> dg.Definitions:
    """The code location that Dagster loads: the meter that the environment names."""
    return create_definitions(Settings())
