"""Recalibration: quantiles cover their level, also where the spread depends on the predicted power."""

import numpy as np

from smartgrid_pipeline.core.forecasting.recalibration import (
    GROUP_COUNT,
    QuantileShift,
    ResidualQuantiles,
)
from smartgrid_pipeline.core.schema import QUANTILES

N = 20_000


def _sample(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Predictions, observations whose spread grows with them and doubles in group 1, and groups."""
    rng = np.random.default_rng(seed)
    predicted = rng.uniform(0.5, 3, N).astype(np.float32)
    groups = rng.integers(0, 2, N)
    observed = predicted + rng.gamma(2, 0.1, N) * predicted * (1 + groups) - 0.2
    return predicted, observed.astype(np.float32), groups


def test_residual_quantiles__cover_their_share_at_every_level_and_group() -> None:
    quantiles = ResidualQuantiles.fit(*_sample(0))
    predicted, observed, groups = _sample(1)
    below = observed[:, None] <= quantiles.apply(predicted, groups)
    for group in (0, 1):
        for low in (0.5, 1.5, 2.5):
            some = (groups == group) & (predicted >= low) & (predicted < low + 0.5)
            np.testing.assert_allclose(below[some].mean(0), QUANTILES, atol=0.04)


def test_residual_quantiles__keep_the_shape_of_predictions() -> None:
    quantiles = ResidualQuantiles.fit(*_sample(0))
    assert quantiles.apply(np.ones((4, 3), np.float32), np.array([0, 1, 5])).shape == (4, 3, 9)


def test_residual_quantiles__borrow_pooled_errors_where_a_group_is_unknown() -> None:
    predicted, observed, groups = _sample(0)
    known = ResidualQuantiles.fit(predicted, observed, groups * 0)
    np.testing.assert_array_equal(
        known.apply(predicted, np.array(0)), known.apply(predicted, np.array(GROUP_COUNT - 1))
    )


def test_residual_quantiles__ignore_what_was_not_observed() -> None:
    predicted, observed, groups = _sample(0)
    gaps = np.concatenate([observed, np.full(50, np.nan, np.float32)])
    left = ResidualQuantiles.fit(predicted, observed, groups)
    right = ResidualQuantiles.fit(
        np.concatenate([predicted, np.ones(50, np.float32)]), gaps, np.append(groups, np.zeros(50, int))
    )
    np.testing.assert_array_equal(left.offsets_kw, right.offsets_kw)


def test_residual_quantiles__of_too_little_are_the_prediction() -> None:
    few = ResidualQuantiles.fit(np.ones(5, np.float32), np.zeros(5, np.float32), np.zeros(5, int))
    np.testing.assert_array_equal(
        few.apply(np.full(2, 0.7, np.float32), np.array(0)), np.full((2, 9), 0.7, "f4")
    )


def test_quantile_shift__repairs_quantiles_that_are_too_narrow() -> None:
    def narrow(predicted: np.ndarray) -> np.ndarray:
        return predicted[:, None] + 0.05 * predicted[:, None] * (np.array(QUANTILES, np.float32) - 0.5)

    predicted, observed, groups = _sample(0)
    shift = QuantileShift.fit(narrow(predicted), observed, groups)
    predicted, observed, groups = _sample(1)
    before, after = narrow(predicted), shift.apply(narrow(predicted), groups)
    for group in (0, 1):
        some = groups == group
        below = (observed[some, None] <= after[some]).mean(0)
        np.testing.assert_allclose(below, QUANTILES, atol=0.02)
        assert abs((observed[some, None] <= before[some]).mean(0) - QUANTILES).max() > 0.1


def test_quantile_shift__of_nothing_changes_nothing() -> None:
    quantiles = np.sort(np.random.default_rng(0).random((6, 9)).astype(np.float32), -1)
    empty = QuantileShift.fit(quantiles[:0], np.zeros(0, np.float32), np.zeros(0, int))
    for shift in (empty, QuantileShift.none()):
        np.testing.assert_array_equal(shift.apply(quantiles, np.zeros(6, int)), quantiles)


def test_quantile_shift__of_calibrated_quantiles_is_nearly_zero() -> None:
    rng = np.random.default_rng(0)
    level = rng.uniform(0.5, 3, (N, 1))
    quantiles = (level * 2 * np.array(QUANTILES)).astype(
        np.float32
    )  # of a uniform distribution on [0, 2 level]
    observed = (level[:, 0] * rng.uniform(0, 2, N)).astype(np.float32)
    shift = QuantileShift.fit(quantiles, observed, np.zeros(N, int)).shift[0]
    assert np.abs(shift).max() < 0.01


def test_quantile_shift__is_the_known_error_over_the_width() -> None:
    rng = np.random.default_rng(0)
    truth = np.tile(np.array(QUANTILES, np.float32), (N, 1))
    observed = rng.uniform(0, 1, N).astype(np.float32)
    shift = QuantileShift.fit(truth - 0.2, observed, np.zeros(N, int))
    np.testing.assert_allclose(shift.shift[0], 0.2 / 0.8, atol=0.02)
    np.testing.assert_allclose(shift.apply(truth[:1] - 0.2, np.zeros(1, int)), truth[:1], atol=0.02)


def test_quantile_shift__has_no_finite_sample_correction() -> None:
    observed = np.linspace(0, 1, 41, dtype=np.float32)
    shift = QuantileShift.fit(np.tile([[0] * 4 + [0.5] * 4 + [1.0]], (41, 1)), observed, np.zeros(41, int))
    assert shift.shift[0, 8] == np.float32(np.quantile(observed, 0.9) - 1)


def test_calibrations__survive_their_arrays() -> None:
    predicted, observed, groups = _sample(0)
    residual = ResidualQuantiles.fit(predicted, observed, groups)
    again = ResidualQuantiles.from_arrays(residual.to_arrays("x."), "x.")
    np.testing.assert_array_equal(residual.apply(predicted, groups), again.apply(predicted, groups))
    shift = QuantileShift.fit(residual.apply(predicted, groups), observed, groups)
    np.testing.assert_array_equal(shift.shift, QuantileShift.from_arrays(shift.to_arrays()).shift)
