"""The loop that trains every network: what it minimises, when it stops, which weights stay."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from smartgrid_pipeline.core.learning.training_loop import (
    OptimizerConfig,
    RowSplit,
    cosine,
    torch_threads,
    train,
    warm_cosine,
)
from smartgrid_pipeline.core.schema import DataError

TRUE = torch.tensor([[2.0, -1.0, 0.5]])


def _line() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(3, 1, bias=False)


def _loss(generator: torch.Generator, network: nn.Module) -> Tensor:
    inputs = torch.randn(64, 3, generator=generator)
    return ((network(inputs) - inputs @ TRUE.T) ** 2).mean()


def _distance(network: nn.Module) -> Tensor:
    assert isinstance(network, nn.Linear)
    return (network.weight - TRUE).norm()


@pytest.mark.parametrize("validate", [_distance, None])
def test_training__finds_the_weights_of_a_line(validate) -> None:  # noqa: ANN001
    network, schedule = _line(), OptimizerConfig(300, rate=0.05, weight_decay=0, check_every=50)
    curves = train(network, partial(_loss, torch.Generator().manual_seed(1)), validate, schedule)
    assert _distance(network) < 0.05
    assert curves[-1].training < curves[0].training / 100
    assert [point.step for point in curves] == [50, 100, 150, 200, 250, 300]
    assert all((point.validation is None) == (validate is None) for point in curves)
    assert not network.training


def test_training__keeps_the_averaged_weights_that_validated_best() -> None:
    network = _line()
    losses = iter([3.0, 1.0, 2.0, 2.0, 2.0, 2.0])
    weights = []

    def validate(averaged: nn.Module) -> Tensor:
        assert isinstance(averaged, nn.Linear)
        weights.append(averaged.weight.detach().clone())
        return torch.tensor(next(losses))

    schedule = OptimizerConfig(100, check_every=5, patience=2)
    curves = train(network, partial(_loss, torch.Generator().manual_seed(1)), validate, schedule)
    assert [point.validation for point in curves] == [3.0, 1.0, 2.0, 2.0]
    torch.testing.assert_close(network.weight, weights[1], rtol=0, atol=0)


def test_training__skips_batches_with_nothing_to_learn_from() -> None:
    draws = iter([None, 1.0, None, None])

    def loss(network: nn.Module) -> Tensor | None:
        found = next(draws)
        return None if found is None else found * _distance(network)

    network = _line()
    before = network.weight.detach().clone()
    curves = train(network, loss, None, OptimizerConfig(4, check_every=1))
    assert [point.step for point in curves] == [2]
    assert (network.weight != before).all()


def test_training__is_plain_adam_without_averaging_and_decay() -> None:
    ours, theirs = _line(), _line()
    schedule = OptimizerConfig(20, rate=0.03, weight_decay=0, factor=cosine, largest_gradient=float("inf"))
    train(ours, partial(_loss, torch.Generator().manual_seed(1)), None, schedule)
    optimiser = torch.optim.Adam(theirs.parameters(), lr=0.03)
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 20)
    generator = torch.Generator().manual_seed(1)
    for _ in range(20):
        optimiser.zero_grad()
        _loss(generator, theirs).backward()
        optimiser.step()
        rate.step()
    torch.testing.assert_close(ours.weight, theirs.weight, rtol=1e-6, atol=1e-7)


def test_rate__rises_then_falls() -> None:
    assert cosine(0, 10) == 1 and cosine(10, 10, 0.05) == pytest.approx(0.05)
    rates = [warm_cosine(step, 100) for step in range(100)]
    assert np.argmax(rates) == 4 and rates[0] == pytest.approx(0.2, rel=0.01)
    assert rates[-1] == pytest.approx(0.02, rel=0.01)


def test_torch_threads__are_put_back() -> None:
    before = torch.get_num_threads()
    with pytest.raises(ZeroDivisionError), torch_threads(1):
        assert torch.get_num_threads() == 1
        raise ZeroDivisionError
    assert torch.get_num_threads() == before


def test_row_split__leaves_room_for_the_targets_and_refuses_too_little() -> None:
    split = RowSplit(first=100, train_end=300, end=400, cap=50)
    assert split.last(60) == 240
    assert split.capped(9) == 9 and split.capped(900) == 50
    assert RowSplit(0, 9, 9).capped(900) == 900
    with pytest.raises(DataError, match="found 200 rows before the holdout, at least 220 are needed"):
        split.last(110)
