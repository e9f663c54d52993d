"""Hand-written statistics against the libraries that define them.

Packed forests, IsolationForest and One-Class SVM are compared with scikit-learn beside their own modules, in
``core/learning/test_packed_trees.py`` and ``core/anomaly/ensemble/test_members.py``.
"""

import numpy as np
import pandas as pd
import pytest
import scoringrules
import torch
from arch.bootstrap import CircularBlockBootstrap
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sklearn_metrics
from sklearn.linear_model import Ridge
from sklearn.preprocessing import RobustScaler as SklearnRobustScaler
from statsmodels.api import OLS

from benchmarks.anomaly.metrics import Scored, area
from smartgrid_pipeline.core.anomaly import drift
from smartgrid_pipeline.core.anomaly.ensemble.members import RobustScaler
from smartgrid_pipeline.core.anomaly.scoring.alarms import hysteresis
from smartgrid_pipeline.core.anomaly.scoring.tails import CEILING, TAIL_SHARE, Tail
from smartgrid_pipeline.core.evaluation.scoring import comparison, metrics
from smartgrid_pipeline.core.forecasting.analog_ensemble.kernel import energy_score, weighted_quantiles
from smartgrid_pipeline.core.forecasting.baselines.naive import weibull_quantiles
from smartgrid_pipeline.core.forecasting.baselines.per_lead_group import TargetOffset
from smartgrid_pipeline.core.forecasting.baselines.ridge import RidgeModel
from smartgrid_pipeline.core.forecasting.baselines.samples import Sample
from smartgrid_pipeline.core.learning import losses, network_losses
from smartgrid_pipeline.core.schema import QUANTILE_COLUMNS, QUANTILES
from smartgrid_pipeline_tests.core.evaluation.helpers import forecasts

LEVELS = np.array(QUANTILES)


def _observed_and_quantiles(rows: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Observations (rows,) and sorted quantile forecasts (rows, 9) in kW."""
    rng = np.random.default_rng(7)
    return rng.gamma(2, 0.6, rows), np.sort(rng.gamma(2, 0.6, (rows, 9)), axis=1)


# --- forecast metrics ---------------------------------------------------------------------------------


def test_pinball__equals_scikit_learn_level_by_level() -> None:
    observed, quantiles = _observed_and_quantiles()
    expected = [
        sklearn_metrics.mean_pinball_loss(observed, quantiles[:, k], alpha=level)
        for k, level in enumerate(QUANTILES)
    ]
    np.testing.assert_allclose(losses.pinball_kw(observed, quantiles).mean(0), expected, rtol=1e-12)


def test_crps_of_nine_quantiles__equals_scoringrules() -> None:
    observed, quantiles = _observed_and_quantiles()
    expected = scoringrules.crps_quantile(observed, quantiles, LEVELS, backend="numpy")
    frame = forecasts(observed, observed).assign(**dict(zip(QUANTILE_COLUMNS, quantiles.T, strict=True)))
    np.testing.assert_allclose(metrics.row_loss(frame, "crps"), expected, rtol=1e-12)
    np.testing.assert_allclose(losses.crps_kw(observed, quantiles), expected, rtol=1e-12)
    tensors = torch.from_numpy(observed), torch.from_numpy(quantiles)
    np.testing.assert_allclose(network_losses.quantile_loss(*tensors).numpy(), expected, rtol=1e-12)


def test_forecast_loss__is_the_pinball_loss_of_scikit_learn() -> None:
    observed, quantiles = _observed_and_quantiles()
    output = torch.from_numpy(np.column_stack([np.sqrt(quantiles), observed]))
    one = torch.ones(1, dtype=torch.float64)
    found = network_losses.forecast_loss(output, torch.from_numpy(observed), one, one)
    expected = np.mean(
        [2 * sklearn_metrics.mean_pinball_loss(observed, quantiles[:, k], alpha=level)
         for k, level in enumerate(QUANTILES)]
    )  # fmt: skip
    assert found.item() == pytest.approx(expected, rel=1e-12)  # the mean forecast is exact: no squared error


def test_scores__equal_scikit_learn() -> None:
    rng = np.random.default_rng(8)
    observed, mean = rng.gamma(2, 0.6, 200) + 0.05, rng.gamma(2, 0.6, 200)
    found = metrics.score(forecasts(observed, mean))
    assert found["rmse_kw"] == pytest.approx(sklearn_metrics.root_mean_squared_error(observed, mean))
    assert found["mae_kw"] == pytest.approx(sklearn_metrics.mean_absolute_error(observed, mean))
    share = sklearn_metrics.mean_absolute_percentage_error(observed, mean)  # a fraction, not per cent
    assert found["mape_percent"] == pytest.approx(100 * share)
    assert found["r2"] == pytest.approx(sklearn_metrics.r2_score(observed, mean))


# --- ensembles of past days ---------------------------------------------------------------------------


def test_energy_score__equals_the_weighted_crps_of_scoringrules() -> None:
    rng = np.random.default_rng(9)
    values, weights = rng.gamma(2, 1, (50, 30)), rng.dirichlet(np.ones(30), 50)
    observed = rng.gamma(2, 1, 50)
    found = energy_score(*(torch.from_numpy(array) for array in (weights, values, observed)))
    expected = scoringrules.crps_ensemble(observed, values, ens_w=weights, estimator="nrg", backend="numpy")
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9)


def test_weighted_quantiles__of_equal_weights_are_numpys_hazen_quantiles() -> None:
    values = np.random.default_rng(10).gamma(2, 1, (20, 41))
    found = weighted_quantiles(torch.full((20, 41), 1 / 41, dtype=torch.float64), torch.from_numpy(values))
    expected = np.quantile(values, QUANTILES, axis=1, method="hazen").T
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9)


def test_weighted_quantiles__interpolate_between_the_middles_of_the_weights() -> None:
    rng = np.random.default_rng(11)
    values, weights = np.sort(rng.gamma(2, 1, (20, 30)), axis=1), rng.dirichlet(np.ones(30), 20)
    found = weighted_quantiles(torch.from_numpy(weights), torch.from_numpy(values)).numpy()
    for row in range(20):
        middles = np.cumsum(weights[row]) - weights[row] / 2
        np.testing.assert_allclose(found[row], np.interp(LEVELS, middles, values[row]), rtol=1e-6)


@settings(max_examples=30, deadline=None)
@given(members=st.integers(1, 40), missing=st.floats(0, 0.8), seed=st.integers(0, 999))
def test_weibull_quantiles__are_numpys_weibull_quantiles(members: int, missing: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.gamma(2, 1, (12, members)).astype(np.float32)
    values[rng.random(values.shape) < missing] = np.nan
    values[0, 0] = 1.0
    values = values[np.isfinite(values).any(1)]
    expected = np.nanquantile(values.astype(np.float64), QUANTILES, axis=1, method="weibull").T
    np.testing.assert_allclose(weibull_quantiles(values), expected, rtol=2e-6)


# --- tests of differences -----------------------------------------------------------------------------


@pytest.mark.parametrize("lags", [1, 4, 7])
def test_diebold_mariano__equals_ols_on_a_constant_with_newey_west_errors(lags: int) -> None:
    rng = np.random.default_rng(lags)
    a, b = rng.gamma(2, 1, 60), rng.gamma(2, 1, 60) + 0.2
    statistic, p = comparison.diebold_mariano(a, b, lags)
    n = len(a)
    fitted = OLS(a - b, np.ones(n)).fit(
        cov_type="HAC", cov_kwds={"maxlags": lags - 1, "use_correction": False}
    )
    harvey_leybourne_newbold = np.sqrt((n + 1 - 2 * lags + lags * (lags - 1) / n) / n)
    expected = float(fitted.tvalues[0]) * harvey_leybourne_newbold
    assert statistic == pytest.approx(expected, rel=1e-9)
    assert p == pytest.approx(2 * stats.t.sf(abs(expected), n - 1), rel=1e-9)


@pytest.mark.parametrize(("days", "block"), [(30, 4), (61, 7)])
def test_block_bootstrap__draws_what_arch_draws(days: int, block: int) -> None:
    rng = np.random.default_rng(days)
    a, b = rng.gamma(2, 1, days), rng.gamma(2, 1, days)
    theirs = CircularBlockBootstrap(block, a, b, seed=np.random.default_rng(comparison.SEED))
    expected = theirs.apply(lambda x, y: 100 * (x.sum() - y.sum()) / y.sum(), comparison.RESAMPLES)[:, 0]
    found = comparison._resampled_percent(a, b, block)
    np.testing.assert_allclose(found, expected, atol=1e-9)


# --- regression ---------------------------------------------------------------------------------------


def test_ridge__equals_scikit_learn_on_the_same_regressors() -> None:
    rng = np.random.default_rng(12)
    names = ("target_hour", "active_power_kw", "humidity")
    inputs = np.column_stack([rng.integers(0, 24, 500), rng.normal(size=(500, 2))]).astype(np.float32)
    target = (0.4 + 0.3 * inputs[:, 1] - 0.2 * inputs[:, 2] + rng.normal(0, 0.1, 500)).astype(np.float32)
    weights = rng.uniform(0.2, 2, 500).astype(np.float32)
    sample = Sample(inputs, target, weights, np.zeros(500, np.int64), 30.0)
    model = RidgeModel.fit(TargetOffset(-1, 0.0), names, sample, penalty=1e-3, waves=2)
    terms = model.terms(inputs)[:, :-1]  # without the intercept, which scikit-learn leaves unpenalised too
    theirs = Ridge(alpha=1e-3 * float(weights.sum()), solver="cholesky").fit(terms, target, weights)
    np.testing.assert_allclose(model.weights[:-1], theirs.coef_, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(model.mean(inputs), theirs.predict(terms), atol=1e-5)


# --- anomaly scores -----------------------------------------------------------------------------------


def test_robust_scaler__is_scikit_learns_with_a_soft_bound() -> None:
    features = np.random.default_rng(17).gamma(2, 1, (400, 3))
    theirs = SklearnRobustScaler(quantile_range=(5, 95)).fit(features)  # its unit is the whole inner 90 %
    expected = 6 * np.tanh(2 * theirs.transform(features) / 6)
    np.testing.assert_allclose(RobustScaler.fit(features).transform(features), expected, rtol=1e-5, atol=1e-6)


def test_tail__beyond_the_body_is_scipys_generalised_pareto() -> None:
    scores = np.random.default_rng(13).pareto(4, 40_000)
    tail = Tail.fit(scores)
    assert 0.1 < tail.shape < 0.4  # a Pareto tail of index 4 has shape 1/4
    beyond = tail.grid[-1] + np.array([0.1, 0.5, 2.0, 10.0])
    survival = TAIL_SHARE * stats.genpareto.sf(beyond - tail.grid[-1], tail.shape, scale=tail.scale)
    np.testing.assert_allclose(
        tail.anomaly_score(beyond), np.minimum(-np.log10(survival), CEILING), rtol=1e-9
    )


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 9_999), rows=st.integers(1, 60))
def test_hysteresis__equals_a_state_machine(seed: int, rows: int) -> None:
    rng = np.random.default_rng(seed)
    score = np.where(rng.random(rows) < 0.1, np.nan, rng.uniform(0, 4, rows))
    on, expected = False, []
    for value in score:
        on = True if value >= 3 else False if value < 1.5 else on
        expected.append(on)
    assert hysteresis(score, 3.0, off_ratio=0.5).tolist() == expected


def test_area__without_a_buffer_is_scikit_learns_average_precision() -> None:
    rng = np.random.default_rng(14)
    normal, anomalous = np.arange(950) / 950, rng.permutation(np.arange(50) / 50 + 0.001)
    inside = np.ones(50, bool)
    labels = np.concatenate([np.zeros(950), inside])
    expected = sklearn_metrics.average_precision_score(labels, np.concatenate([normal, anomalous]))
    found = area(normal, [Scored(anomalous, inside)], 0, prevalence=0.05)
    assert found == pytest.approx(expected, rel=0.02)  # at 400 thresholds, not at every score


# --- drift --------------------------------------------------------------------------------------------


def test_population_stability__is_the_symmetric_divergence_of_the_binned_shares() -> None:
    rng = np.random.default_rng(15)
    reference, current = rng.normal(0, 1, 4000), rng.normal(0.4, 1.2, 4000)
    edges = np.concatenate([[-np.inf], np.quantile(reference, np.arange(0.1, 0.95, 0.1)), [np.inf]])
    was, now = (
        pd.cut(pd.Series(values), edges).value_counts(sort=False, normalize=True).to_numpy()
        for values in (reference, current)
    )
    expected = stats.entropy(was, now) + stats.entropy(now, was)  # Kullback–Leibler both ways
    assert drift.population_stability(reference, current) == pytest.approx(expected, rel=1e-2)


def test_kolmogorov_smirnov__is_the_largest_distance_of_the_distributions() -> None:
    rng = np.random.default_rng(16)
    reference, current = rng.normal(0, 1, 300), rng.normal(0.5, 1, 200)
    at = np.concatenate([reference, current])
    distance = np.abs(stats.ecdf(reference).cdf.evaluate(at) - stats.ecdf(current).cdf.evaluate(at)).max()
    gaps = np.append(reference, np.nan), np.append(current, np.nan)  # missing values are left out
    assert drift.kolmogorov_smirnov(*gaps) == pytest.approx(distance, abs=1e-12)
