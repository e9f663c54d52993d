"""The command line: bad input gets a clear error and exit code 1, answers are one JSON document."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer.main

from smartgrid_pipeline import cli
from smartgrid_pipeline.core.schema import ACTIVE_POWER, DataError
from smartgrid_pipeline.settings import Settings
from smartgrid_pipeline_tests.conftest import HOME, make_readings


@pytest.fixture
def smartgrid(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., int]:
    """Runs the command in a directory of its own; returns the exit code."""
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.chdir(tmp_path)

    def call(*words: str) -> int:
        monkeypatch.setattr("sys.argv", ["smartgrid", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return int(ended.value.code or 0)

    return call


def home() -> pd.DataFrame:
    """Two months of a half-hourly home, as a file would hold them."""
    readings = make_readings(62, "2010-01-01", HOME)
    return pd.DataFrame({"timestamp": readings.index, "power_kw": readings[ACTIVE_POWER].to_numpy()})


def two_meters(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([frame, frame.assign(power_kw=frame["power_kw"] + 1)]).sort_values("timestamp")


def mixed_steps(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([frame.iloc[:1000], frame.iloc[1000::3]])


OPTIONS = {
    "source": "meter.csv",
    "meter": "7",
    "time_column": "when",
    "value_column": "used",
    "unit": "kWh",
    "timezone": "Europe/Paris",
    "table": "readings",
    "query": "SELECT 1",
}
WORDS = [word for name, value in OPTIONS.items() for word in (f"--{name.replace('_', '-')}", value)]
COMMANDS = {
    "report": ("results.report", []),
    "validate": ("results.validate", ["file.csv"]),
    "forecast": ("results.forecast", []),
    "anomalies": ("results.anomalies", []),
    "champion": ("results.champion", []),
    "promote": ("results.promote", ["run-1"]),
    "rollback": ("results.rollback", []),
    "defects": ("results.defects", []),
    "run": ("month_run.run", []),
    "ui": ("servers.serve", []),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_source_options__reach_the_settings_of_every_command_and_no_other_process(
    command: str, smartgrid: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    function, words = COMMANDS[command]
    received: list[Settings] = []

    def stop(settings: Settings, *others: object) -> None:
        received.append(settings)
        raise DataError("far enough")

    monkeypatch.setattr(f"smartgrid_pipeline.console.{function}", stop)
    before = dict(os.environ)
    assert smartgrid(command, *words, *WORDS) == 1
    given = OPTIONS if command != "validate" else OPTIONS | {"source": "file.csv"}
    assert {name: getattr(received[0], name) for name in OPTIONS} == given
    assert dict(os.environ) == before


def test_every_command__has_the_source_options() -> None:
    group = typer.main.get_command(cli.app)
    assert set(group.commands) == set(COMMANDS)  # type: ignore[attr-defined]


UNREADABLE = {
    "no time column": (lambda f: f.drop(columns="timestamp"), "time column"),
    "mixed steps": (mixed_steps, "step"),
    "all missing": (lambda f: f.assign(power_kw=np.nan), "missing"),
    "two meters in one column": (two_meters, "meter"),
    "unparsable time": (lambda f: f.assign(timestamp="yesterday"), "yesterday"),
}


@pytest.mark.parametrize("what", UNREADABLE)
def test_unreadable_file__is_a_clear_error(
    what: str, smartgrid: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil, said = UNREADABLE[what]
    spoil(home()).to_csv("meter.csv", index=False)
    assert smartgrid("run", "--source", "meter.csv", "--timezone", "UTC") == 1
    error = capsys.readouterr().err
    assert "SourceError" in error and said in error and "Traceback" not in error
    assert not (tmp_path / "mlruns").exists()


@pytest.mark.parametrize("content", [None, b""], ids=["missing", "empty"])
def test_no_file_or_nothing_in_it__is_a_clear_error(
    content: bytes | None, smartgrid: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        Path("meter.csv").write_bytes(content)
    assert smartgrid("validate", "meter.csv") == 1
    assert "meter.csv" in capsys.readouterr().err


BAD = {
    "duplicates": lambda f: pd.concat([f, f.iloc[:48]]).sort_values("timestamp"),
    "unsorted": lambda f: pd.concat([f.iloc[500:900], f.iloc[:500], f.iloc[900:]]),
    "a thousand million kW": lambda f: f.assign(power_kw=f["power_kw"].where(f.index != 700, 1e9)),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_readings__fail_validation_with_a_verdict(
    what: str, smartgrid: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    BAD[what](home()).to_csv("meter.csv", index=False)
    assert smartgrid("validate", "meter.csv", "--timezone", "UTC", "--json") == 1
    document = json.loads(capsys.readouterr().out)
    assert not document["passed"]
    assert not document["months"]["2010-01"]["passed"]
    assert document["months"]["2010-02"]["passed"]


def test_good_readings__pass_validation(
    smartgrid: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    home().to_csv("meter.csv", index=False)
    assert smartgrid("validate", "meter.csv", "--timezone", "UTC") == 0
    assert "2010-02: passed" in capsys.readouterr().out


def test_month_not_in_the_source__says_which_there_are(
    smartgrid: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    home().to_csv("meter.csv", index=False)
    assert smartgrid("run", "--source", "meter.csv", "--timezone", "UTC", "--month", "2012-07") == 1
    error = capsys.readouterr().err
    assert "2012-07" in error and "2010-01-01" in error and "2010-02" in error


def test_defects__are_one_json_document(
    smartgrid: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    home().drop(index=range(100, 120)).to_csv("meter.csv", index=False)
    assert smartgrid("defects", "--source", "meter.csv", "--timezone", "UTC", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["counts"]["gap"] == {"intervals": 1, "minutes": 600}


def test_champion__is_none_before_the_first_run(
    smartgrid: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert smartgrid("champion", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["champion"] is None and document["ledger"] == []
