"""Networks of the experts: shapes, attention that sums to 1, quantiles that never cross, bounded inputs."""

import numpy as np
import pytest
import torch

from smartgrid_pipeline.core.forecasting.experts import networks
from smartgrid_pipeline.core.forecasting.experts.networks import (
    ENCODERS,
    LEVELS,
    OUTPUTS,
    DayAttention,
    LongHorizonNetwork,
    PiecewiseLinearEncoding,
    Scale,
    ShortHorizonNetwork,
    outputs_to_kw,
    quantile_head,
)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("name", ENCODERS)
def test_encoder__gives_one_vector_that_depends_on_the_last_token(name: str) -> None:
    encoder, tokens = ENCODERS[name](24, 5, 32).eval(), torch.randn(3, 24, 5)
    changed = tokens.clone()
    changed[:, -1] += 1
    assert encoder(tokens).shape == (3, 32)
    assert (encoder(tokens) != encoder(changed)).any(1).all()


def test_quantile_head__never_crosses_and_keeps_the_middle() -> None:
    raw = 50 * torch.randn(200, 9)
    found = quantile_head(raw)
    assert (found.diff(dim=-1) >= 0).all()
    torch.testing.assert_close(found[:, 4], raw[:, 4])


def test_attention__weights_sum_to_one() -> None:
    encoder = networks.AttentionEncoder(9, 5, 32)
    torch.testing.assert_close(encoder.weights(torch.randn(3, 9, 5)).sum(-1), torch.ones(3, 4))
    attention = DayAttention(6, 5, days=8)
    weights = attention.weights(torch.randn(3, 2, 6), torch.randn(3, 9, 5))
    assert weights.shape == (3, 2, 4, 8)
    torch.testing.assert_close(weights.sum(-1), torch.ones(3, 2, 4))


def test_day_attention__starts_with_the_latest_days_ahead() -> None:
    attention = DayAttention(6, 5, days=8)
    weights = attention.weights(torch.zeros(1, 1, 6), torch.zeros(1, 9, 5))[0, 0]
    assert (weights.diff(dim=-1) > 0).all()


def test_day_attention__of_equal_lags_is_that_lag() -> None:
    lags = torch.full((1, 2, 8), 0.7)
    found = DayAttention(6, 5, days=8)(torch.randn(1, 2, 6), torch.randn(1, 9, 5), lags)
    torch.testing.assert_close(found, torch.full((1, 2, 4), 0.7))


def test_scale__standardises_and_bounds() -> None:
    scale, sample = Scale(2), torch.stack([3 + 2 * torch.randn(5_000), torch.full((5_000,), 4.0)], 1)
    scale.fit(sample)
    found = scale(sample)
    assert abs(found[:, 0].mean()) < 1e-3 and abs(found[:, 0].std() - 1) < 1e-3
    assert (found[:, 1] == 0).all()
    assert scale(torch.tensor([[1e9, 4.0]]))[0, 0] == 6


def test_piecewise_linear_encoding__has_equally_filled_bins() -> None:
    encoding, sample = PiecewiseLinearEncoding(1, 4), torch.rand(4_000, 1) ** 3
    encoding.fit(sample)
    codes = encoding(sample)
    assert codes.shape == (4_000, 4) and codes.min() >= 0 and codes.max() <= 1
    np.testing.assert_allclose((codes > 0).float().mean(0), [1, 0.75, 0.5, 0.25], atol=0.01)


def test_short_horizon_network__starts_from_the_mean_of_the_recent_means() -> None:
    network = ShortHorizonNetwork("gru", (24, 5), recent=7, keys=3, means=4, leads=2).eval()
    torch.nn.init.zeros_(network.head.bias)
    means = torch.tensor([[1.0, 2.0, 3.0, 6.0]])
    output = network(torch.randn(1, 24, 5), torch.randn(1, 7), means)
    assert output.shape == (1, 2, OUTPUTS)
    torch.testing.assert_close(output[..., LEVELS], torch.full((1, 2), 3.0))


@pytest.mark.parametrize("match_days", [0, 8])
def test_long_horizon_network__forecasts_each_lead_on_its_own(match_days: int) -> None:
    network = LongHorizonNetwork("gru", (9, 5), 3, 6, 4, leads=10, match_days=match_days).eval()
    torch.nn.init.normal_(network.head.weight)
    tokens, levels, inputs = torch.randn(2, 9, 5), torch.randn(2, 3), torch.randn(2, 3, 6)
    means, chosen, lags = torch.rand(2, 3, 4), torch.tensor([[0, 4, 9], [1, 1, 2]]), torch.rand(2, 3, 8)
    output = network(tokens, levels, inputs, means, chosen, lags)
    alone = network(tokens, levels, inputs[:, 1:2], means[:, 1:2], chosen[:, 1:2], lags[:, 1:2])
    assert output.shape == (2, 3, OUTPUTS)
    torch.testing.assert_close(output[:, 1:2], alone)


def test_outputs__become_kilowatts() -> None:
    output = torch.tensor([[[0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.5]]])
    mean, quantiles = outputs_to_kw([output, output], 1)
    np.testing.assert_allclose(mean, [[1.5], [1.5]])
    np.testing.assert_allclose(quantiles[0, 0], (0.1 * np.arange(9)) ** 2, atol=1e-6)
    assert outputs_to_kw([], 3)[1].shape == (0, 3, 9)
