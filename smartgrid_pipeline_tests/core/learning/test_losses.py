"""Pinball loss against scikit-learn, and the torch version against the numpy one."""

import numpy as np
import pytest
import torch
from sklearn.metrics import mean_pinball_loss

from smartgrid_pipeline.core.learning.losses import crps_kw, pinball_kw
from smartgrid_pipeline.core.learning.network_losses import (
    forecast_loss,
    power_from_sqrt,
    quantile_loss,
    target_statistics,
)
from smartgrid_pipeline.core.schema import QUANTILES, Floats


@pytest.fixture(scope="module")
def observed() -> Floats:
    return np.random.default_rng(0).gamma(2, 0.5, (50, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def quantiles() -> Floats:
    return np.sort(np.random.default_rng(1).gamma(2, 0.5, (50, 3, 9)).astype(np.float32), -1)


def test_pinball__equals_scikit_learn(observed: Floats, quantiles: Floats) -> None:
    found = pinball_kw(observed, quantiles)
    for k, level in enumerate(QUANTILES):
        expected = mean_pinball_loss(observed.ravel(), quantiles[..., k].ravel(), alpha=level)
        assert found[..., k].mean() == pytest.approx(expected, rel=1e-5)


def test_crps__of_a_point_forecast_is_the_absolute_error() -> None:
    assert crps_kw(np.array([3.0]), np.full((1, 9), 1.0)) == pytest.approx(2.0)


def test_pinball__of_what_was_not_observed_is_unknown(quantiles: Floats) -> None:
    assert np.isnan(pinball_kw(np.full((50, 3), np.nan, np.float32), quantiles)).all()


def test_quantile_loss__equals_the_numpy_one(observed: Floats, quantiles: Floats) -> None:
    found = quantile_loss(torch.from_numpy(observed), torch.from_numpy(quantiles)).numpy()
    np.testing.assert_allclose(found, crps_kw(observed, quantiles), rtol=1e-6)


def test_forecast_loss__counts_observed_targets_by_their_weight(observed: Floats, quantiles: Floats) -> None:
    mean = quantiles.mean(-1)
    output = torch.from_numpy(np.concatenate([np.sqrt(quantiles), mean[..., None]], -1))
    weight, scale = np.array([1.0, 2.0, 5.0], np.float32), np.array([0.5, 1.0, 2.0], np.float32)
    target = observed.copy()
    target[:, 2] = np.nan
    found = forecast_loss(output, *map(torch.from_numpy, (target, weight, scale)), mean_weight=0.5)
    each = crps_kw(observed, quantiles) / scale + 0.5 * ((observed - mean) / scale) ** 2
    assert found.item() == pytest.approx((each * weight)[:, :2].sum() / (50 * 3), rel=1e-5)


def test_power_from_sqrt__squares_and_keeps_the_order() -> None:
    roots = torch.linspace(-2, 2, 41)
    power = power_from_sqrt(roots)
    assert (power.diff() > 0).all()
    torch.testing.assert_close(power[roots > 0], roots[roots > 0] ** 2)


def test_target_statistics__are_those_of_each_lead_or_of_all() -> None:
    targets = np.random.default_rng(0).gamma(2, 0.5, (500, 3)).astype(np.float32)
    targets[5:, 2] = np.nan
    mean_sqrt, mean, sd = target_statistics(targets)
    np.testing.assert_allclose(mean_sqrt[:2], np.sqrt(targets[:, :2]).mean(0), rtol=1e-5)
    np.testing.assert_allclose(mean[:2], targets[:, :2].mean(0), rtol=1e-5)
    np.testing.assert_allclose(sd[:2], targets[:, :2].std(0), rtol=1e-5)
    assert mean[2] == pytest.approx(np.nanmean(targets), rel=1e-5)
    assert target_statistics(np.full((20, 1), 0.5, np.float32))[2] == pytest.approx(0.01)
