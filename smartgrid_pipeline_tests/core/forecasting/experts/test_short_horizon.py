"""The short-horizon network: what it is trained on, and one forecast for a lead in whatever order."""

import numpy as np
import pytest
import torch

from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.features.minute_series import MinuteSeries
from smartgrid_pipeline.core.forecasting.experts.expert import EXPERT_CONFIGS
from smartgrid_pipeline.core.forecasting.experts.short_horizon import TASK_WEIGHTS, ShortHorizon
from smartgrid_pipeline.core.forecasting.leads import is_short
from smartgrid_pipeline.core.learning.training_loop import OptimizerConfig, RowSplit
from smartgrid_pipeline.core.schema import LeadInterval, leads_for

SHORT = tuple(filter(is_short, leads_for(5)))


@pytest.fixture(scope="module")
def series(house_history: History) -> MinuteSeries:
    return MinuteSeries.of(house_history, 0.7)


@pytest.fixture(scope="module")
def split(series: MinuteSeries) -> RowSplit:
    first, days = series.padding, series.steps(1440)
    return RowSplit(first + 7 * days, first + 30 * days, first + 40 * days, cap=400)


@pytest.fixture(scope="module")
def short(series: MinuteSeries, split: RowSplit) -> ShortHorizon:
    torch.manual_seed(0)
    part = ShortHorizon(
        "gru", EXPERT_CONFIGS["gru"].short_horizon, SHORT, OptimizerConfig(30, check_every=10)
    )
    part.curve = part.fit(series, split, np.random.default_rng(0))  # type: ignore[attr-defined]
    return part


def test_short_horizon__improves_on_the_holdout(short: ShortHorizon) -> None:
    losses = [point.validation for point in short.curve]  # type: ignore[attr-defined]
    assert len(losses) == 3 and losses[-1] < losses[0]


def test_short_horizon__weights_sum_to_one(short: ShortHorizon) -> None:
    weights = dict(zip(SHORT, short._weights().tolist(), strict=True))
    assert sum(weights.values()) == pytest.approx(1)
    assert all(weights[lead] == pytest.approx(weight) for lead, weight in TASK_WEIGHTS.items())


def test_short_horizon__forecasts_the_same_in_any_order_of_leads(
    short: ShortHorizon, series: MinuteSeries
) -> None:
    rows, some = np.array([30_000, 40_001]), (LeadInterval(0, 60), LeadInterval(0, 5))
    mean, quantiles = short.predict(series, rows, SHORT)
    found = short.predict(series, rows, some)
    columns = [SHORT.index(lead) for lead in some]
    np.testing.assert_array_equal(found[0], mean[:, columns])
    np.testing.assert_array_equal(found[1], quantiles[:, columns])
    assert (np.diff(quantiles, axis=-1) >= 0).all()
