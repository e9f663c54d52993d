"""Who forecasts for the alarms: the champion on days it was not trained on, else nobody, with the reason."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from smartgrid_pipeline.core.forecasting.catalogue import create
from smartgrid_pipeline.core.forecasting.forecaster import TINY, Forecaster, Split
from smartgrid_pipeline.core.forecasting.history import history_from_table
from smartgrid_pipeline.core.schema import ModelError
from smartgrid_pipeline.orchestration.flows import residuals
from smartgrid_pipeline_tests.conftest import HOME, make_readings, make_table

BEGIN, END = np.datetime64("2010-03-10", "m"), np.datetime64("2010-03-15", "m")


@dataclass
class Registry:
    """One champion, or none."""

    trained_until: str | None
    forecaster: Forecaster | None = None

    def champion(self) -> Any:
        if self.trained_until is None:
            return None
        return SimpleNamespace(run_id="a", model="seasonal_week", month="2010-03")

    def run(self, run_id: str) -> Any:
        return SimpleNamespace(data=SimpleNamespace(end=np.datetime64(self.trained_until)))

    def load(self, run_id: str) -> Forecaster:
        if self.forecaster is None:
            raise ModelError("files are missing")
        return self.forecaster


def fitted(grid: pd.DataFrame) -> Forecaster:
    history, end = history_from_table(make_table(grid, HOME), HOME), np.datetime64("2010-03-12", "m")
    forecaster = create("seasonal_week", TINY)
    forecaster.fit(history.until(end), Split.before(end, history.until(end)))
    return forecaster


@pytest.fixture(scope="module")
def grid() -> pd.DataFrame:
    return make_readings(70, meter=HOME, seed=1)


def ask(registry: Registry, grid: pd.DataFrame) -> residuals.Surprise:
    return residuals.of_champion(SimpleNamespace(registry=registry, meter=HOME), grid, BEGIN, END)  # type: ignore[arg-type]


def test_champion__speaks_of_days_it_was_not_trained_on(grid: pd.DataFrame) -> None:
    found = ask(Registry("2010-03-12", fitted(grid)), grid)
    assert found.told_by == "seasonal_week of 2010-03"
    assert found.p_values is not None
    assert found.p_values.index[0] == pd.Timestamp("2010-03-12")
    assert found.p_values.index[-1] == pd.Timestamp("2010-03-14 23:30")


@pytest.mark.parametrize(
    ("registry", "reason"),
    [
        (Registry(None), "no champion yet"),
        (Registry("2010-04-01"), "was trained on these days"),
        (Registry("2010-03-01"), "gave no forecast .files are missing"),
    ],
)
def test_nobody__says_why(registry: Registry, reason: str, grid: pd.DataFrame) -> None:
    found = ask(registry, grid)
    assert found.p_values is None
    assert pd.Series([found.told_by]).str.contains(reason).all()


def test_nobody__forecasts_without_the_channels_it_learned_from(grid: pd.DataFrame) -> None:
    found = ask(Registry("2010-03-01"), grid.drop(columns="active_power_kw"))
    assert "needs active_power_kw" in found.told_by
