"""What a killed process leaves behind: runs that stay RUNNING and models that stay PENDING."""

from collections.abc import Callable

from smartgrid_pipeline.registry import read_runs
from smartgrid_pipeline.registry.connection import Connection
from smartgrid_pipeline.registry.types import DAGSTER_RUN


def reap(connection: Connection, has_ended: Callable[[str], bool]) -> list[str]:
    """Close open runs whose Dagster run has ended as KILLED, and every model they left PENDING as FAILED.

    Runs without a Dagster run are left alone. Returns the ids of the runs closed.
    """
    open_runs = read_runs.find(connection, {}, status="RUNNING", limit=1_000)
    dead = [run.run_id for run in open_runs if DAGSTER_RUN in run.tags and has_ended(run.tags[DAGSTER_RUN])]
    with connection.guard("close runs that died") as client:
        for run_id in dead:
            models = client.search_logged_models([connection.experiment_id], f"source_run_id = '{run_id}'")
            for model in [model for model in models if str(model.status) == "PENDING"]:
                client.finalize_logged_model(model.model_id, "FAILED")
            client.set_terminated(run_id, "KILLED")
    return dead
