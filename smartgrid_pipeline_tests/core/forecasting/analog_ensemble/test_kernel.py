"""The kernel over past days: which days get weight, and its CRPS and quantiles against their definitions."""

import numpy as np
import pytest
import torch

from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.forecasting.analog_ensemble.kernel import (
    AGES,
    Kernel,
    energy_score,
    kernel_inputs,
    weighted_quantiles,
)
from smartgrid_pipeline.core.forecasting.analog_ensemble.model import START, AnalogEnsemble
from smartgrid_pipeline.core.forecasting.analog_ensemble.similarity import NAMES, spreads
from smartgrid_pipeline.core.forecasting.forecaster import TINY, Split, TrainingBudget
from smartgrid_pipeline.core.schema import QUANTILES
from smartgrid_pipeline_tests.core.forecasting.spoiling import spoiled, unobserved

HOUR = np.array([[6 * 60, 7 * 60]])


def _weights(history: History, rows: np.ndarray) -> torch.Tensor:
    spread = spreads(history, history.starts[0], history.end, 60)
    weights, _ = Kernel(START)(kernel_inputs(history, spread, rows, HOUR, 60))
    return weights.detach()


def test_energy_score__is_the_crps_of_the_ensemble() -> None:
    rng = np.random.default_rng(0)
    values, weights = rng.gamma(2, 1, (3, 40)), rng.dirichlet(np.ones(40), 3)
    observed = np.array([0.1, 2.0, 9.0])
    pairs = np.abs(values[:, :, None] - values[:, None, :])
    expected = (weights * np.abs(values - observed[:, None])).sum(1) - 0.5 * np.einsum(
        "ni,nj,nij->n", weights, weights, pairs
    )
    found = energy_score(*(torch.from_numpy(array) for array in (weights, values, observed)))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9)


def test_weighted_quantiles__of_equal_weights_are_those_of_the_values() -> None:
    values = np.random.default_rng(1).permutation(np.arange(1000.0))[None]
    found = weighted_quantiles(torch.full((1, 1000), 1e-3, dtype=torch.float64), torch.from_numpy(values))
    np.testing.assert_allclose(found[0].numpy(), np.quantile(values, QUANTILES), atol=1.0)


def test_weights__sum_to_one_and_prefer_the_days_that_are_young(home_history: History) -> None:
    rows = home_history.rows(home_history.end - np.array([0, 1440]).astype("timedelta64[m]"))
    weights = _weights(home_history, rows)
    assert torch.allclose(weights.sum(-1), torch.ones(2, 2), atol=1e-5)
    by_day = weights.reshape(2, 2, len(AGES), -1).sum(-1)
    assert (by_day[..., :28].sum(-1) > by_day[..., 28:56].sum(-1)).all()


def test_weights__give_nothing_to_what_was_not_observed_or_has_not_ended(home_history: History) -> None:
    rows = home_history.rows(home_history.end - np.array([0]).astype("timedelta64[m]"))
    gone = unobserved(home_history, home_history.end - np.timedelta64(3 * 1440, "m"), home_history.end)
    by_day = _weights(gone, rows).reshape(2, len(AGES), -1).sum(-1)
    assert (by_day[:, :2] == 0).all() and (by_day[:, 100:112] == 0).all() and (by_day[:, 5] > 0).all()


def test_weights__do_not_depend_on_what_comes_after(home_history: History) -> None:
    origin = home_history.end - np.timedelta64(9 * 1440, "m")
    spread = spreads(home_history.until(origin), home_history.starts[0], origin, 60)
    late = np.arange(20, 24)[None] * 60  # their neighbours reach past the origin's own hour
    inputs = [
        kernel_inputs(history, spread, history.rows(np.array([origin])), late, 60)
        for history in (home_history, spoiled(home_history, origin, "huge"))
    ]
    for left, right in zip(vars(inputs[0]).values(), vars(inputs[1]).values(), strict=True):
        torch.testing.assert_close(left, right, rtol=0, atol=0, equal_nan=True)


def test_start__has_a_weight_for_every_name() -> None:
    assert len(START["feature_weights"]) == len(NAMES)  # type: ignore[arg-type]


@pytest.mark.parametrize("budget", [TINY, TrainingBudget(max_steps=0)])
def test_analog_ensemble__moves_its_weights_only_as_far_as_its_budget(
    budget: TrainingBudget, home_history: History
) -> None:
    model = AnalogEnsemble(budget)
    model.fit(home_history, Split.before(home_history.end, home_history))
    assert len(model.curves()) <= (budget.max_steps or 0)
