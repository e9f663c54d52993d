"""Window statistics equal those of pandas and numpy, and need half of a window."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smartgrid_pipeline.core.features import rolling


def _series(seed: int, rows: int = 300, missing: float = 0.2) -> np.ndarray:
    rng = np.random.default_rng(seed)
    values = rng.gamma(2, 0.6, rows)
    values[rng.random(rows) < missing] = np.nan
    return values


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 999), width=st.integers(2, 40), first=st.integers(0, 60), missing=st.floats(0, 0.7)
)
def test_window_statistics__equal_pandas(seed: int, width: int, first: int, missing: float) -> None:
    values = _series(seed, missing=missing)
    found = rolling.window_statistics(values, width, first)
    window = pd.Series(values).rolling(width, min_periods=1)
    observed = pd.Series(values).notna().rolling(width).sum().to_numpy()
    enough = observed >= width / 2  # NaN, hence False, where the window does not lie in the series
    for name, expected in zip(
        found, (window.mean(), window.std(ddof=0), window.max(), window.min()), strict=True
    ):
        np.testing.assert_allclose(
            found[name], np.where(enough, expected, np.nan)[first:], rtol=1e-6, atol=1e-7, err_msg=name
        )


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999), width=st.integers(1, 40), first=st.integers(0, 299))
def test_extremes_within__equal_pandas_on_complete_series(seed: int, width: int, first: int) -> None:
    values = _series(seed, missing=0.0)
    window = pd.Series(values).rolling(width, min_periods=1)
    np.testing.assert_array_equal(rolling.lowest_within(values, width, first), window.min()[first:])
    np.testing.assert_array_equal(rolling.highest_within(values, width, first), window.max()[first:])


def test_mean_and_median_of_observed__equal_numpy_without_its_warning() -> None:
    members = np.stack([_series(seed, 28, 0.5) for seed in range(50)])
    members[7] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        mean, median = np.nanmean(members, -1), np.nanmedian(members, -1)
    np.testing.assert_allclose(rolling.mean_of_observed(members), mean, rtol=1e-6)
    np.testing.assert_allclose(rolling.median_of_observed(members.astype(np.float32)), median, rtol=1e-6)


@pytest.mark.parametrize("width", [1, 7, 48])
def test_rolling_series__equals_pandas(width: int) -> None:
    values, series = _series(1), rolling.RollingSeries()
    series.write(0, values)
    expected = pd.Series(values)
    half = expected.rolling(width, min_periods=-(-width // 2))
    np.testing.assert_allclose(series.mean(width, 10), half.mean()[10:], rtol=1e-9)
    np.testing.assert_array_equal(series.lowest(width, 10), expected.rolling(width, min_periods=1).min()[10:])
    np.testing.assert_array_equal(series.lag(width, 10), expected.shift(width)[10:])


@pytest.mark.parametrize("width", [1, 7, 40, 400])
def test_rolling_functions__equal_pandas(width: int) -> None:
    values = _series(5, missing=0.4)
    window = pd.Series(values).rolling(width, min_periods=1)
    observed = window.count().to_numpy()
    mean = np.where(observed >= max(1, width / 2), window.mean(), np.nan)
    np.testing.assert_allclose(rolling.rolling_sum(values, width), window.sum().fillna(0.0), atol=1e-9)
    np.testing.assert_allclose(rolling.rolling_mean(values, width), mean, rtol=1e-9)
    np.testing.assert_array_equal(rolling.rolling_min(values, width), window.min())
    np.testing.assert_array_equal(rolling.rolling_max(values, width), window.max())
