"""Short texts of boosted trees: the same forecasts, read back to the same bits, a fraction of the size."""

from typing import Any

import lightgbm
import numpy as np
import pytest

from smartgrid_pipeline.core.learning import lightgbm_text
from smartgrid_pipeline.core.learning.lightgbm_text import short_text, slim
from smartgrid_pipeline.core.schema import Floats


@pytest.fixture(scope="module")
def inputs() -> Floats:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(2_000, 6)).astype(np.float32)
    values[rng.random(values.shape) < 0.05] = np.nan
    return values


@pytest.fixture(scope="module")
def full(inputs: Floats) -> Any:
    target = np.nan_to_num(inputs[:, 0]) + np.sin(np.nan_to_num(inputs[:, 1]))
    settings = {"objective": "quantile", "alpha": 0.3, "verbosity": -1, "num_threads": 1}
    return lightgbm.train(settings, lightgbm.Dataset(inputs, target), 20)


def test_slim__keeps_the_forecasts_and_is_read_back_bit_for_bit(full: Any, inputs: Floats) -> None:
    short = slim(full)
    again = lightgbm.Booster(model_str=short_text(short))
    assert np.abs(short.predict(inputs) - full.predict(inputs)).mean() < 1e-3  # a cut may pass a value
    np.testing.assert_array_equal(again.predict(inputs), short.predict(inputs))
    assert short_text(again) == short_text(short)
    assert 2 * len(short_text(short)) < len(full.model_to_string())


def test_array__gives_every_booster_back(full: Any, inputs: Floats) -> None:
    boosters = slim(full), slim(lightgbm.Booster(model_str=full.model_to_string(num_iteration=3)))
    array = lightgbm_text.to_array(boosters)
    again = lightgbm_text.from_array(array)
    for left, right in zip(boosters, again, strict=True):
        np.testing.assert_array_equal(left.predict(inputs), right.predict(inputs))
    assert 2 * len(array) < sum(map(len, lightgbm_text.read_texts(array)))


def test_broken_array__is_refused(full: Any) -> None:
    array = lightgbm_text.to_array([full])
    with pytest.raises(ValueError, match="broken"):
        lightgbm_text.from_array(array[:-20])
