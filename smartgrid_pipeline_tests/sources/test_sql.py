"""Readings out of SQL databases."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import create_engine

from smartgrid_pipeline import sources
from smartgrid_pipeline.core.schema import (
    ACTIVE_POWER,
    INTERVAL_START_UTC,
    SourceError,
)
from smartgrid_pipeline.sources import SourceSpec
from smartgrid_pipeline_tests.conftest import HOME, make_readings
from smartgrid_pipeline_tests.sources.made import made_values, two_homes


def _fill(url: str) -> None:
    engine = create_engine(url)
    two_homes().to_sql("readings", engine, index=False)
    make_readings(2, "2012-01-01", HOME).reset_index().drop(columns=INTERVAL_START_UTC).to_sql(
        "single", engine, index=False
    )
    engine.dispose()


def _check_database(url: str) -> None:
    spec = SourceSpec(url, table="readings", timezone="Australia/Brisbane")
    assert sources.list_meters(spec) == ("one", "two")
    found = sources.read(SourceSpec(url, meter_id="two", table="readings", timezone="Australia/Brisbane"))
    np.testing.assert_allclose(found.frame[ACTIVE_POWER], made_values() * 4)
    query = "SELECT timestamp, kwh AS used FROM readings WHERE meter_id = 'one'"
    asked = sources.read(SourceSpec(url, query=query, value_column="used", unit="kWh"))
    np.testing.assert_allclose(asked.frame[ACTIVE_POWER], made_values() * 2)
    assert sources.read(SourceSpec(url, table="single")).meter.meter_id == "single"
    with pytest.raises(SourceError, match=r"No table 'absent'.*readings, single"):
        sources.read(SourceSpec(url, table="absent"))
    with pytest.raises(SourceError, match="0 rows"):
        sources.read(SourceSpec(url, query="SELECT * FROM readings WHERE kwh < 0"))
    with pytest.raises(SourceError, match="Cannot read from"):
        sources.read(SourceSpec(url, query="SELECT nothing FROM nowhere"))


def test_sqlite__is_read_by_table_and_query(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'meters.db'}"
    _fill(url)
    _check_database(url)


def test_database__that_is_down_or_unknown_is_named_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="unable to open") as caught:
        sources.read(SourceSpec(f"sqlite:///{tmp_path / 'no' / 'meters.db'}", table="readings"))
    with pytest.raises(SourceError, match="Cannot read from") as caught:
        sources.read(SourceSpec("postgresql://reader:hidden@127.0.0.1:1/meters", table="readings"))
    assert "hidden" not in str(caught.value)
    with pytest.raises(SourceError, match="scheme 'nosql'"):
        sources.read(SourceSpec("nosql://reader:hidden@host/meters", table="readings"))
    with pytest.raises(SourceError, match="either a table or a query"):
        sources.read(SourceSpec(f"sqlite:///{tmp_path / 'meters.db'}"))


@pytest.fixture
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A throw-away PostgreSQL cluster on loopback; skipped where the server is not installed."""
    pytest.importorskip("psycopg2", reason="the PostgreSQL driver is not installed")
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    initdb = str(found[-1]) if found else shutil.which("initdb")
    if initdb is None:
        pytest.skip("PostgreSQL (initdb) is not installed")
    folder = tmp_path_factory.mktemp("postgres")
    as_user: list[str] = []
    if os.geteuid() == 0:  # the server refuses to run as root
        if shutil.which("runuser") is None:
            pytest.skip("running as root without runuser")
        as_user = ["runuser", "-u", "postgres", "--"]
        for parent in (folder, *folder.parents[:3]):
            if parent != Path("/tmp") and parent.owner() == "root":
                parent.chmod(0o755)
        shutil.chown(folder, "postgres")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    control, data = str(Path(initdb).with_name("pg_ctl")), str(folder / "data")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -k {folder} -c fsync=off"
    run = {"check": True, "stdout": subprocess.DEVNULL, "cwd": str(folder)}
    subprocess.run([*as_user, initdb, "-D", data, "-A", "trust", "-U", "tester"], **run)  # type: ignore[call-overload]
    start = [control, "-D", data, "-o", options, "-l", f"{folder}/log", "-w", "start"]
    subprocess.run([*as_user, *start], **run)  # type: ignore[call-overload]
    yield f"postgresql://tester@127.0.0.1:{port}/postgres"
    subprocess.run([*as_user, control, "-D", data, "-m", "immediate", "-w", "stop"], **run)  # type: ignore[call-overload]


@pytest.mark.long
def test_postgresql__is_read_by_table_and_query(postgres: str) -> None:
    _fill(postgres.replace("postgresql://", "postgresql+psycopg2://"))
    _check_database(postgres)
