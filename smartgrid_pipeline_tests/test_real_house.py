"""The main job on the real house, from raw minutes to a champion, with hardly any training."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

MONTH = "2010-10"


def smartgrid(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a user does, in a process and a home of its own."""
    environment = os.environ | {"SMARTGRID_HOME": str(home), "SMARTGRID_EFFORT": "tiny"}
    command = [sys.executable, "-m", "smartgrid_pipeline.cli", *words]
    return subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, check=False)


def parsed(home: Path, *words: str) -> Any:
    """The JSON that a command prints."""
    done = smartgrid(home, *words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.long
def test_real_house__goes_from_raw_minutes_to_a_champion_that_forecasts(tmp_path: Path) -> None:
    done = smartgrid(tmp_path, "run", "--month", MONTH)
    assert done.returncode == 0, done.stderr[-4_000:]
    champion = parsed(tmp_path, "champion")
    report = parsed(tmp_path, "report", "--month", MONTH)
    forecast = parsed(tmp_path, "forecast")
    assert MONTH in json.dumps(champion) and report and forecast
    assert forecast["tier"] == "champion"
