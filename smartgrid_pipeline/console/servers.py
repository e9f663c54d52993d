"""``smartgrid ui``: the Dagster and MLflow UIs of one meter, on loopback, started and stopped together."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType

from rich.console import Console

from smartgrid_pipeline.core.schema import SmartgridError
from smartgrid_pipeline.settings import Settings


def serve(settings: Settings, dagster_port: int, mlflow_port: int, err: Console) -> None:
    """Run both UIs until interrupted; end both when one ends. Raises SmartgridError when a port is taken."""
    from smartgrid_pipeline.orchestration.resources import Resources
    from smartgrid_pipeline.orchestration.runtime.instance import prepare_home

    for port in (dagster_port, mlflow_port):
        _require_free(port)
    prepare_home(settings.dagster_home)
    _ = Resources(settings).registry  # makes the database before two servers open it
    signal.signal(signal.SIGTERM, _interrupt)
    commands = {
        "Dagster": [_program("dagster"), "dev", "-h", "127.0.0.1", "-p", str(dagster_port),
                    "-m", "smartgrid_pipeline.definitions"],
        "MLflow": [_program("mlflow"), "server", "--host", "127.0.0.1", "--port", str(mlflow_port),
                   "--workers", "1", "--backend-store-uri", settings.mlflow_uri,
                   "--artifacts-destination", str(settings.mlflow_dir / "artifacts")],
    }  # fmt: skip
    running = {
        name: subprocess.Popen(  # noqa: S603 - fixed commands
            command, env=environment(settings), start_new_session=True, preexec_fn=_default_signals
        )
        for name, command in commands.items()
    }
    err.print(f"Dagster  http://127.0.0.1:{dagster_port}")
    err.print(f"MLflow   http://127.0.0.1:{mlflow_port}/#/experiments/1/runs")
    err.print("Ctrl-C stops both.")
    try:
        while all(process.poll() is None for process in running.values()):
            time.sleep(0.5)
        ended = [name for name, process in running.items() if process.poll() is not None]
        raise SmartgridError(f"{' and '.join(ended)} ended by itself; its last lines above say why.")
    except KeyboardInterrupt:
        err.print("stopping …")
    finally:
        _stop(list(running.values()))


def environment(settings: Settings) -> dict[str, str]:
    """Environment of the servers: that of this process, and the settings of this call."""
    return {
        **os.environ,
        **settings.environment,
        "DAGSTER_HOME": str(settings.dagster_home),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }


def _program(name: str) -> str:
    """Path of a program of this environment. Raises SmartgridError when it is not installed."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if not found:
        raise SmartgridError(f"The program {name} is not installed; `make install` installs it.")
    return found


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise SmartgridError(f"Port {port} is taken: stop what uses it or choose another.") from error


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _default_signals() -> None:
    """In the child: undo that a background shell made its processes ignore SIGINT."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _stop(processes: list[subprocess.Popen[bytes]]) -> None:
    """End servers and all that they started: SIGINT, after ten seconds SIGTERM, then SIGKILL."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        for process in processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
        deadline = time.monotonic() + 10
        while any(_group_lives(process) for process in processes) and time.monotonic() < deadline:
            time.sleep(0.2)
        if not any(_group_lives(process) for process in processes):
            return


def _group_lives(process: subprocess.Popen[bytes]) -> bool:
    """Whether the server or anything it started still runs."""
    process.poll()
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return False
    return True
