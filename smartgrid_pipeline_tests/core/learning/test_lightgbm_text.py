"""Short texts of boosted trees: the same forecasts, read back to the same bits, a fraction of the size."""

import lightgbm
import numpy as np

from smartgrid_pipeline.core.learning.lightgbm_text import slim, text_of


def test_slim__keeps_the_forecasts_and_is_read_back_bit_for_bit() -> None:
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(2_000, 6)).astype(np.float32)
    inputs[rng.random(inputs.shape) < 0.05] = np.nan
    target = np.nan_to_num(inputs[:, 0]) + np.sin(np.nan_to_num(inputs[:, 1]))
    settings = {"objective": "quantile", "alpha": 0.3, "verbosity": -1, "num_threads": 1}
    full = lightgbm.train(settings, lightgbm.Dataset(inputs, target), 20)
    short = slim(full)
    again = lightgbm.Booster(model_str=text_of(short))
    assert np.abs(short.predict(inputs) - full.predict(inputs)).mean() < 1e-3  # a cut may pass a value
    np.testing.assert_array_equal(again.predict(inputs), short.predict(inputs))
    assert text_of(again) == text_of(short)
    assert 2 * len(text_of(short)) < len(full.model_to_string())
