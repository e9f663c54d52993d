"""The gate: its weights follow the expert that is right, and stay equal when none is better."""

import numpy as np
import pytest

from smartgrid_pipeline.core.forecasting.forecaster import TrainingBudget
from smartgrid_pipeline.core.forecasting.mixture.gating import fit_gate
from smartgrid_pipeline.core.forecasting.mixture.holdout import HoldoutPredictions

PAIRS, EXPERTS = 3_000, 4
NIGHT_EXPERT = 2


def _holdout(error_at_night: float) -> HoldoutPredictions:
    """Four experts with errors of .4 √kW, one of which errs by ``error_at_night`` at night; 40 days."""
    rng = np.random.default_rng(0)
    days = np.sort(rng.integers(0, 40, PAIRS))
    hour = rng.integers(0, 24, PAIRS)
    is_night = hour < 8
    sqrt_target = np.sqrt(rng.gamma(4, 0.3, PAIRS))
    error = np.full((PAIRS, EXPERTS), 0.4)
    error[is_night, NIGHT_EXPERT] = error_at_night
    sqrt_mean = np.abs(sqrt_target[:, None] + error * rng.normal(0, 1, (PAIRS, EXPERTS)))
    spread = np.linspace(-0.3, 0.3, 9)
    sqrt_quantiles = np.maximum(sqrt_mean[..., None] + spread, 0)
    clock = np.stack([np.sin(hour * np.pi / 12), np.cos(hour * np.pi / 12), is_night], -1)
    ones, groups = np.ones(PAIRS, np.float32), np.zeros(PAIRS, np.int64)
    return HoldoutPredictions(
        inputs=clock.astype(np.float32),
        sqrt_quantiles=sqrt_quantiles.astype(np.float32),
        mean=(sqrt_mean**2).astype(np.float32),
        usable=np.ones((PAIRS, EXPERTS), bool),
        target=(sqrt_target**2).astype(np.float32),
        scale=ones,
        weight=ones,
        recalibration_groups=groups,
        blend_groups=groups,
        learner_mean=np.zeros((PAIRS, 0), np.float32),
        learner_quantiles=np.zeros((PAIRS, 0, 9), np.float32),
        days=days,
    )


def test_gate__follows_the_expert_that_is_right_at_night() -> None:
    data = _holdout(error_at_night=0.05)
    gate, curves = fit_gate(data, TrainingBudget(max_steps=150))
    weights = gate.weights(data.inputs, data.usable)
    is_night = data.inputs[:, 2] > 0
    assert gate.shrinkage < 1 and curves
    assert weights[is_night, NIGHT_EXPERT].mean() > 0.4
    assert weights[~is_night, NIGHT_EXPERT].mean() < 0.32
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-5)


def test_gate__gives_no_weight_to_an_expert_without_a_number() -> None:
    data = _holdout(error_at_night=0.05)
    gate, _ = fit_gate(data, TrainingBudget(max_steps=20))
    usable = data.usable.copy()
    usable[:, 1] = False
    weights = gate.weights(data.inputs, usable)
    assert weights[:, 1].max() == 0
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-5)


@pytest.mark.parametrize("shrinkage", [0.0, 1.0])
def test_weights__keep_their_floor_and_are_equal_when_fully_shrunk(shrinkage: float) -> None:
    data = _holdout(error_at_night=0.05)
    gate, _ = fit_gate(data, TrainingBudget(max_steps=60))
    gate.shrinkage = shrinkage
    weights = gate.weights(data.inputs, data.usable)
    assert weights.min() >= gate.floor / EXPERTS - 1e-6
    assert shrinkage == 0 or np.allclose(weights, 1 / EXPERTS, atol=1e-6)
