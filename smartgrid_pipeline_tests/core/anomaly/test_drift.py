import numpy as np
import pytest

from smartgrid_pipeline.core.anomaly.drift import AlarmRate, kolmogorov_smirnov, population_stability


def test_alarm_rate__asks_for_new_thresholds_only_when_the_promise_is_broken() -> None:
    assert not AlarmRate(14, 12.0, 1.0).refit
    broken = AlarmRate(26, 12.0, 1.0)
    assert broken.refit and broken.ratio == pytest.approx(26 / 12)
    assert not AlarmRate(0, 12.0, 1.0).refit
    assert AlarmRate(1, 1.0, 1.0).p_value == pytest.approx(1 - np.exp(-1))


def test_drift__is_near_zero_at_rest_and_large_after_a_move() -> None:
    rng = np.random.default_rng(0)
    reference, same, moved = rng.normal(0, 1, 5000), rng.normal(0, 1, 5000), rng.normal(1.5, 1, 5000)
    assert population_stability(reference, same) < 0.02
    assert population_stability(reference, moved) > 0.25
    assert kolmogorov_smirnov(reference, same) < 0.05 < 0.3 < kolmogorov_smirnov(reference, moved)
    assert np.isnan(population_stability(np.full(5, np.nan), same))
