"""Read tracked runs by tag or id, with their verdicts and tables; close those a killed process left open."""

import json
import tempfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from smartgrid_pipeline.core.schema import RegistryError, Verdict
from smartgrid_pipeline.registry import types
from smartgrid_pipeline.registry.connection import Connection
from smartgrid_pipeline.registry.types import TrackedRun
from smartgrid_pipeline.registry.write_runs import VERDICTS_FILE


def find(
    connection: Connection,
    tags: Mapping[str, str],
    *,
    status: str | None = None,
    compared: str = "",
    limit: int = 100,
) -> list[TrackedRun]:
    """Runs with all of these tags, newest first; with ``compared``, only reports that compared that run.

    Raises RegistryError for a value with quotes or backslashes, which MLflow cannot search for.
    """
    for key, value in (*tags.items(), (types.COMPARED_RUNS, compared)):
        if "'" in value or "\\" in value:
            raise RegistryError(
                f"Cannot search runs whose {key} is {value!r}: quotes and backslashes are not allowed."
            )
    clauses = [f"tags.`{key}` = '{value}'" for key, value in tags.items()]
    if compared:
        clauses.append(f"tags.`{types.COMPARED_RUNS}` LIKE '%{compared}%'")
    if status:
        clauses.append(f"attributes.status = '{status}'")
    with connection.guard("search runs", writing=False) as client:
        found = client.search_runs(
            [connection.experiment_id],
            " and ".join(clauses),
            max_results=limit,
            order_by=["attributes.start_time DESC"],
        )
    return [tracked(run) for run in found]


def get(connection: Connection, run_id: str) -> TrackedRun:
    """The run with this id. Raises RegistryError when there is none."""
    from mlflow.exceptions import MlflowException

    with connection.guard(f"read run {run_id}", writing=False) as client:
        try:
            return tracked(client.get_run(run_id))
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
            raise RegistryError(
                f"There is no run {run_id!r} in {connection.uri}. `smartgrid report` lists a month's runs."
            ) from error


def tracked(run: Any) -> TrackedRun:
    """An MLflow run as a value."""
    tags, outputs = run.data.tags, run.outputs.model_outputs if run.outputs else []
    return TrackedRun(
        run_id=run.info.run_id,
        experiment_id=str(run.info.experiment_id),
        run_type=tags.get(types.RUN_TYPE, ""),
        model=tags.get(types.MODEL, ""),
        month=tags.get(types.MONTH, ""),
        fingerprint=tags.get(types.FINGERPRINT, ""),
        status=run.info.status,
        started=datetime.fromtimestamp(run.info.start_time / 1000, UTC),
        metrics=dict(run.data.metrics),
        parameters=dict(run.data.params),
        tags=dict(tags),
        model_id=outputs[-1].model_id if outputs else None,
    )


def read_verdicts(connection: Connection, run_id: str) -> list[Verdict]:
    """The verdicts logged with a run, none where there are none. Raises RegistryError when unreadable."""
    with connection.guard(f"read the verdicts of run {run_id}", writing=False) as client:
        if VERDICTS_FILE not in {entry.path for entry in client.list_artifacts(run_id)}:
            return []
        with tempfile.TemporaryDirectory(prefix="smartgrid-verdicts-") as scratch:
            path = Path(client.download_artifacts(run_id, VERDICTS_FILE, scratch))
            try:
                return [Verdict.from_dict(row) for row in json.loads(path.read_text())]
            except (ValueError, KeyError, TypeError) as error:
                raise RegistryError(
                    f"The verdicts of run {run_id} are not readable ({error}); make its report again."
                ) from error


def read_table(connection: Connection, run_id: str, name: str) -> pd.DataFrame:
    """A table logged with a run. Raises RegistryError when the run has none of that name."""
    path = f"tables/{name}.parquet"
    with (
        connection.guard(f"read table {name!r} of run {run_id}", writing=False) as client,
        tempfile.TemporaryDirectory(prefix="smartgrid-table-") as scratch,
    ):
        known = {entry.path for entry in client.list_artifacts(run_id, "tables")}
        if path not in known:
            raise RegistryError(
                f"Run {run_id} keeps no table {name!r}; it keeps {sorted(known) or 'no table'}."
            )
        return pd.read_parquet(client.download_artifacts(run_id, path, scratch))


def close_abandoned(connection: Connection, has_ended: Callable[[str], bool]) -> list[str]:
    """Close the runs that a killed process left RUNNING, and return their run ids.

    ``has_ended`` takes the id of an orchestrator run (tag DAGSTER_RUN) and returns whether that run is over.
    A tracked run whose orchestrator run is over becomes KILLED, and each of its models that is still PENDING
    becomes FAILED. Runs without the tag stay open.
    """
    open_runs = find(connection, {}, status="RUNNING", limit=1_000)
    abandoned = [
        run.run_id
        for run in open_runs
        if types.DAGSTER_RUN in run.tags and has_ended(run.tags[types.DAGSTER_RUN])
    ]
    with connection.guard("close abandoned runs") as client:
        for run_id in abandoned:
            models = client.search_logged_models([connection.experiment_id], f"source_run_id = '{run_id}'")
            for model in [model for model in models if str(model.status) == "PENDING"]:
                client.finalize_logged_model(model.model_id, "FAILED")
            client.set_terminated(run_id, "KILLED")
    return abandoned
