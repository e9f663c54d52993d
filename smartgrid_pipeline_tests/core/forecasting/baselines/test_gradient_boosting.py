"""LightGBM: quantiles and mean of known distributions, fewer trees for short windows, repeatable bits."""

import numpy as np
import pytest

from smartgrid_pipeline.core.forecasting.baselines.gradient_boosting import (
    LIGHTGBM_PARAMS,
    BoostedModel,
    LightGBM,
    tree_count,
)
from smartgrid_pipeline.core.forecasting.baselines.samples import Sample
from smartgrid_pipeline.core.forecasting.forecaster import FULL, TrainingBudget
from smartgrid_pipeline.core.forecasting.leads import LEAD_GROUP_NAMES, lead_groups
from smartgrid_pipeline.core.schema import QUANTILES
from smartgrid_pipeline_tests.conftest import HOUSE

GROUP = next(group for group in lead_groups(HOUSE) if group.name == "day_1h")


def _sample(rows: int, seed: int, days: float = 400.0) -> Sample:
    """A target whose mean and spread follow the first of three inputs."""
    rng = np.random.default_rng(seed)
    inputs = rng.uniform(0, 1, (rows, 3)).astype(np.float32)
    observed = (1 + inputs[:, 0]) * rng.uniform(0, 2, rows)
    return Sample(inputs, observed.astype(np.float32), np.ones(rows, "f4"), np.zeros(rows, int), days)


@pytest.fixture(scope="module")
def forecaster() -> LightGBM:
    return LightGBM()


@pytest.fixture(scope="module")
def model(forecaster: LightGBM) -> BoostedModel:
    found = forecaster._fit_group(GROUP, HOUSE, _sample(6_000, 0), _sample(1_000, 1), seed=0)
    assert isinstance(found, BoostedModel)
    return found


def test_forecast__has_the_mean_and_quantiles_of_the_distribution(model: BoostedModel) -> None:
    x = np.array([[0.1, 0.5, 0.5], [0.9, 0.5, 0.5]], np.float32)
    mean, quantiles = model.predict(x, np.zeros(2, int))
    np.testing.assert_allclose(mean, 1 + x[:, 0], atol=0.12)
    np.testing.assert_allclose(quantiles, (1 + x[:, :1]) * 2 * np.array(QUANTILES), atol=0.3)


def test_columns__are_ranked_by_gain(model: BoostedModel) -> None:
    assert model.columns[0] == 0


def test_curves__have_training_and_holdout_loss(forecaster: LightGBM, model: BoostedModel) -> None:
    curves = forecaster.curves()
    assert set(curves["lead_group"]) == {"day_1h"} and curves["validation"].notna().all()
    assert curves["training"].iloc[-1] < curves["training"].iloc[0]


def test_trees__are_fewer_for_a_short_window_and_within_the_budget() -> None:
    assert tree_count(FULL, 100, _sample(9, 0, days=800)) == 100
    assert tree_count(FULL, 100, _sample(9, 0, days=36.5)) == 20
    assert tree_count(TrainingBudget(max_trees=7), 100, _sample(9, 0)) == 7


def test_model__survives_its_arrays(model: BoostedModel) -> None:
    again, inputs = BoostedModel.from_arrays(model.to_arrays("x"), "x"), _sample(50, 2).inputs
    for left, right in zip(model.predict(inputs, inputs), again.predict(inputs, inputs), strict=True):  # type: ignore[arg-type]
        np.testing.assert_array_equal(left, right)


def test_params__exist_for_every_lead_group() -> None:
    assert tuple(LIGHTGBM_PARAMS) == tuple(LightGBM.rows) == LEAD_GROUP_NAMES
