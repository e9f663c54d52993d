"""One tracking database: reached quietly, migrated once, locked while it changes, its failures readable."""

import errno
import fcntl
import logging
import os
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cached_property, lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from smartgrid_pipeline.core.schema import RegistryError, SmartgridError

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
"""Set before mlflow is imported; a deployment's own values win."""

EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}
"""Makes the MLflow UI show runs and models, not agents and prompts."""


def quiet_mlflow() -> ModuleType:
    """The mlflow module, imported without telemetry, banners, progress bars and traces on standard error."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    import mlflow

    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # guard() tells the same, readably
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return mlflow


@contextmanager
def exclusive(path: Path, doing: str, patience_seconds: float) -> Iterator[None]:
    """Hold a file lock; it falls with its process. Raises RegistryError when another holds it too long."""
    deadline = time.monotonic() + patience_seconds
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a")
    except OSError as error:
        raise RegistryError(f"Cannot {doing}: the lock {path} cannot be opened ({error}).") from error
    with file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise RegistryError(
                        f"Cannot {doing}: another process has held {path} for {patience_seconds:.0f} s. "
                        "Let it finish or stop it, then try again. Nothing was changed."
                    ) from None
                time.sleep(0.05)
        yield


class Connection:
    """Where runs are tracked and models registered. Nothing is read or written before the first use."""

    def __init__(self, uri: str, artifact_root: Path, experiment: str, patience_seconds: float) -> None:
        self.uri = uri
        self.artifact_root = artifact_root.absolute()
        self.experiment = experiment
        self.patience_seconds = patience_seconds

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
        """Make or migrate the database and the experiment; two processes may start at once."""
        lock = self.artifact_root / ".prepare.lock"
        with exclusive(lock, "prepare the registry", MIGRATION_PATIENCE_SECONDS):
            quiet_mlflow()
            with self._readable("make or migrate the registry"):
                if self.database is not None and not _has_content(self.database):
                    self._create_database(self.database)
                elif not self.is_server:
                    self._probe(writing=True, patience_seconds=self.patience_seconds)
                    self._migrate()
            self._ensure_experiment()

    def _create_database(self, path: Path) -> None:
        """Build a new database beside and rename it into place: a killed start leaves nothing half-made."""
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".mlflow-", dir=path.parent) as scratch:
            building = Path(scratch) / path.name
            SqlAlchemyStore(f"sqlite:///{building}", self.artifact_root.as_uri()).engine.dispose()
            building.replace(path)

    def _migrate(self) -> None:
        """Bring the schema to the installed MLflow's; a SQLite file is copied aside before."""
        from mlflow.store.db import utils

        engine = utils.create_sqlalchemy_engine(self.uri)
        try:
            found, needed = utils._get_schema_version(engine), _newest_schema()
            if found == needed:
                return
            if self.database is not None:
                aside = self.database.with_name(f"{self.database.name}.before-{needed}")
                with (
                    closing(sqlite3.connect(self.database)) as source,
                    closing(sqlite3.connect(aside)) as copy,
                ):
                    source.backup(copy)
            if found is None:
                utils._initialize_tables(engine)
            else:
                utils._upgrade_db(engine)
        finally:
            engine.dispose()

    def _ensure_experiment(self) -> None:
        with self.guard("create the experiment") as client:
            found = client.get_experiment_by_name(self.experiment)
            if found is None:
                location = None if self.is_server else self.artifact_root.as_uri()  # a server has its own
                client.create_experiment(self.experiment, location, tags=EXPERIMENT_TAGS)
                return
        if not self.is_server and found.artifact_location != self.artifact_root.as_uri():
            raise RegistryError(
                f"The registry {self.uri} keeps its models in {found.artifact_location}, but this "
                f"configuration expects {self.artifact_root.as_uri()}. Move the folder back, or start "
                "a new registry."
            )

    @contextmanager
    def guard(self, action: str, *, writing: bool = True) -> Iterator[Any]:
        """The client, with failures of database, disk and network raised as RegistryError.

        ``action`` completes "Cannot …". A locked database is noticed within ``patience_seconds``, not after
        MLflow's own retries of minutes.
        """
        with self._readable(action):
            self._probe(writing, self.patience_seconds)
            yield self.client

    @contextmanager
    def _readable(self, action: str) -> Iterator[None]:
        try:
            yield
        except SmartgridError:
            raise
        except Exception as error:
            if not _is_of_the_registry(error):
                raise
            raise RegistryError(self.explain(action, error)) from error

    def answers(self) -> bool:
        """Whether a write would get through right now; never waits longer than a second."""
        try:
            self._probe(writing=True, patience_seconds=1.0)
        except (RegistryError, sqlite3.Error):
            return False
        return True

    def _probe(self, writing: bool, patience_seconds: float) -> None:
        if self.database is None:
            return
        if not _has_content(self.database):
            raise RegistryError(
                f"There is no registry yet: {self.database} is missing or empty. `smartgrid run` makes it."
            )
        address = f"{self.database.absolute().as_uri()}?mode=rw"
        with closing(sqlite3.connect(address, uri=True, timeout=patience_seconds)) as database:
            if writing:
                database.execute("BEGIN IMMEDIATE")
                database.rollback()
            else:
                database.execute("PRAGMA schema_version").fetchone()

    def explain(self, action: str, error: BaseException) -> str:
        """What was wrong, what was found, what to do."""
        text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        cause = _root(error)
        everything = f"{error} {cause}".lower()
        if "is locked" in everything:
            holder = f"another process holds {self.database or self.uri}"
            advice = f"{holder}. Let it finish or stop it, then try again."
        elif getattr(cause, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "disk is full" in everything:
            advice = f"the disk of {self.artifact_root} is full. Free some space, then try again."
        elif self.is_server and _is_connection(everything):
            advice = (
                f"the MLflow server {self.uri} does not answer. Start it, or correct SMARTGRID_TRACKING_URI."
            )
        elif isinstance(error, Exception) and _is_of_the_registry(error):
            advice = f"{self.uri} answered: {text}"
        else:
            advice = text
        return f"Cannot {action}: {advice} (found: {type(cause).__name__}: {str(cause)[:300]})"


@lru_cache(maxsize=1)
def _newest_schema() -> str:
    """Schema revision of the installed MLflow."""
    from mlflow.store.db import utils

    return str(utils._get_latest_schema_revision())


def _has_content(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


def _root(error: BaseException) -> BaseException:
    """The first failure of a chain: MLflow wraps SQLAlchemy, which wraps sqlite3."""
    while (cause := error.__cause__ or getattr(error, "orig", None)) is not None:
        error = cause
    return error


def _is_connection(text: str) -> bool:
    return any(
        sign in text for sign in ("connection", "max retries", "timed out", "unreachable", "name resolution")
    )


def _is_of_the_registry(error: Exception) -> bool:
    from alembic.util import CommandError
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    return isinstance(error, (MlflowException, SQLAlchemyError, CommandError, sqlite3.Error, OSError))
