"""A small meter that went through the data assets once, copied for every test that spoils it."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from smartgrid_pipeline.definitions import create_definitions
from smartgrid_pipeline.orchestration.resources import Resources
from smartgrid_pipeline.orchestration.runtime import launch
from smartgrid_pipeline.orchestration.runtime.instance import open_instance
from smartgrid_pipeline.settings import Settings
from smartgrid_pipeline_tests.conftest import HOME, make_readings

MONTHS = ("2010-01", "2010-02", "2010-03", "2010-04")
LAST = MONTHS[-1]


@dataclass(frozen=True)
class Place:
    """A home directory with one source in it."""

    root: Path

    @property
    def source(self) -> Path:
        return self.root / "meter.parquet"

    @property
    def settings(self) -> Settings:
        return Settings(
            home=self.root,
            source=str(self.source),
            timezone="Australia/Sydney",
            effort="tiny",
            first_month="2010-01",
        )

    @property
    def resources(self) -> Resources:
        return Resources(self.settings)

    def definitions(self) -> dg.Definitions:
        return create_definitions(self.settings)

    def instance(self) -> dg.DagsterInstance:
        return open_instance(self.settings.dagster_home)

    def take_in(self, *months: str) -> None:
        with self.instance() as instance:
            launch.run_job(self.definitions(), instance, "take_in", months, lambda step, what: None)

    def stored(self) -> dict[str, bytes]:
        """Every stored frame, by its path."""
        folder = self.settings.data_dir
        return {
            str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.glob("*/*.parquet"))
        }

    def write(self, readings: pd.DataFrame) -> None:
        readings.to_parquet(self.source)


@pytest.fixture(scope="session")
def taken_in(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Four months of a half-hourly home, taken in to features."""
    place = Place(tmp_path_factory.mktemp("taken-in"))
    place.write(make_readings(125, "2010-01-01", HOME))
    place.take_in(*MONTHS)
    return place


@pytest.fixture
def place(taken_in: Place, tmp_path: Path) -> Place:
    """A copy of it, free to spoil."""
    shutil.copytree(taken_in.root, tmp_path / "home")
    return Place(tmp_path / "home")
