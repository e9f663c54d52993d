"""A migrated database made once and copied per test, and the evidence of a good month."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smartgrid_pipeline.core.schema import Finding, Verdict
from smartgrid_pipeline.registry import DataIdentity, Example, Registry, TrackedRun, about_run
from smartgrid_pipeline_tests.conftest import HOUSE, make_readings
from smartgrid_pipeline_tests.registry.tiny import LOADERS, TinyForecaster

MONTH = "2010-03"
DATA = DataIdentity("ab" * 32, 8_064, np.datetime64("2010-01-04T00:00"), np.datetime64("2010-03-01T00:00"))
CODE = Path(__file__).with_name("tiny_code.py")


@pytest.fixture(scope="session")
def migrated_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database as MLflow migrates it: slow to make, quick to copy."""
    root = tmp_path_factory.mktemp("migrated")
    Registry(f"sqlite:///{root / 'mlflow.db'}", root / "artifacts", "template", "template").prepare()
    return root / "mlflow.db"


@pytest.fixture(scope="session")
def example() -> Example:
    return Example(HOUSE, make_readings(9))


def open_registry(root: Path, model_name: str = "smartgrid-test", client: Any = None) -> Registry:
    """The registry kept in a folder, as any process would open it."""
    uri = f"sqlite:///{root / 'mlflow.db'}"
    return Registry(uri, root / "artifacts", model_name, loaders=LOADERS, model_code=CODE, client=client)


@pytest.fixture
def registry(tmp_path: Path, migrated_database: Path) -> Registry:
    shutil.copy(migrated_database, tmp_path / "mlflow.db")
    registry = open_registry(tmp_path)
    registry.prepare()
    return registry


Train = Callable[..., TrackedRun]


@pytest.fixture
def train(registry: Registry, example: Example) -> Train:
    """Track a training of the tiny forecaster; anything may be given differently."""

    def log(forecaster: TinyForecaster | None = None, **changes: Any) -> TrackedRun:
        wanted: dict[str, Any] = {
            "model": "tiny",
            "month": MONTH,
            "fingerprint": "f1",
            "data": DATA,
            "example": example,
            "metrics": {"T1/rmse_kw": 0.25},
        }
        return registry.log_training(forecaster or TinyForecaster(), **(wanted | changes))

    return log


def verdict(suite: str, subject: str, passed: bool = True) -> Verdict:
    found = "as it should be" if passed else "wrong"
    return Verdict(suite, subject, (Finding("is right", passed, found, "right"),))


def evidence_for(run: TrackedRun) -> list[Verdict]:
    """All that a promotion of this run demands."""
    months = [
        verdict(suite, month) for suite in ("readings", "features") for month in ("2010-01", "2010-02", MONTH)
    ]
    about = [
        about_run(verdict(suite, f"{run.model} on {run.month}"), run.run_id)
        for suite in ("forecasts", "leakage", "promotion")
    ]
    return months + about
