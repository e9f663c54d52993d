"""``smartgrid ui``: what stops it, and the environment of the servers it starts."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from smartgrid_pipeline.console import servers
from smartgrid_pipeline.core.schema import SmartgridError
from smartgrid_pipeline.settings import Settings

STARTS_ANOTHER = """
import subprocess
child = subprocess.Popen(["sleep", "60"])
print(child.pid, flush=True)
child.wait()
"""


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        yield holder.getsockname()[1]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_taken_port__is_named_before_anything_starts(tmp_path: Path, taken_port: int) -> None:
    with pytest.raises(SmartgridError, match=f"Port {taken_port} is taken"):
        servers.serve(Settings(home=tmp_path), free_port(), taken_port, Console(file=StringIO()))
    assert list(tmp_path.iterdir()) == []


def test_missing_program__is_named_with_what_installs_it() -> None:
    with pytest.raises(SmartgridError, match="no-such-program is not installed; `make install`"):
        servers._program("no-such-program")


def test_environment__names_the_meter_and_keeps_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEPT", "yes")
    settings = Settings(home=tmp_path, source="meter.csv", timezone="UTC")
    found = servers.environment(settings)
    assert found["SMARTGRID_SOURCE"] == "meter.csv" and found["SMARTGRID_TIMEZONE"] == "UTC"
    assert found["DAGSTER_HOME"] == str(settings.dagster_home) and found["KEPT"] == "yes"
    assert "SMARTGRID_SOURCE" not in os.environ


def test_stop__ends_a_server_and_all_it_started() -> None:
    words = [sys.executable, "-c", STARTS_ANOTHER]
    with subprocess.Popen(words, stdout=subprocess.PIPE, start_new_session=True) as server:
        assert server.stdout is not None
        server.stdout.readline()
        servers._stop([server])
        assert server.poll() is not None
        with pytest.raises(ProcessLookupError):
            os.killpg(server.pid, 0)
