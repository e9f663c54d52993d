"""Blend weights: the prior without data, the learner where it is right, equal weights by coverage."""

import numpy as np
import pytest

from smartgrid_pipeline.core.forecasting.leads import BLENDING
from smartgrid_pipeline.core.forecasting.mixture.blending import (
    BlendWeight,
    BlendWeights,
    shrinkage_weight,
    shrinkage_weights,
)
from smartgrid_pipeline.core.forecasting.mixture.holdout import QuantileForecast
from smartgrid_pipeline.core.schema import ALL_LEADS, LeadInterval

HOUR, WEEK = LeadInterval(0, 60), LeadInterval(0, 7 * 1440)
PRIOR, STRENGTH = 0.3, 60


def _point(values: np.ndarray) -> QuantileForecast:
    """A forecast with all its quantiles at the mean."""
    return values.astype(np.float32), np.repeat(values[:, None], 9, 1).astype(np.float32)


def _fit_perfect(days: float) -> float:
    """Weight in the next hour's mean of a learner that is always right, after a holdout of some days."""
    rng = np.random.default_rng(0)
    target = rng.gamma(2, 0.5, 500).astype(np.float32)
    group = int(BLENDING.of_leads((HOUR,))[0])
    own = _point(target + rng.normal(0, 0.3, 500))
    shrinkage = shrinkage_weights(ALL_LEADS, days, STRENGTH)
    fit = BlendWeight.fit(own, _point(target), target, np.full(500, group), shrinkage, PRIOR)
    return float(fit.weights[group, 0])


def test_blend_weight__goes_from_the_prior_to_one_for_a_perfect_learner() -> None:
    weights = [_fit_perfect(days) for days in (1e-6, 1, 10, 100, 1e6)]
    assert weights == sorted(weights)
    assert weights[0] == pytest.approx(PRIOR, abs=1e-4) and weights[-1] == pytest.approx(1, abs=1e-4)


def test_shrinkage_weight__is_a_half_at_its_strength_in_separate_targets() -> None:
    assert shrinkage_weight(HOUR, 60 / 24, 60) == pytest.approx(0.5)
    assert shrinkage_weight(WEEK, 7 * 60, 60) == pytest.approx(0.5)


def test_blend_weight__follows_the_learner_only_where_it_is_right() -> None:
    rng = np.random.default_rng(0)
    target = rng.gamma(2, 0.5, 4_000).astype(np.float32)
    groups = np.repeat([0, 1], 2_000)
    own = _point(target + rng.normal(0, 0.3, 4_000))
    learner = _point(np.where(groups == 0, target + 0.01, target + 3))
    fit = BlendWeight.fit(own, learner, target, groups, np.ones(BLENDING.count, np.float32), 0.5)
    assert fit.weights[0].min() >= 0.8 and fit.weights[1].max() == 0
    moved, _ = fit.apply(own, learner, groups)
    assert np.abs(moved - target)[groups == 0].mean() < np.abs(own[0] - target)[groups == 0].mean() / 3
    np.testing.assert_array_equal(moved[groups == 1], own[0][groups == 1])


def test_blending__leaves_a_forecast_alone_where_no_learner_covers_the_lead() -> None:
    own, nothing = _point(np.arange(1.0, 4)), _point(np.full(3, np.nan))
    weights = BlendWeights.equal(4, np.zeros((1, BLENDING.count), bool))
    learners = nothing[0][None], nothing[1][None]
    for one, other in zip(own, weights.apply(own, learners, np.zeros(3, int)), strict=True):
        np.testing.assert_array_equal(one, other)


def test_equal_weights__average_experts_and_the_learners_that_cover_a_lead() -> None:
    coverage = np.zeros((3, BLENDING.count), bool)
    coverage[0, 0], coverage[1:, 1] = True, True
    mean = np.array([[7.0, np.nan], [np.nan, 8.0], [np.nan, 9.0]], np.float32)
    learners = mean, np.repeat(mean[..., None], 9, -1)
    own = _point(np.array([2.0, 2.0]))  # the average of four experts
    found, _ = BlendWeights.equal(4, coverage).apply(own, learners, np.array([0, 1]))
    np.testing.assert_allclose(found, [(4 * 2 + 7) / 5, (4 * 2 + 8 + 9) / 6], rtol=1e-6)
    np.testing.assert_array_equal(BlendWeights.none(3).apply(own, learners, np.array([0, 1]))[0], own[0])
