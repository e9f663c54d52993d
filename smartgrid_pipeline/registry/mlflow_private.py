"""Everything this package uses of MLflow that is not public API, in one file.

Checked with the version in ``CHECKED_VERSION``, which pyproject.toml pins. The tests of this file call each
function against a real database: run them before raising the pin. MLflow's public way to migrate, the command
``mlflow db upgrade``, runs the same functions, but does not tell whether a migration is needed.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.engine import Engine

CHECKED_VERSION = "3.17"

VERSIONS_TAG = "mlflow.modelVersions"
"""Tag of a logged model that links it to its registered version in the MLflow UI."""

EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}
"""Tags of an experiment with which the MLflow UI lists runs and models, not agents and prompts."""

DATABASE_LOGGER = "mlflow.store.db.utils"
"""Logger that prints every failure of the database before it is raised."""


def silence_database_logger() -> None:
    """Stop MLflow from printing database failures: they are raised as readable RegistryErrors anyway."""
    logging.getLogger(DATABASE_LOGGER).setLevel(logging.CRITICAL)


def create_database(path: Path, artifact_root: Path) -> None:
    """Make a new SQLite tracking database of the installed MLflow, with its default experiment."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    SqlAlchemyStore(f"sqlite:///{path}", artifact_root.as_uri()).engine.dispose()


@contextmanager
def engine(uri: str) -> Iterator[Engine]:
    """An SQLAlchemy engine made as MLflow makes its own; closed when the block ends."""
    from mlflow.store.db import utils

    made = utils.create_sqlalchemy_engine(uri)
    try:
        yield made
    finally:
        made.dispose()


def schema_versions(database: Engine) -> tuple[str | None, str]:
    """Schema revision of a tracking database (None for an empty one), and that of the installed MLflow."""
    from mlflow.store.db import utils

    return utils._get_schema_version(database), utils._get_latest_schema_revision()


def migrate(database: Engine) -> None:
    """Bring a tracking database to the schema of the installed MLflow; an empty one gets its tables."""
    from mlflow.store.db import utils

    if utils._get_schema_version(database) is None:
        utils._initialize_tables(database)
    else:
        utils._upgrade_db(database)
