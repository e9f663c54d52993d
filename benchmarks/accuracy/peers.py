"""Other people's forecasters on the same hours and quarters, each in an environment of its own."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.accuracy.protocol import Protocol
from benchmarks.shared.result_head import ROOT
from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.schema import FORECAST_COLUMNS, FORECAST_TASKS, LeadInterval

SCRIPTS = Path(__file__).parent / "peer_scripts"
PEERS = {"neuralforecast": ".venv-peers/neuralforecast", "openstef": ".venv-peers/openstef"}
"""Peer → its environment, made by ``make peers``; the script of the peer has its name and ``_peer.py``."""

PYTHONS = "SMARTGRID_PEERS"
"""Environment variable: a folder that holds the peers' environments instead of ``.venv-peers``."""


@dataclass(frozen=True)
class Peer:
    """What a peer forecast, and what that cost."""

    forecasts: pd.DataFrame
    facts: dict[str, Any]


def run(history: History, protocol: Protocol, cache: Path) -> dict[str, Peer]:
    """Every peer whose environment exists; kept forecasts are read. Says which are missing."""
    found = {}
    inputs = cache / str(protocol.year) / f"peer-inputs-{str(protocol.end)[:10]}"
    given = write_inputs(history.until(protocol.end), protocol, inputs)
    for name in PEERS:
        script = SCRIPTS / f"{name}_peer.py"
        folder = cache / str(protocol.year) / f"peer-{name}-{given}-{_hash(script)}"
        if not (folder / "facts.json").exists():
            python = _python(name)
            if not python.exists():
                print(f"{name} is left out: no {python}; `make peers` installs it.", file=sys.stderr)
                continue
            _run_script(python, script, inputs, folder)
        table = pd.read_parquet(folder / "forecasts.parquet")
        facts = json.loads((folder / "facts.json").read_text())
        found[name] = Peer(with_truth(table, history, protocol), facts)
        print(f"peer {name}: {facts['forecast']['cpu_seconds']:.0f} s CPU", file=sys.stderr, flush=True)
    return found


def _python(name: str) -> Path:
    base = os.environ.get(PYTHONS)
    folder = Path(base) / name if base else ROOT / PEERS[name]
    return folder / "bin" / "python"


def _run_script(python: Path, script: Path, inputs: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")}
    environment.pop("PYTHONPATH", None)
    log = folder / "log.txt"
    with log.open("w") as file:
        done = subprocess.run(
            [str(python), str(script), str(inputs), str(folder)],
            env=environment, stdout=file, stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip
    if done.returncode:
        last = "\n".join(log.read_text().splitlines()[-3:])
        raise RuntimeError(f"{script.name} failed; see {log}, its last lines:\n{last}")


def write_inputs(history: History, protocol: Protocol, folder: Path) -> str:
    """Hourly and quarter-hourly means (NaN where less than half was observed) and the dates of the test;
    returns a hash of all that.
    """
    folder.mkdir(parents=True, exist_ok=True)
    digest = sha256()
    for name, minutes in (("hourly", 60), ("quarter_hourly", 15)):
        step = minutes // history.meter.working_minutes
        if step < 1:
            continue
        rows = np.arange(0, len(history.starts) - step + 1)
        midnight = history.starts[rows].astype("datetime64[D]")
        on_grid = (history.starts[rows] - midnight).astype(int) % minutes == 0
        rows = rows[on_grid]
        frame = pd.DataFrame(
            {
                "start": history.starts[rows].astype("datetime64[s]"),
                "power_kw": history.interval_means(rows, minutes),
            }
        )
        half = folder / f"{name}-{os.getpid()}.half"
        frame.to_parquet(half, index=False)
        half.replace(folder / f"{name}.parquet")  # another run may be reading it
        digest.update(frame["power_kw"].to_numpy().tobytes())
    dates = {"test_from": protocol.fit_before, "end": protocol.end}
    dates_text = json.dumps({key: str(value) for key, value in dates.items()})
    (folder / "protocol.json").write_text(dates_text)
    digest.update(dates_text.encode())
    return digest.hexdigest()[:10]


def with_truth(table: pd.DataFrame, history: History, protocol: Protocol) -> pd.DataFrame:
    """A peer's forecasts beside the observed power of each interval (NaN: not scored)."""
    parts = []
    for card in FORECAST_TASKS:
        rows = table[table["card"] == card.name].reset_index(drop=True)
        if rows.empty:
            continue
        origins = rows["origin"].to_numpy().astype("datetime64[m]")
        distinct, back = np.unique(origins, return_inverse=True)
        truth = history.until(protocol.end).targets(distinct, card.leads)
        start = (rows["interval_start"].to_numpy() - origins).astype("timedelta64[m]").astype(int)
        end = (rows["interval_end"].to_numpy() - origins).astype("timedelta64[m]").astype(int)
        column = {lead: j for j, lead in enumerate(card.leads)}
        at = np.array([column[LeadInterval(int(a), int(b))] for a, b in zip(start, end, strict=True)])
        parts.append(rows.assign(observed_kw=truth[back, at]))
    return pd.concat(parts, ignore_index=True)[list(FORECAST_COLUMNS)]


def _hash(path: Path) -> str:
    return sha256(path.read_bytes() + (SCRIPTS / "tables.py").read_bytes()).hexdigest()[:10]
