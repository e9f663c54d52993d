"""The connection to one tracking database: migrated once, locked while it changes, its failures readable."""

import errno
import logging
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

from filelock import FileLock, Timeout

from smartgrid_pipeline.core.schema import RegistryError, SmartgridError
from smartgrid_pipeline.registry import mlflow_private

MIGRATION_PATIENCE_SECONDS = 120.0

QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_PRINT_MODEL_URLS_ON_CREATION": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",
    "GIT_PYTHON_REFRESH": "quiet",
}
"""Environment variables set before mlflow is imported; those a deployment has set itself are kept."""


def quiet_mlflow() -> ModuleType:
    """The mlflow module, imported so that it sends no telemetry and prints no banners or progress bars."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    import mlflow

    mlflow_private.silence_database_logger()
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return mlflow


@contextmanager
def exclusive(path: Path, action: str, lock_timeout_seconds: float) -> Iterator[None]:
    """Hold a file lock for the length of a block; the lock also ends with its process.

    ``action`` completes "Cannot …" in messages. Raises RegistryError when the file cannot be opened, or when
    another process still holds the lock after ``lock_timeout_seconds``.
    """
    lock = FileLock(path, timeout=lock_timeout_seconds, fallback_to_soft=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise RegistryError(
            f"Cannot {action}: another process has held {path} for {lock_timeout_seconds:.0f} s. "
            "Let it finish or stop it, then try again. Nothing was changed."
        ) from None
    except OSError as error:
        raise RegistryError(f"Cannot {action}: the lock {path} cannot be opened ({error}).") from error
    try:
        yield
    finally:
        lock.release()


class Connection:
    """Access to the database of runs and models. Constructing it reads and writes nothing.

    ``uri`` is an SQLAlchemy URL (SQLite or a database server) or the address of an MLflow server;
    ``artifact_root`` the folder of the files of runs and models. A locked database or file is waited for
    ``lock_timeout_seconds``.
    """

    def __init__(self, uri: str, artifact_root: Path, experiment: str, lock_timeout_seconds: float) -> None:
        self.uri = uri
        self.artifact_root = artifact_root.absolute()
        self.experiment = experiment
        self.lock_timeout_seconds = lock_timeout_seconds

    @cached_property
    def client(self) -> Any:
        """The MLflow client of this database."""
        quiet_mlflow()
        from mlflow import MlflowClient

        return MlflowClient(self.uri, registry_uri=self.uri)

    @property
    def database(self) -> Path | None:
        """The SQLite file, if the database is one."""
        return Path(self.uri.removeprefix("sqlite:///")) if self.uri.startswith("sqlite:///") else None

    @property
    def is_server(self) -> bool:
        """Whether a tracking server stands before database and artifacts."""
        return self.uri.startswith("http")

    @cached_property
    def experiment_id(self) -> str:
        """Id of the experiment. Raises RegistryError when ``prepare`` has not made it."""
        with self.guard("find the experiment", writing=False) as client:
            found = client.get_experiment_by_name(self.experiment)
        if found is None or found.lifecycle_stage != "active":
            raise RegistryError(
                f"{self.uri} has no active experiment {self.experiment!r}. `smartgrid run` makes it; "
                "if it was deleted in the MLflow UI, restore it there."
            )
        return str(found.experiment_id)

    def prepare(self) -> None:
        """Make or migrate the database and make the experiment; safe when two processes start at once."""
        lock = self.artifact_root / ".prepare.lock"
        with exclusive(lock, "prepare the registry", MIGRATION_PATIENCE_SECONDS):
            quiet_mlflow()
            with self._readable("make or migrate the registry"):
                if self.database is not None and not _has_content(self.database):
                    self._create_database(self.database)
                elif not self.is_server:
                    self._probe(writing=True, lock_timeout_seconds=self.lock_timeout_seconds)
                    self._migrate()
            self._ensure_experiment()

    def _create_database(self, path: Path) -> None:
        """Build a new database beside ``path`` and rename it: a killed start leaves nothing half-made."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".mlflow-", dir=path.parent) as scratch:
            mlflow_private.create_database(Path(scratch) / path.name, self.artifact_root)
            (Path(scratch) / path.name).replace(path)

    def _migrate(self) -> None:
        """Bring the schema to that of the installed MLflow; a SQLite file is copied aside before."""
        with mlflow_private.engine(self.uri) as engine:
            found, needed = mlflow_private.schema_versions(engine)
            if found == needed:
                return
            if self.database is not None:
                aside = self.database.with_name(f"{self.database.name}.before-{needed}")
                with (
                    closing(sqlite3.connect(self.database)) as source,
                    closing(sqlite3.connect(aside)) as copy,
                ):
                    source.backup(copy)
            mlflow_private.migrate(engine)

    def _ensure_experiment(self) -> None:
        with self.guard("create the experiment") as client:
            found = client.get_experiment_by_name(self.experiment)
            if found is None:
                location = None if self.is_server else self.artifact_root.as_uri()  # a server has its own
                client.create_experiment(self.experiment, location, tags=mlflow_private.EXPERIMENT_TAGS)
                return
        if not self.is_server and found.artifact_location != self.artifact_root.as_uri():
            raise RegistryError(
                f"The registry {self.uri} keeps its models in {found.artifact_location}, but this "
                f"configuration expects {self.artifact_root.as_uri()}. Move the folder back, or start "
                "a new registry."
            )

    @contextmanager
    def guard(self, action: str, *, writing: bool = True) -> Iterator[Any]:
        """The MLflow client; failures of database, disk and network in the block become RegistryError.

        ``action`` completes "Cannot …" in messages. A locked database is found within
        ``lock_timeout_seconds``, not after MLflow's own retries of minutes.
        """
        with self._readable(action):
            self._probe(writing, self.lock_timeout_seconds)
            yield self.client

    @contextmanager
    def _readable(self, action: str) -> Iterator[None]:
        try:
            yield
        except SmartgridError:
            raise
        except Exception as error:
            if not _is_registry_error(error):
                raise
            raise RegistryError(self.explain(action, error)) from error

    def accepts_writes(self) -> bool:
        """Whether a write would succeed now; waits for at most one second."""
        try:
            self._probe(writing=True, lock_timeout_seconds=1.0)
        except (RegistryError, sqlite3.Error):
            return False
        return True

    def _probe(self, writing: bool, lock_timeout_seconds: float) -> None:
        if self.database is None:
            return
        if not _has_content(self.database):
            raise RegistryError(
                f"There is no registry yet: {self.database} is missing or empty. `smartgrid run` makes it."
            )
        address = f"{self.database.absolute().as_uri()}?mode=rw"
        with closing(sqlite3.connect(address, uri=True, timeout=lock_timeout_seconds)) as database:
            if writing:
                database.execute("BEGIN IMMEDIATE")
                database.rollback()
            else:
                database.execute("PRAGMA schema_version").fetchone()

    def explain(self, action: str, error: BaseException) -> str:
        """A message for people: what failed, what was found, what to do."""
        text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        cause = _root(error)
        everything = f"{error} {cause}".lower()
        if "is locked" in everything:
            holder = f"another process holds {self.database or self.uri}"
            advice = f"{holder}. Let it finish or stop it, then try again."
        elif getattr(cause, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "disk is full" in everything:
            advice = f"the disk of {self.artifact_root} is full. Free some space, then try again."
        elif self.is_server and _is_connection_error(everything):
            advice = (
                f"the MLflow server {self.uri} does not answer. Start it, or correct SMARTGRID_TRACKING_URI."
            )
        elif isinstance(error, Exception) and _is_registry_error(error):
            advice = f"{self.uri} answered: {text}"
        else:
            advice = text
        return f"Cannot {action}: {advice} (found: {type(cause).__name__}: {str(cause)[:300]})"


def _has_content(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


def _root(error: BaseException) -> BaseException:
    """The first error of a chain of causes: MLflow wraps SQLAlchemy, which wraps sqlite3."""
    while (cause := error.__cause__ or getattr(error, "orig", None)) is not None:
        error = cause
    return error


def _is_connection_error(text: str) -> bool:
    return any(
        sign in text for sign in ("connection", "max retries", "timed out", "unreachable", "name resolution")
    )


def _is_registry_error(error: Exception) -> bool:
    from alembic.util import CommandError
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    return isinstance(error, (MlflowException, SQLAlchemyError, CommandError, sqlite3.Error, OSError))
