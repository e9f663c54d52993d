"""A locked database, a full disk, a server that is down: said clearly and soon, champion unchanged."""

import os
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pandas as pd
import pytest

from smartgrid_pipeline.core.schema import RegistryError
from smartgrid_pipeline.registry import Example, Registry
from smartgrid_pipeline_tests.registry.conftest import (
    MONTH,
    Candidates,
    Train,
    evidence_for,
    open_registry,
    trainer,
)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """What another process does that holds the database for itself."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield


def test_prepare__survives_two_starts_at_once(migrated_folder: Path) -> None:
    with closing(sqlite3.connect(migrated_folder / "mlflow.db")) as database:
        names = [row[0] for row in database.execute("SELECT name FROM experiments ORDER BY experiment_id")]
    assert names == ["Default", "template"]
    left = {path.name for path in migrated_folder.iterdir()}
    assert left <= {"mlflow.db", "artifacts"}


def test_prepare__twice_changes_nothing(registry: Registry, tmp_path: Path) -> None:
    before = (tmp_path / "mlflow.db").read_bytes()
    open_registry(tmp_path).prepare()
    assert (tmp_path / "mlflow.db").read_bytes() == before


def test_prepare__refuses_a_registry_that_was_moved(registry: Registry, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    moved.mkdir()
    (tmp_path / "mlflow.db").rename(moved / "mlflow.db")
    with pytest.raises(RegistryError, match="Move the folder back"):
        open_registry(moved).prepare()


def test_construction__touches_nothing(tmp_path: Path) -> None:
    open_registry(tmp_path / "absent")
    assert list(tmp_path.iterdir()) == []


def test_unprepared_registry__is_said_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="no registry yet"):
        open_registry(tmp_path).champion()
    assert not (tmp_path / "mlflow.db").exists()


def test_locked_database__fails_soon_and_changes_nothing(
    candidates: Candidates, example: Example, tmp_path: Path
) -> None:
    registry = candidates.registry
    first, second, *_ = candidates.runs
    registry.promote(first.run_id, evidence_for(first), reason="first")
    actions: list[Callable[[], object]] = [
        trainer(registry, example),
        registry.champion,
        lambda: registry.register_challenger(second.run_id),
        lambda: registry.promote(second.run_id, evidence_for(second), reason="second"),
        lambda: registry.rollback("why not"),
        lambda: registry.find_training(model="tiny", month=MONTH, fingerprint="f1"),
        lambda: candidates.reopen().prepare(),
    ]
    with locked(tmp_path / "mlflow.db"):
        for action in actions:
            begin = time.monotonic()
            with pytest.raises(RegistryError, match=r"another process holds .*try again"):
                action()
            assert time.monotonic() - begin < 5
    champion = registry.champion()
    assert champion is not None and champion.run_id == first.run_id
    assert len(registry.ledger(attempts=True)) == 1 and registry.runs()[::-1] == candidates.runs


def test_promotion_under_way__is_waited_for_then_said(candidates: Candidates) -> None:
    registry, run = candidates.registry, candidates.runs[0]
    with ThreadPoolExecutor(1) as pool, registry._champions._lock("test"):
        asked = pool.submit(candidates.reopen().promote, run.run_id, evidence_for(run), reason="too")
        with pytest.raises(RegistryError, match="Cannot promote: another process has held"):
            asked.result()
    assert registry.champion() is None


def test_database_of_a_newer_mlflow__is_refused_readably(registry: Registry, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database, database:
        database.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
    with pytest.raises(RegistryError, match=r"Cannot make or migrate the registry.*ffffffffffff"):
        open_registry(tmp_path).prepare()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one MB, where the machine lets us make one."""
    path = tmp_path / "small"
    path.mkdir()
    mounted = (
        os.geteuid() == 0
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(path)], capture_output=True
        ).returncode
    )
    if not mounted:
        pytest.skip("a small disk can only be made by root")
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)


def test_full_disk__fails_the_run_and_leaves_the_champion(
    registry: Registry, train: Train, small_disk: Path, tmp_path: Path
) -> None:
    first = train()
    registry.promote(first.run_id, evidence_for(first), reason="first")
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database, database:
        database.execute("UPDATE experiments SET artifact_location = ?", (small_disk.as_uri(),))
    (small_disk / "ballast").write_bytes(b"x" * 1_040_000)
    with pytest.raises(RegistryError, match=r"the disk of .* is full"):
        train(tables={"forecasts": pd.DataFrame({"mean_kw": range(20_000)})})
    assert [run.status for run in registry.runs()] == ["FAILED", "FINISHED"]
    champion = registry.champion()
    assert champion is not None and champion.run_id == first.run_id


def test_absent_server__is_named(tmp_path: Path) -> None:
    registry = Registry("http://127.0.0.1:9", tmp_path, "smartgrid-test")
    with pytest.raises(RegistryError, match=r"http://127\.0\.0\.1:9 does not answer"):
        registry.prepare()
