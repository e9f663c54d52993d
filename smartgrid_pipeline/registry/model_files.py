"""Models stored with runs, and their registered versions: files without pickle, one
version per training run.
"""

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from smartgrid_pipeline.core.forecasting.forecaster import Forecaster
from smartgrid_pipeline.core.forecasting.newest import Loaders, load_forecaster
from smartgrid_pipeline.core.schema import Meter, ModelError, RegistryError
from smartgrid_pipeline.registry.connection import Connection, exclusive
from smartgrid_pipeline.registry.mlflow_private import VERSIONS_TAG
from smartgrid_pipeline.registry.types import (
    ABOUT,
    ARTIFACTS,
    FILES,
    MODEL,
    MONTH,
    Detector,
    Example,
    TrackedRun,
    read_about,
)

DEFAULT_CODE = Path(__file__).with_name("model_code.py")


class ModelUnusable(RegistryError):
    """The model of a run cannot be loaded: its files are missing, damaged or of another format."""


class ModelGone(ModelUnusable):
    """The model of a run was never stored completely, or its files were deleted."""


@dataclass(frozen=True)
class NewModel:
    """A model about to be stored: its name and type, and what writes it into a new folder.

    ``write`` gets the folder to make and MLflow's record of the model, which it must save there.
    """

    name: str
    model_type: str
    meter_id: str
    write: Callable[[Path, Any], None]


def forecaster_model(name: str, forecaster: Forecaster, example: Example, code: Path) -> NewModel:
    """A forecaster as a model that MLflow itself can load and call; ``code`` is the
    script it is loaded by.
    """

    def write(directory: Path, entry: Any) -> None:
        from smartgrid_pipeline.registry import pyfunc

        pyfunc.write(directory, forecaster, name, example, code, entry)

    return NewModel(name, "forecaster", example.meter.meter_id, write)


def detector_model(name: str, detector: Detector) -> NewModel:
    """A detector as plain files, which only its own class can load."""

    def write(directory: Path, entry: Any) -> None:
        files = directory / ARTIFACTS / FILES
        files.mkdir(parents=True)
        detector.save(files)
        entry.save(str(directory / "MLmodel"))

    return NewModel(name, "detector", detector.meter.meter_id, write)


@contextmanager
def stored(connection: Connection, run_id: str, model: NewModel) -> Iterator[str]:
    """Store the model of an open run and yield its id.

    The model is READY when the block ends without an error, else FAILED.
    """
    from mlflow.entities import LoggedModelOutput

    client = connection.client
    logged = client.create_logged_model(
        connection.experiment_id,
        name=model.name,
        source_run_id=run_id,
        tags={MODEL: model.name, "meter": model.meter_id},
        model_type=model.model_type,
    )
    try:
        _upload(connection, run_id, model, logged)
        client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
        yield str(logged.model_id)
        client.finalize_logged_model(logged.model_id, "READY")
    except BaseException:
        if connection.accepts_writes():
            client.finalize_logged_model(logged.model_id, "FAILED")
        raise


def _upload(connection: Connection, run_id: str, model: NewModel, logged: Any) -> None:
    from mlflow.models import Model

    with tempfile.TemporaryDirectory(prefix="smartgrid-model-") as scratch:
        directory = Path(scratch) / "model"
        entry = Model(
            artifact_path=logged.artifact_location, run_id=run_id, model_uuid=logged.model_id,
            model_id=logged.model_id,
        )  # fmt: skip
        model.write(directory, entry)
        connection.client.log_model_artifacts(logged.model_id, str(directory))


def directory(connection: Connection, run: TrackedRun) -> Path:
    """Folder of the files that the model of a run was saved to. Raises ModelGone when they are not there."""
    if run.model_id is None:
        raise ModelGone(f"Run {run.run_id} ({run.status}) logged no model; train {run.month} again.")
    with connection.guard(f"find the model of run {run.run_id}", writing=False) as client:
        logged = client.get_logged_model(run.model_id)
        if str(logged.status) != "READY":
            raise ModelGone(f"The model of run {run.run_id} is {logged.status}; train {run.month} again.")
        path = _local_files(connection, logged)
    if not path.is_dir() or not any(path.iterdir()):
        raise ModelGone(f"The model files of run {run.run_id} are gone: {path} is missing or empty.")
    return path


def _local_files(connection: Connection, logged: Any) -> Path:
    """Folder FILES of a model on this machine, beside it ABOUT; files behind a server are fetched once."""
    from mlflow.artifacts import download_artifacts

    if logged.artifact_location.startswith("file:"):
        return Path(url2pathname(urlsplit(logged.artifact_location).path)) / ARTIFACTS / FILES
    kept = connection.artifact_root / "fetched_models" / logged.model_id
    with exclusive(kept.parent / ".lock", "fetch a model", connection.lock_timeout_seconds):
        if not kept.exists():
            with tempfile.TemporaryDirectory(dir=kept.parent) as scratch:
                source = f"{logged.artifact_location}/{ARTIFACTS}"
                fetched = download_artifacts(
                    artifact_uri=source, dst_path=scratch, tracking_uri=connection.uri
                )
                Path(fetched).replace(kept)
    return kept / FILES


def load(connection: Connection, run: TrackedRun, loaders: Loaders) -> Forecaster:
    """The forecaster of a run. Raises ModelUnusable when its files are missing or do not load."""
    path = directory(connection, run)
    try:
        return load_forecaster(run.model, path, loaders)
    except (ModelError, OSError, ValueError, KeyError) as error:
        raise ModelUnusable(f"The model of run {run.run_id} does not load from {path}: {error}") from error


def meter(connection: Connection, run: TrackedRun) -> Meter:
    """The meter that the forecaster of a run was fitted on. Raises RegistryError when it cannot be read."""
    path = directory(connection, run).with_name(ABOUT)
    try:
        return read_about(path)[1]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RegistryError(f"The meter of run {run.run_id} cannot be read from {path}: {error}") from error


def is_complete(connection: Connection, run: TrackedRun) -> bool:
    """Whether the files of a run's model are there; a run whose files were deleted is trained again."""
    try:
        directory(connection, run)
    except ModelGone:
        return False
    return True


def version_of(connection: Connection, model_name: str, run_id: str) -> int | None:
    """The registered version of a run, or None."""
    with connection.guard("search model versions", writing=False) as client:
        found = client.search_model_versions(f"name = '{model_name}' and run_id = '{run_id}'")
    return min((int(version.version) for version in found), default=None)


def exists(connection: Connection, model_name: str, version: int) -> bool:
    """Whether a version is still registered."""
    with connection.guard("search model versions", writing=False) as client:
        found = client.search_model_versions(f"name = '{model_name}'")
    return version in {int(entry.version) for entry in found}


def register(connection: Connection, model_name: str, run: TrackedRun) -> int:
    """The version of a run, registered now if it was not before; call it under the registry's lock."""
    found = version_of(connection, model_name, run.run_id)
    if found is not None:
        return found
    directory(connection, run)
    with connection.guard(f"register run {run.run_id}") as client:
        if not client.search_registered_models(f"name = '{model_name}'"):
            client.create_registered_model(
                model_name, description="Forecasts of one meter. Champions change through smartgrid promote."
            )
        # Not "models:/<id>": the embedded store would look that up in the process's default database.
        version = client.create_model_version(
            model_name,
            client.get_logged_model(run.model_id).artifact_location,
            run_id=run.run_id,
            model_id=run.model_id,
            tags={MODEL: run.model, MONTH: run.month},
            description=f"{run.model}, trained before {run.month}",
        )
        known_as = json.dumps([{"name": model_name, "version": int(version.version)}])
        client.set_logged_model_tags(run.model_id, {VERSIONS_TAG: known_as})
    return int(version.version)
