"""Write tracked runs: one per fit and one per monthly report, FINISHED only when everything is stored."""

import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import smartgrid_pipeline
from smartgrid_pipeline.core.schema import RegistryError, Verdict
from smartgrid_pipeline.registry.connection import Connection
from smartgrid_pipeline.registry.types import TrainingData

VERDICTS_FILE = "verdicts.json"
REPORT_FILE = "report.html"
CURVE_POINTS = 200
"""Steps of a loss curve stored as metrics; the whole curve is stored as a table."""
BATCH = 100
"""Parameters or tags that MLflow takes at once; it takes ten times as many metrics."""
TAG_CHARACTERS = 5000
PARAMETER_CHARACTERS = 6000
CSV_ROWS = 2_000
"""Tables of at most this many rows are also stored as CSV, which the MLflow UI shows."""


@dataclass(frozen=True)
class RunContents:
    """Everything stored with a run except its model: numbers, plots, tables, verdicts, training data."""

    parameters: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    curves: pd.DataFrame | None = None
    figures: Mapping[str, Any] = field(default_factory=dict)
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    verdicts: Sequence[Verdict] = ()
    html: str | None = None
    data: TrainingData | None = None


@contextmanager
def open_run(connection: Connection, name: str, tags: Mapping[str, str]) -> Iterator[str]:
    """Open a run and yield its id: FINISHED when the block ends, FAILED on an error, KILLED on an interrupt.

    Any error of the block is raised as RegistryError, whose message names the run.
    """
    shortened = {key: str(value)[:TAG_CHARACTERS] for key, value in {**provenance(), **tags}.items()}
    with connection.guard(f"start the run {name!r}") as client:
        run_id = client.create_run(connection.experiment_id, tags=shortened, run_name=name).info.run_id
    try:
        yield run_id
        connection.client.set_terminated(run_id, "FINISHED")
    except Exception as error:
        end = close_run(connection, run_id, "FAILED")
        raise RegistryError(f"{connection.explain(f'log the run {name!r}', error)} {end}") from error
    except BaseException as interruption:
        interruption.add_note(close_run(connection, run_id, "KILLED"))
        raise


def close_run(connection: Connection, run_id: str, status: str) -> str:
    """End a run that failed, if the database accepts it. Returns the outcome as a sentence; never raises."""
    try:
        if connection.accepts_writes():
            connection.client.set_terminated(run_id, status)
            return f"Run {run_id} is marked {status}."
    except Exception as error:
        return f"Run {run_id} stays open until the next clean-up: {type(error).__name__}."
    return f"Run {run_id} stays open until the next clean-up: the database takes no writes."


def write_contents(
    connection: Connection, run_id: str, contents: RunContents, model_id: str | None = None
) -> None:
    """Log everything but the model into an open run; metrics are attached to ``model_id`` too."""
    from mlflow.entities import Metric, Param

    client, now = connection.client, int(time.time() * 1000)
    parameters = [Param(k, str(v)[:PARAMETER_CHARACTERS]) for k, v in contents.parameters.items()]
    metrics = [
        Metric(key, float(value), now, 0, model_id=model_id) for key, value in contents.metrics.items()
    ]
    if contents.curves is not None:
        metrics += _curve_metrics(contents.curves, now)
    for first in range(0, max(len(parameters), len(metrics)), BATCH):
        chunk = slice(first, first + BATCH)
        client.log_batch(run_id, metrics=metrics[chunk], params=parameters[chunk])
    if contents.data is not None:
        client.log_inputs(run_id, [_dataset(contents.data)])
    with tempfile.TemporaryDirectory(prefix="smartgrid-run-") as staged:
        if stage(Path(staged), contents):
            client.log_artifacts(run_id, staged)


def _curve_metrics(curves: pd.DataFrame, now: int) -> list[Any]:
    """Loss curves as metric histories ``curve/<column>`` of at most CURVE_POINTS steps."""
    from mlflow.entities import Metric

    if curves.empty:
        return []
    picked = np.unique(np.linspace(0, len(curves) - 1, CURVE_POINTS).round().astype(int))
    thin = curves.iloc[picked]
    steps = thin["step"].astype(int) if "step" in thin else pd.Series(picked, thin.index)
    return [
        Metric(f"curve/{column}", float(value), now, int(step))
        for column in thin.select_dtypes("number").columns.drop("step", errors="ignore")
        for step, value in zip(steps, thin[column], strict=True)
        if np.isfinite(value)
    ]


def _dataset(data: TrainingData) -> Any:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    profile = {"rows": data.rows, "sha256": data.sha256}
    source = {"asset": "feature_table", "start": str(data.start), "end": str(data.end)}
    dataset = Dataset(
        "feature_table", data.sha256[:32], "code", json.dumps(source), profile=json.dumps(profile)
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])


def stage(directory: Path, contents: RunContents) -> bool:
    """Write the files of a run into a folder; returns False when there are none."""
    files: list[Path] = []
    for name, figure in contents.figures.items():
        files.append(directory / "plots" / f"{name}.png")
        files[-1].parent.mkdir(exist_ok=True)
        figure.savefig(files[-1], dpi=110, bbox_inches="tight")
    tables = dict(contents.tables)
    if contents.curves is not None and not contents.curves.empty:
        tables["curves"] = contents.curves
    for name, table in tables.items():
        files.append(directory / "tables" / f"{name}.parquet")
        files[-1].parent.mkdir(exist_ok=True)
        table.to_parquet(files[-1], compression="zstd")
        if len(table) <= CSV_ROWS:
            table.to_csv(files[-1].with_suffix(".csv"), index=not isinstance(table.index, pd.RangeIndex))
    if contents.verdicts:
        files.append(directory / VERDICTS_FILE)
        files[-1].write_text(json.dumps([verdict.to_dict() for verdict in contents.verdicts], indent=1))
    if contents.html is not None:
        files.append(directory / REPORT_FILE)
        files[-1].write_text(contents.html)
    return bool(files)


@lru_cache(maxsize=1)
def provenance() -> Mapping[str, str]:
    """Tags that identify the code: version, git commit, uncommitted changes, SHA-256 of the lock file."""
    root = Path(smartgrid_pipeline.__file__).parents[1]
    version = metadata.version("smartgrid-pipeline")
    tags = {
        "code.version": version,
        "mlflow.source.type": "JOB",
        "mlflow.source.name": f"smartgrid_pipeline {version}",
    }
    lock = root / "requirements.lock"
    if lock.exists():
        tags["lock.sha256"] = sha256(lock.read_bytes()).hexdigest()
    git = shutil.which("git")
    if git is not None and (root / ".git").exists():
        commit = [git, "-C", str(root), "rev-parse", "HEAD"]
        state = [git, "-C", str(root), "status", "--porcelain", "--untracked-files=no"]
        run = [subprocess.run(line, capture_output=True, text=True, check=False) for line in (commit, state)]  # noqa: S603
        if run[0].returncode == 0:
            tags["git.commit"] = tags["mlflow.source.git.commit"] = run[0].stdout.strip()
            tags["git.dirty"] = str(bool(run[1].stdout.strip())).lower()
    return tags
