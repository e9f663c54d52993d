"""Lags take values of earlier rows only, and are missing before the start."""

import numpy as np
import pytest

from smartgrid_pipeline.core.features.lags import lag

VALUES = np.array([1.0, np.nan, 3.0, 4.0, 5.0])


@pytest.mark.parametrize("rows", range(8))
@pytest.mark.parametrize("first", range(6))
def test_lag__is_the_value_so_many_rows_earlier(rows: int, first: int) -> None:
    expected = [VALUES[row - rows] if row >= rows else np.nan for row in range(first, len(VALUES))]
    np.testing.assert_array_equal(lag(VALUES, rows, first), np.array(expected, float))


def test_lag__of_nothing_is_nothing() -> None:
    assert lag(VALUES[:0], 3).tolist() == []
