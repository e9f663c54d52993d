"""What holds for every forecaster that is fitted from a history alone. A new model is one more factory.

The neural experts and their mixture are held to the same in test_neural.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.forecasting.analog_ensemble.model import AnalogEnsemble
from smartgrid_pipeline.core.forecasting.baselines.gradient_boosting import LightGBM
from smartgrid_pipeline.core.forecasting.baselines.naive import REFERENCES
from smartgrid_pipeline.core.forecasting.catalogue import BASELINES
from smartgrid_pipeline.core.forecasting.forecaster import TINY, Forecaster, Split, TrainingBudget
from smartgrid_pipeline.core.schema import REFERENCE_NAMES, DataError, ModelError, leads_for
from smartgrid_pipeline_tests.conftest import make_history
from smartgrid_pipeline_tests.core.forecasting.spoiling import (
    SPOILS,
    assert_legal,
    assert_same,
    spoiled,
    unobserved,
)

FACTORIES: dict[str, Callable[[TrainingBudget], Forecaster]] = {
    **REFERENCES,
    LightGBM.name: LightGBM,
    **BASELINES,
    AnalogEnsemble.name: AnalogEnsemble,
}
LEARNING = (*BASELINES, "lightgbm", AnalogEnsemble.name)
DAY = np.timedelta64(1440, "m")
HOUSE_ORIGINS = np.array(["2010-01-25T00:00", "2010-02-01T18:35"], "datetime64[m]")
HOME_ORIGINS = np.array(["2010-03-01T00:00", "2010-03-05T18:30"], "datetime64[m]")

Fitted = dict[str, Forecaster]

every_model = pytest.mark.parametrize("name", FACTORIES)


def _fit(name: str, history: History, before: np.datetime64 | None = None) -> Forecaster:
    model = FACTORIES[name](TINY)
    model.fit(history, Split.before(before or history.end, history))
    return model


@pytest.fixture(scope="module")
def house_models(house_history: History) -> Fitted:
    return {name: _fit(name, house_history) for name in FACTORIES}


@pytest.fixture(scope="module")
def home_models(home_history: History) -> Fitted:
    return {name: _fit(name, home_history) for name in FACTORIES}


def test_references__are_those_of_the_schema() -> None:
    assert (*REFERENCES, LightGBM.name) == REFERENCE_NAMES


@every_model
def test_forecast__does_not_depend_on_what_comes_after_the_origin(
    name: str, house_models: Fitted, house_history: History
) -> None:
    for i in range(len(HOUSE_ORIGINS)):
        origin = HOUSE_ORIGINS[i : i + 1]
        honest = house_models[name].predict(house_history, origin, leads_for(5))
        for how in SPOILS:
            other = spoiled(house_history, origin[0], how)
            assert_same(honest, house_models[name].predict(other, origin, leads_for(5)))
        assert_same(honest, house_models[name].predict(house_history.until(origin[0]), origin, leads_for(5)))


@every_model
def test_forecast__of_a_coarse_meter_does_not_either(
    name: str, home_models: Fitted, home_history: History
) -> None:
    origin = HOME_ORIGINS[1:]
    honest = home_models[name].predict(home_history, origin, leads_for(30))
    for how in SPOILS:
        other = spoiled(home_history, origin[0], how)
        assert_same(honest, home_models[name].predict(other, origin, leads_for(30)))


@pytest.mark.parametrize("name", ["persistence", *LEARNING])
def test_forecast__reads_the_last_readings(name: str, house_models: Fitted, house_history: History) -> None:
    origin = HOUSE_ORIGINS[1:]
    other = spoiled(house_history, origin[0] - np.timedelta64(10, "m"), "noise")
    honest = house_models[name].predict(house_history, origin, leads_for(5))
    assert (honest.mean_kw != house_models[name].predict(other, origin, leads_for(5)).mean_kw).any()


@every_model
def test_fit__does_not_read_beyond_its_window(name: str, house_history: History) -> None:
    before = house_history.end - 5 * DAY
    honest = _fit(name, house_history, before)
    other = _fit(name, spoiled(house_history, before, "huge"), before)
    assert_same(*(model.predict(house_history, HOUSE_ORIGINS, leads_for(5)) for model in (honest, other)))


@every_model
def test_fit__gives_the_same_bits_again(name: str, house_models: Fitted, house_history: History) -> None:
    again = _fit(name, house_history)
    assert_same(
        *(model.predict(house_history, HOUSE_ORIGINS, leads_for(5)) for model in (house_models[name], again))
    )


@every_model
def test_forecast__is_legal_for_every_lead(name: str, house_models: Fitted, house_history: History) -> None:
    origins = house_history.origins(house_history.starts[0], house_history.end + 1, 1440 + 7 * 60)
    late = house_history.end + np.array([10, 600]).astype("timedelta64[m]")
    assert_legal(house_models[name].predict(house_history, np.concatenate([origins, late]), leads_for(5)))


@every_model
def test_forecast__of_a_power_only_meter_is_legal(
    name: str, home_models: Fitted, home_history: History
) -> None:
    origins = home_history.origins(home_history.starts[0], home_history.end + 1, 1440 + 7 * 60)
    assert_legal(home_models[name].predict(home_history, origins, leads_for(30)))


@every_model
@pytest.mark.parametrize("days", [1, 8, 30])
def test_forecast__bridges_missing_days(
    name: str, days: int, house_models: Fitted, house_history: History
) -> None:
    origin = HOUSE_ORIGINS[1]
    gap = unobserved(house_history, origin - days * DAY, origin)
    assert_legal(house_models[name].predict(gap, HOUSE_ORIGINS[1:], leads_for(5)))


@every_model
def test_fit__works_on_three_weeks(name: str) -> None:
    history = make_history(21)
    origins = np.array([history.end])
    assert_legal(_fit(name, history).predict(history, origins, leads_for(5)))


@every_model
def test_fit__of_nothing_observed_says_so(name: str, home_history: History) -> None:
    nothing = unobserved(home_history, home_history.starts[0], home_history.end)
    with pytest.raises(DataError, match="observed"):
        _fit(name, nothing)


@every_model
def test_saved_model__is_the_same_model(
    name: str, house_models: Fitted, house_history: History, tmp_path: Path
) -> None:
    house_models[name].save(tmp_path)
    loaded = type(house_models[name]).load(tmp_path)
    forecasts = (
        model.predict(house_history, HOUSE_ORIGINS, leads_for(5)) for model in (house_models[name], loaded)
    )
    assert_same(*forecasts)
    assert loaded.parameters() == house_models[name].parameters()
    assert loaded.curves().equals(house_models[name].curves())
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".npz"}


@every_model
def test_load__of_something_else_is_refused(name: str, house_models: Fitted, tmp_path: Path) -> None:
    kind = type(house_models[name])
    with pytest.raises(ModelError, match="could be read"):
        kind.load(tmp_path)
    other = "persistence" if name != "persistence" else "analogue_7d"
    house_models[other].save(tmp_path)
    with pytest.raises(ModelError, match=other):
        kind.load(tmp_path)


@every_model
def test_model__not_fitted_neither_answers_nor_saves(
    name: str, house_history: History, tmp_path: Path
) -> None:
    model = FACTORIES[name](TINY)
    with pytest.raises(ModelError, match="not fitted"):
        model.predict(house_history, HOUSE_ORIGINS, leads_for(5))
    with pytest.raises(ModelError, match="not fitted"):
        model.save(tmp_path)


@every_model
def test_model__refuses_a_meter_with_another_step(
    name: str, house_models: Fitted, home_history: History
) -> None:
    with pytest.raises(ModelError, match="was fitted on a meter with step_minutes 1, this one has 30"):
        house_models[name].predict(home_history, HOME_ORIGINS, leads_for(30))


@pytest.mark.parametrize("name", LEARNING)
def test_learning_model__repeats_a_day_it_has_seen_often(name: str, house_history: History) -> None:
    """A model that learns anything beats the flat mean on a house that follows the clock."""
    history = house_history
    before = history.end - 7 * DAY
    model = FACTORIES[name](TrainingBudget(max_trees=12, max_rows=2_000))
    model.fit(history, Split.before(before, history))
    origins = history.origins(before, history.end, 1440)
    leads = tuple(lead for lead in leads_for(5) if lead.width_minutes == 60)
    truth = history.targets(origins, leads)
    seen = np.isfinite(truth)
    error = (model.predict(history, origins, leads).mean_kw - truth)[seen]
    assert (error**2).mean() < 0.8 * truth[seen].var()
