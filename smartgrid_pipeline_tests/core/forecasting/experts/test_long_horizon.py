"""The long-horizon network: what it is trained on, and one forecast for a lead alone or among others."""

import numpy as np
import pytest
import torch

from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.features.minute_series import MinuteSeries
from smartgrid_pipeline.core.forecasting.experts.expert import EXPERT_CONFIGS
from smartgrid_pipeline.core.forecasting.experts.long_horizon import DRAWS, LongHorizon
from smartgrid_pipeline.core.forecasting.leads import is_short
from smartgrid_pipeline.core.learning.training_loop import OptimizerConfig, RowSplit
from smartgrid_pipeline.core.schema import LeadInterval, leads_for

LONG = tuple(lead for lead in leads_for(5) if not is_short(lead))


@pytest.fixture(scope="module")
def series(house_history: History) -> MinuteSeries:
    return MinuteSeries.of(house_history, 0.7)


@pytest.fixture(scope="module")
def split(series: MinuteSeries) -> RowSplit:
    first, days = series.padding, series.steps(1440)
    return RowSplit(first + 7 * days, first + 30 * days, first + 40 * days, cap=400)


@pytest.fixture(scope="module")
def long(series: MinuteSeries, split: RowSplit) -> LongHorizon:
    torch.manual_seed(0)
    part = LongHorizon("attention", EXPERT_CONFIGS["attention"].long_horizon, LONG, OptimizerConfig(10), 28)
    part.fit(series, split, np.random.default_rng(0))
    return part


def test_long_horizon__draws_midnights_and_a_few_leads_of_each_width(
    long: LongHorizon, series: MinuteSeries, split: RowSplit
) -> None:
    rows, chosen = long._draw(series, split, np.random.default_rng(0), 1_000)
    minute = series.minute_of_day((rows - series.padding) * series.step_minutes)
    assert (minute % 15 == 0).all() and 0.45 < (minute == 0).mean() < 0.6
    assert rows.min() >= split.first and rows.max() < split.train_end - series.steps(2 * 1440)
    widths = np.array([lead.width_minutes for lead in LONG])[chosen]
    for width, count in DRAWS.items():
        assert ((widths == width).sum(1) == count).all()


def test_long_horizon__forecasts_a_lead_alone_as_among_others(
    long: LongHorizon, series: MinuteSeries
) -> None:
    rows, lead = np.array([30_000, 40_000]), LeadInterval(1380, 1440)
    mean, quantiles = long.predict(series, rows, LONG)
    alone = long.predict(series, rows, (lead,))
    np.testing.assert_allclose(alone[0][:, 0], mean[:, LONG.index(lead)], atol=1e-5)
    np.testing.assert_allclose(alone[1][:, 0], quantiles[:, LONG.index(lead)], atol=1e-5)
    assert long.predict(series, rows[:0], (lead,))[0].shape == (0, 1)
