"""``smartgrid forecast``: there is always a forecast, and it says which tier of the fallback chain it is."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from smartgrid_pipeline import cli
from smartgrid_pipeline.core.forecasting.catalogue import create
from smartgrid_pipeline.core.forecasting.forecaster import TINY, Split
from smartgrid_pipeline.core.forecasting.history_frames import history_from_table
from smartgrid_pipeline.core.schema import ACTIVE_POWER, CHANNELS
from smartgrid_pipeline.orchestration.resources import Resources
from smartgrid_pipeline.registry import Example
from smartgrid_pipeline.settings import Settings
from smartgrid_pipeline_tests.conftest import make_readings, make_table
from smartgrid_pipeline_tests.registry.conftest import DATA, MONTH, evidence_for, migrated_folder

__all__ = ["migrated_folder"]

READINGS = make_readings(24)
HOUR = 60


def write(frame: pd.DataFrame, path: Path) -> None:
    channels = [channel for channel in CHANNELS if channel in frame]
    frame[channels].rename_axis("timestamp").reset_index().to_csv(path, index=False)


@pytest.fixture(scope="module")
def home_with_champion(tmp_path_factory: pytest.TempPathFactory, migrated_folder: Path) -> Path:
    """A home directory whose meter has a champion, the ridge regression."""
    root = tmp_path_factory.mktemp("home")
    write(READINGS, root / "meter.csv")
    (root / "mlruns").mkdir()
    shutil.copy(migrated_folder / "mlflow.db", root / "mlruns")
    resources = Resources(Settings(home=root, source=str(root / "meter.csv"), timezone="Europe/Paris"))
    resources.save_source_facts()
    meter = resources.meter
    history = history_from_table(make_table(READINGS, meter), meter)
    model = create("ridge", TINY)
    model.fit(history, Split.before(history.end, history))
    run = resources.registry.log_training(
        model,
        model=model.name,
        month=MONTH,
        fingerprint="f1",
        data=DATA,
        example=Example(meter, READINGS),
        metrics={},
    )
    resources.registry.promote(run.run_id, evidence_for(run), reason="the first")
    return root


@pytest.fixture
def forecast(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """Runs the command in a home directory; returns its exit code and what it printed."""

    def call(root: Path, *words: str) -> tuple[int, str]:
        monkeypatch.setattr(os, "environ", os.environ | {"SMARTGRID_HOME": str(root)})
        source = ("--source", str(root / "meter.csv"), "--timezone", "Europe/Paris")
        monkeypatch.setattr("sys.argv", ["smartgrid", "forecast", *source, *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return int(ended.value.code or 0), capsys.readouterr().out

    return call


def assert_whole(document: dict[str, Any]) -> None:
    """A document has every lead, and numbers in their order."""
    forecasts = pd.DataFrame(document["forecasts"])
    quantiles = forecasts[[name for name in forecasts if name.startswith("q")]].to_numpy()
    assert forecasts["lead_end_minutes"].max() == 7 * 1440 and len(quantiles.T) == 9
    assert (forecasts["mean_kw"] >= 0).all() and (quantiles[:, 1:] >= quantiles[:, :-1]).all()


CASES = {
    "all readings": (READINGS, "champion", None),
    "three days": (READINGS.iloc[-3 * 24 * HOUR :], "past_days", "3.0 observed days, the champion needs 7"),
    "one hour": (READINGS.iloc[-HOUR:], "typical_home_of_this_level", "0.0 observed days"),
    "no whole interval": (READINGS.iloc[-1438:-1436], "typical_home", "0.0 observed days"),
    "power alone": (READINGS[[ACTIVE_POWER]], "champion_without_channels", "channels are missing: current"),
}
"""Readings of the file, the tier that forecasts, and why not the champion."""


@pytest.mark.parametrize("case", CASES)
def test_forecast__is_the_best_tier_that_the_file_allows(
    case: str, home_with_champion: Path, tmp_path: Path, forecast: Callable[..., tuple[int, str]]
) -> None:
    readings, tier, reason = CASES[case]
    write(readings, tmp_path / "recent.csv")
    code, printed = forecast(home_with_champion, "--file", str(tmp_path / "recent.csv"), "--json")
    document = json.loads(printed)
    assert code == 0 and document["tier"] == tier
    assert document["reason"] is None if reason is None else reason in document["reason"]
    assert document["champion"]["model"] == "ridge" and document["meter"] == "recent"
    assert_whole(document)


def test_forecast__without_a_champion_is_of_past_days(
    migrated_folder: Path, tmp_path: Path, forecast: Callable[..., tuple[int, str]]
) -> None:
    (tmp_path / "mlruns").mkdir()
    shutil.copy(migrated_folder / "mlflow.db", tmp_path / "mlruns")
    write(READINGS.iloc[: 9 * 24 * HOUR], tmp_path / "meter.csv")
    code, printed = forecast(tmp_path, "--json")
    document = json.loads(printed)
    assert code == 0 and document["champion"] is None
    assert (document["tier"], document["reason"]) == ("past_days", "there is no champion")
    assert document["origin"] == "2010-01-13 00:00:00"
    assert_whole(document)
    code, printed = forecast(tmp_path)
    assert (
        code == 0 and "past days for meter" in printed and "tier past_days: there is no champion" in printed
    )


def test_forecast__prints_its_tier_when_it_is_the_champion(
    home_with_champion: Path, forecast: Callable[..., tuple[int, str]]
) -> None:
    code, printed = forecast(home_with_champion)
    assert code == 0 and "ridge for meter" in printed and "tier champion" in printed
