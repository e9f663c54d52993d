"""MLflow's private API is used in one file, with the version it was checked with."""

import re
import sqlite3
import tomllib
from contextlib import closing
from pathlib import Path

import mlflow

from smartgrid_pipeline.registry import mlflow_private

ROOT = Path(__file__).parents[2]


def test_mlflow__is_the_version_that_the_private_api_was_checked_with() -> None:
    assert mlflow.__version__.startswith(f"{mlflow_private.CHECKED_VERSION}.")


def test_requirement__allows_no_other_minor_version_of_mlflow() -> None:
    major, minor = map(int, mlflow_private.CHECKED_VERSION.split("."))
    demanded = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert [line for line in demanded if line.startswith("mlflow")] == [
        f"mlflow>=3.17.2,<{major}.{minor + 1}"
    ]


def test_private_api__is_used_in_one_file_only() -> None:
    private = re.compile(r"mlflow\.(store|utils)\b|mlflow[.\w]*\._|mlflow\.(modelVersions|experimentKind)")
    files = (ROOT / "smartgrid_pipeline").rglob("*.py")
    assert {path.stem for path in files if private.search(path.read_text())} == {"mlflow_private"}


def test_private_functions__are_still_there() -> None:
    from mlflow.store.db import utils

    used = set(re.findall(r"utils\.(\w+)", Path(mlflow_private.__file__).read_text())) - {"db"}
    gone = sorted(name for name in used if not hasattr(utils, name))
    assert used and not gone, f"MLflow {mlflow.__version__} has no {gone}: mend registry/mlflow_private.py"


def test_empty_database__gets_the_newest_schema(tmp_path: Path) -> None:
    with mlflow_private.engine(f"sqlite:///{tmp_path / 'empty.db'}") as database:
        found, newest = mlflow_private.schema_versions(database)
        assert found is None
        mlflow_private.migrate(database)
        assert mlflow_private.schema_versions(database) == (newest, newest)


def test_new_database__is_already_at_the_newest_schema(migrated_folder: Path) -> None:
    with mlflow_private.engine(f"sqlite:///{migrated_folder / 'mlflow.db'}") as database:
        found, newest = mlflow_private.schema_versions(database)
    assert found == newest
    with closing(sqlite3.connect(migrated_folder / "mlflow.db")) as kept:
        assert kept.execute("SELECT version_num FROM alembic_version").fetchall() == [(newest,)]
