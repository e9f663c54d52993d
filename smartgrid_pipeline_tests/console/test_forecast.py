"""``smartgrid forecast``: there is always a forecast, and it says which tier of the fallback chain it is."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
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


def resources_of(root: Path) -> Resources:
    return Resources(Settings(home=root, source=str(root / "meter.csv"), timezone="Europe/Paris"))


@pytest.fixture(scope="module")
def home_with_champion(tmp_path_factory: pytest.TempPathFactory, migrated_folder: Path) -> Path:
    """A home directory whose meter has a champion, the ridge regression."""
    root = tmp_path_factory.mktemp("home")
    write(READINGS, root / "meter.csv")
    (root / "mlruns").mkdir()
    shutil.copy(migrated_folder / "mlflow.db", root / "mlruns")
    resources = resources_of(root)
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


@pytest.fixture
def model_files(home_with_champion: Path) -> Iterator[Path]:
    """The folder of the champion's stored model, to be damaged: put back afterwards."""
    registry = resources_of(home_with_champion).registry
    champion = registry.champion()
    assert champion is not None
    folder = registry.model_directory(champion.run_id).parent
    kept = folder.with_name("kept")
    shutil.copytree(folder, kept)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
    kept.rename(folder)


def delete(folder: Path) -> None:
    shutil.rmtree(folder)


def damage(folder: Path) -> None:
    (folder / "files" / "model.npz").write_bytes(b"no archive")


def set_older_format(folder: Path) -> None:
    path = folder / "files" / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 0}))


def lose_the_meter(folder: Path) -> None:
    (folder / "about.json").write_text("{}")


SPOILT = {
    delete: "model files of run",
    damage: "could be read from",
    set_older_format: "was saved in format 0",
    lose_the_meter: "The meter of run",
}
"""What happens to the champion's files, and what the reason then says."""


@pytest.mark.parametrize("spoil", SPOILT, ids=lambda spoil: spoil.__name__)
def test_forecast__is_of_past_days_when_the_champion_does_not_load(
    spoil: Callable[[Path], None], home_with_champion: Path, model_files: Path,
    forecast: Callable[..., tuple[int, str]],
) -> None:  # fmt: skip
    spoil(model_files)
    code, printed = forecast(home_with_champion, "--json")
    document = json.loads(printed)
    assert code == 0 and document["tier"] == "past_days"
    assert SPOILT[spoil] in document["reason"] and document["champion"]["model"] == "ridge"
    assert_whole(document)
    code, printed = forecast(home_with_champion)
    assert code == 0 and "tier past_days" in printed


def test_forecast__of_a_source_that_lost_channels_still_uses_the_champion(
    home_with_champion: Path, forecast: Callable[..., tuple[int, str]]
) -> None:
    """Every ingest stores the source's meter anew; the champion's own is stored with its model."""
    try:
        write(READINGS[[ACTIVE_POWER]], home_with_champion / "meter.csv")
        resources_of(home_with_champion).save_source_facts()
        code, printed = forecast(home_with_champion, "--json")
    finally:
        write(READINGS, home_with_champion / "meter.csv")
        resources_of(home_with_champion).save_source_facts()
    document = json.loads(printed)
    assert code == 0 and document["tier"] == "champion_without_channels"
    assert "channels are missing: current" in document["reason"]


def test_forecast__with_a_database_that_cannot_be_opened_is_an_error(
    tmp_path: Path, forecast: Callable[..., tuple[int, str]]
) -> None:
    (tmp_path / "mlruns").mkdir()
    (tmp_path / "mlruns" / "mlflow.db").write_bytes(b"no database" * 1_000)
    write(READINGS.iloc[: 2 * 24 * HOUR], tmp_path / "meter.csv")
    code, printed = forecast(tmp_path, "--json")
    assert code == 1 and printed == ""
