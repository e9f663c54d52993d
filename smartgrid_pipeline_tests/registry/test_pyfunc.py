"""What MLflow loads is the forecaster: same forecast, no pickle, signature kept."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from smartgrid_pipeline.core.forecasting.forecaster import TINY, Split
from smartgrid_pipeline.core.forecasting.history_frames import history_from_table
from smartgrid_pipeline.core.schema import QUANTILE_COLUMNS, DataError, leads_for
from smartgrid_pipeline.registry import Example, Registry
from smartgrid_pipeline_tests.conftest import HOME, HOUSE, make_readings, make_table
from smartgrid_pipeline_tests.registry.conftest import DATA, Train
from smartgrid_pipeline_tests.registry.tiny import TinyForecaster

Load = Callable[[str], Any]


@pytest.fixture
def load_model() -> Load:
    import smartgrid_pipeline.registry.pyfunc  # imports mlflow.pyfunc without its warning

    assert smartgrid_pipeline.registry.pyfunc
    from mlflow.pyfunc import load_model

    return load_model


def test_logged_model__gives_the_forecast_of_the_forecaster(
    registry: Registry, train: Train, load_model: Load
) -> None:
    from smartgrid_pipeline.registry.pyfunc import to_input

    readings = make_readings(9)
    run = train(TinyForecaster(0.75), example=Example(HOUSE, readings))
    location = registry.model_directory(run.run_id).parents[1]
    asked = to_input(readings, HOUSE)
    answer = load_model(str(location)).predict(asked)

    history = history_from_table(make_table(readings), HOUSE)
    leads = leads_for(HOUSE.working_minutes)
    direct = registry.load(run.run_id).predict(history, np.array([history.end]), leads)
    assert list(answer["lead_end_minutes"]) == [lead.end_minutes for lead in leads]
    assert set(answer["origin"]) == {pd.Timestamp(history.end)}
    np.testing.assert_array_equal(answer["mean_kw"].to_numpy(np.float32), direct.mean_kw[0])
    np.testing.assert_array_equal(answer[list(QUANTILE_COLUMNS)].to_numpy(np.float32), direct.quantiles_kw[0])


def test_logged_model__answers_its_own_example(registry: Registry, train: Train, load_model: Load) -> None:
    from mlflow.models import Model

    location = str(registry.model_directory(train().run_id).parents[1])
    entry = Model.load(location)
    answer = load_model(location).predict(entry.load_input_example(location))
    assert len(answer) == len(leads_for(HOME.working_minutes))
    names = [column.name for column in entry.signature.inputs.inputs]
    assert names == ["interval_start", "active_power_kw"]


def test_logged_model__holds_no_pickle(registry: Registry, train: Train) -> None:
    files = registry.model_directory(train().run_id).parents[1].rglob("*")
    suffixes = {path.suffix for path in files if path.is_file()}
    assert suffixes <= {".json", ".yaml", ".txt", ".py", ""}


def test_model_forecast__uses_complete_intervals_only() -> None:
    """A reading of 10:03 does not make the interval to 10:05 known."""
    from smartgrid_pipeline.core.forecasting.newest import model_forecast

    readings = make_readings(8)
    whole = model_forecast(TinyForecaster(), readings.iloc[:-5], HOUSE)
    begun = model_forecast(TinyForecaster(), readings.iloc[:-2], HOUSE)
    np.testing.assert_array_equal(whole.origins, begun.origins)
    np.testing.assert_array_equal(whole.mean_kw, begun.mean_kw)
    with pytest.raises(DataError, match="no complete interval"):
        model_forecast(TinyForecaster(), readings.iloc[:3], HOUSE)


def test_requirements__can_be_installed_anywhere() -> None:
    from smartgrid_pipeline.registry.pyfunc import requirements

    assert all("==" in line and "+" not in line for line in requirements())


def test_real_model__needs_no_help_to_load(registry: Registry, load_model: Load) -> None:
    """The project's own names and script: what a user of MLflow gets."""
    from smartgrid_pipeline.core.forecasting.catalogue import create
    from smartgrid_pipeline.core.forecasting.newest import model_forecast, to_frame
    from smartgrid_pipeline.registry.pyfunc import to_input

    readings = make_readings(40, meter=HOME)
    history = history_from_table(make_table(readings, HOME), HOME)
    forecaster = create("ridge", TINY)
    forecaster.fit(history, Split.before(history.end, history))
    uri, root = registry.connection.uri, registry.connection.artifact_root
    own = Registry(uri, root, "smartgrid-test")
    run = own.log_training(
        forecaster,
        model="ridge",
        month="2010-02",
        fingerprint="f1",
        data=DATA,
        example=Example(HOME, readings),
        metrics={},
    )
    location = str(own.model_directory(run.run_id).parents[1])
    answer = load_model(location).predict(to_input(readings, HOME))
    direct = to_frame(model_forecast(own.load(run.run_id), readings, HOME))
    pd.testing.assert_frame_equal(answer, direct)
    before = forecaster.predict(history, np.array([history.end]), leads_for(HOME.working_minutes))
    np.testing.assert_array_equal(answer["mean_kw"].to_numpy(np.float32), before.mean_kw[0])
