"""Ridge regression: scikit-learn's weights on its own terms, and one answer for a row wherever it stands."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge as SklearnRidge

from smartgrid_pipeline.core.forecasting.baselines.per_lead_group import TargetOffset
from smartgrid_pipeline.core.forecasting.baselines.ridge import LARGEST_INPUT, RidgeModel
from smartgrid_pipeline.core.forecasting.baselines.samples import Sample
from smartgrid_pipeline.core.schema import Floats

NAMES = ("active_power_kw", "target_hour", "other")


def _inputs(rows: int, seed: int) -> Floats:
    rng = np.random.default_rng(seed)
    values = rng.normal(1, 2, (rows, 3)).astype(np.float32)
    values[:, 1] = rng.integers(0, 24, rows)
    values[rng.random(rows) < 0.1, 2] = np.nan
    return values


@pytest.fixture(scope="module")
def sample() -> Sample:
    inputs, rng = _inputs(40_000, 0), np.random.default_rng(1)  # more than one block
    wave = np.sin(inputs[:, 1] * 2 * np.pi / 24)
    target = 0.5 * inputs[:, 0] * (1 + wave) + np.nan_to_num(inputs[:, 2]) + rng.normal(0, 0.1, len(inputs))
    weights = rng.uniform(0.5, 2, len(inputs)).astype(np.float32)
    return Sample(inputs, target.astype(np.float32), weights, np.zeros(len(inputs), int), 100.0)


@pytest.fixture(scope="module")
def model(sample: Sample) -> RidgeModel:
    return RidgeModel.fit(TargetOffset(-1, 0.0), NAMES, sample, penalty=0.01, waves=2)


def test_weights__equal_those_of_scikit_learn(model: RidgeModel, sample: Sample) -> None:
    terms = model.terms(sample.inputs)[:, :-1]
    theirs = SklearnRidge(alpha=0.01 * float(sample.weights.sum()))
    theirs.fit(terms, sample.observed_kw.astype(np.float64), sample_weight=sample.weights)
    np.testing.assert_allclose(model.weights[:-1], theirs.coef_, rtol=1e-6, atol=1e-9)
    assert model.weights[-1] == pytest.approx(theirs.intercept_, rel=1e-6)


def test_mean__follows_a_feature_whose_weight_depends_on_the_hour(model: RidgeModel) -> None:
    rows = np.array([[4.0, 6.0, 0.0], [4.0, 18.0, 0.0]], np.float32)
    np.testing.assert_allclose(model.mean(rows), [4.0, 0.0], atol=0.4)


def test_mean__of_a_row_alone_is_that_among_others(model: RidgeModel) -> None:
    rows = _inputs(20_000, 5)
    together = model.mean(rows)
    np.testing.assert_array_equal(together[[0, 17_000]], [model.mean(rows[[k]])[0] for k in (0, 17_000)])
    assert model.mean(rows[:0]).shape == (0,)


def test_terms__treat_missing_as_the_mean_and_cut_what_is_far_out(model: RidgeModel) -> None:
    terms = model.terms(np.array([[np.nan, 0, 1e9]], np.float32))
    assert terms[0, 0] == 0 and terms[0, 2] == LARGEST_INPUT and terms[0, -1] == 1


def test_model__survives_its_arrays(model: RidgeModel) -> None:
    again = RidgeModel.from_arrays(model.to_arrays("x"), "x")
    rows = _inputs(50, 7)
    np.testing.assert_array_equal(again.mean(rows), model.mean(rows))
