"""The one loop that trains every network: gate, experts, analog ensemble, autoencoder.

AdamW (Loshchilov & Hutter 2019) with a learning rate that falls as a half cosine and gradients of bounded
norm. With a validation loss the weights are averaged over the steps (exponentially), training stops when the
averaged weights no longer improve, and the best of them stay; without one the last weights stay.
"""

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from smartgrid_pipeline.core.schema import DataError

Loss = Callable[[nn.Module], Tensor]


def cosine(step: int, steps: int, floor: float = 0.0) -> float:
    """Factor of the learning rate before ``step`` = 0, 1, … of ``steps``: from 1 down towards ``floor``."""
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * step / steps))


def warm_cosine(step: int, steps: int) -> float:
    """A cosine down to 2 %, after a linear rise over the first twentieth of the steps."""
    return min(1.0, (step + 1) / max(1, steps // 20)) * cosine(step + 1, steps, 0.02)


@dataclass(frozen=True)
class OptimizerConfig:
    """How a network is trained, for at most ``steps`` steps.

    ``rate`` is the learning rate and ``factor`` its course; ``weight_decay`` holds for matrices only;
    gradients are scaled down to ``largest_gradient`` (norm over all parameters). With a validation loss,
    ``average`` is the part of the averaged weights that one step leaves as it was, and training stops after
    ``patience`` checks, one each ``check_every`` steps, without a new best.
    """

    steps: int
    rate: float = 3e-3
    weight_decay: float = 0.02
    average: float = 0.99
    check_every: int = 100
    patience: int = 6
    factor: Callable[[int, int], float] = warm_cosine
    largest_gradient: float = 1.0


@dataclass(frozen=True)
class RowSplit:
    """Row numbers of a series: origins to train on from ``first``, the holdout [train_end, end).

    ``cap`` bounds how many rows are sampled for statistics and validation.
    """

    first: int
    train_end: int
    end: int
    cap: int | None = None

    def last(self, ahead: int) -> int:
        """One past the last training origin with targets up to ``ahead`` rows after it.

        Raises DataError when fewer than ``ahead`` origins are left.
        """
        last = self.train_end - ahead
        if last - self.first < ahead:
            raise DataError(
                f"Too little to train on: found {self.train_end - self.first} rows before the holdout, "
                f"at least {2 * ahead} are needed."
            )
        return last

    def capped(self, rows: int) -> int:
        """``rows``, or the cap where that is less."""
        return min(rows, self.cap or rows)


@dataclass(frozen=True)
class Curve:
    """One point of a training curve: mean training loss since the point before, and validation loss."""

    step: int
    training: float
    validation: float | None


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Run the block with this many torch threads: the number of threads changes the order of sums."""
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, count))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def train(
    network: nn.Module,
    loss: Callable[[nn.Module], Tensor | None],
    validate: Loss | None,
    schedule: OptimizerConfig,
) -> list[Curve]:
    """Train in place and return the training curve; the network is left in evaluation mode.

    ``loss`` draws a batch and returns its loss, or None for a batch with nothing to learn from, which is
    skipped. ``validate`` returns the loss of the averaged network on held-out rows.
    """
    optimiser = torch.optim.AdamW(_groups(network, schedule), lr=schedule.rate)
    best = None if validate is None else _BestAverage(network, validate, schedule)
    curves: list[Curve] = []
    total, count = 0.0, 0
    network.train()
    for step in range(schedule.steps):
        for group in optimiser.param_groups:
            group["lr"] = schedule.rate * schedule.factor(step, schedule.steps)
        optimiser.zero_grad(set_to_none=True)
        value = loss(network)
        if value is not None:
            value.backward()
            nn.utils.clip_grad_norm_(network.parameters(), schedule.largest_gradient)
            optimiser.step()
            total, count = total + value.item(), count + 1
        if best is not None:
            best.average(network, step + 1)
        if count and ((step + 1) % schedule.check_every == 0 or step + 1 == schedule.steps):
            curves.append(Curve(step + 1, total / count, None if best is None else best.check()))
            total, count = 0.0, 0
            if best is not None and best.checks_since >= schedule.patience:
                break
    if best is not None:
        network.load_state_dict(best.state)
    network.eval()
    return curves


class _BestAverage:
    """Exponentially averaged weights of a network, and the best of them on held-out rows so far."""

    def __init__(self, network: nn.Module, validate: Loss, schedule: OptimizerConfig) -> None:
        self._validate, self._keep = validate, schedule.average
        self._network = copy.deepcopy(network).eval()
        self.state = copy.deepcopy(network.state_dict())
        self._lowest, self.checks_since = math.inf, 0

    @torch.no_grad()
    def average(self, network: nn.Module, step: int) -> None:
        """Move towards the weights after step 1, 2, …; early steps count more, as the start is no guide."""
        keep = min(self._keep, step / (step + 10))
        averaged: list[Tensor] = list(self._network.parameters())
        torch._foreach_mul_(averaged, keep)
        torch._foreach_add_(averaged, list(network.parameters()), alpha=1 - keep)

    @torch.no_grad()
    def check(self) -> float:
        """Validation loss of the averaged weights, which are kept when it is the lowest so far."""
        value = self._validate(self._network).item()
        self.checks_since += 1
        if value < self._lowest:
            self._lowest, self.checks_since = value, 0
            self.state = copy.deepcopy(self._network.state_dict())
        return value


def _groups(network: nn.Module, schedule: OptimizerConfig) -> list[dict[str, Any]]:
    """Parameters with weight decay (matrices) and without (everything else)."""
    matrices = [p for p in network.parameters() if p.ndim >= 2]
    others = [p for p in network.parameters() if p.ndim < 2]
    return [
        {"params": matrices, "weight_decay": schedule.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
