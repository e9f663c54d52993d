"""A migrated database made once and copied per test, and the evidence of a good month."""

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smartgrid_pipeline.core.schema import Finding, Verdict
from smartgrid_pipeline.registry import Example, Registry, TrackedRun, TrainingData, about_run
from smartgrid_pipeline_tests.conftest import HOME, make_readings
from smartgrid_pipeline_tests.registry.tiny import LOADERS, TinyForecaster

MONTH = "2010-03"
DATA = TrainingData("ab" * 32, 8_064, np.datetime64("2010-01-04T00:00"), np.datetime64("2010-03-01T00:00"))
CODE = Path(__file__).with_name("tiny_code.py")


@pytest.fixture(scope="session")
def migrated_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose database two registries prepared at once: slow to make, quick to copy."""
    root = tmp_path_factory.mktemp("migrated")
    both = [
        Registry(f"sqlite:///{root / 'mlflow.db'}", root / "artifacts", "template", "template")
        for _ in range(2)
    ]
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(registry.prepare) for registry in both]:
            done.result()
    return root


@pytest.fixture(scope="session")
def example() -> Example:
    return Example(HOME, make_readings(9, meter=HOME))


def open_registry(root: Path, model_name: str = "smartgrid-test", artifacts: Path | None = None) -> Registry:
    """The registry kept in a folder, as any process would open it."""
    return Registry(
        f"sqlite:///{root / 'mlflow.db'}",
        artifacts or root / "artifacts",
        model_name,
        loaders=LOADERS,
        model_code=CODE,
        lock_timeout_seconds=0.2,
    )


@pytest.fixture
def registry(tmp_path: Path, migrated_folder: Path) -> Registry:
    """An empty registry."""
    shutil.copy(migrated_folder / "mlflow.db", tmp_path)
    registry = open_registry(tmp_path)
    registry.prepare()
    return registry


Train = Callable[..., TrackedRun]


def trainer(registry: Registry, example: Example) -> Train:
    """Tracks a training of the tiny forecaster; anything may be given differently."""

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


@pytest.fixture
def train(registry: Registry, example: Example) -> Train:
    return trainer(registry, example)


@dataclass(frozen=True)
class Candidates:
    """A registry with four trainings and no champion, and how another process opens it."""

    registry: Registry
    runs: list[TrackedRun]
    reopen: Callable[[], Registry]


@pytest.fixture(scope="session")
def trained_folder(tmp_path_factory: pytest.TempPathFactory, migrated_folder: Path, example: Example) -> Path:
    """A folder with four trainings; tests copy its database and share its artifacts."""
    root = tmp_path_factory.mktemp("trained")
    shutil.copy(migrated_folder / "mlflow.db", root)
    registry = open_registry(root)
    registry.prepare()
    train = trainer(registry, example)
    for _ in range(4):
        train()
    return root


@pytest.fixture
def candidates(tmp_path: Path, trained_folder: Path) -> Candidates:
    shutil.copy(trained_folder / "mlflow.db", tmp_path)

    def reopen() -> Registry:
        return open_registry(tmp_path, artifacts=trained_folder / "artifacts")

    registry = reopen()
    return Candidates(registry, registry.runs()[::-1], reopen)


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
