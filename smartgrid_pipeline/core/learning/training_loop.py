"""One training loop for every network: AdamW, decaying rate, averaged weights, stopped on a later block."""

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from smartgrid_pipeline.core.schema import QUANTILES

Loss = Callable[[nn.Module], Tensor]


@dataclass(frozen=True)
class Schedule:
    """How a network is trained: the rate falls as a half cosine over ``steps``."""

    steps: int
    rate: float = 3e-3
    weight_decay: float = 0.02
    average: float = 0.99
    check_every: int = 100
    patience: int = 6


@dataclass(frozen=True)
class Curve:
    """One line of a training curve."""

    step: int
    training: float
    validation: float


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Run with exactly this many threads and repeatable algorithms, then put things back."""
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, count))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def train(network: nn.Module, loss: Loss, validate: Loss, schedule: Schedule) -> list[Curve]:
    """Train in place and leave the averaged weights that validated best.

    ``loss`` draws a batch and returns its loss; ``validate`` is called on the averaged network. Stops when
    ``patience`` checks in a row bring nothing better.
    """
    optimiser = torch.optim.AdamW(_groups(network, schedule), lr=schedule.rate)
    averaged = copy.deepcopy(network).eval()
    best, best_state, since, running = math.inf, copy.deepcopy(network.state_dict()), 0, 0.0
    curves: list[Curve] = []
    network.train()
    for step in range(1, schedule.steps + 1):
        for group in optimiser.param_groups:
            group["lr"] = schedule.rate * _rate(step, schedule.steps)
        optimiser.zero_grad(set_to_none=True)
        value = loss(network)
        value.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        _average(averaged, network, min(schedule.average, step / (step + 10)))
        running += value.item()
        if step % schedule.check_every and step != schedule.steps:
            continue
        with torch.no_grad():
            judged = validate(averaged).item()
        curves.append(Curve(step, running / (step - (curves[-1].step if curves else 0)), judged))
        running, since = 0.0, since + 1
        if judged < best:
            best, best_state, since = judged, copy.deepcopy(averaged.state_dict()), 0
        if since >= schedule.patience:
            break
    network.load_state_dict(best_state)
    network.eval()
    return curves


def _groups(network: nn.Module, schedule: Schedule) -> list[dict[str, Any]]:
    """Weight decay for matrices only."""
    matrices = [p for p in network.parameters() if p.ndim >= 2]
    others = [p for p in network.parameters() if p.ndim < 2]
    return [
        {"params": matrices, "weight_decay": schedule.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]


def _rate(step: int, steps: int) -> float:
    warm = min(1.0, step / max(1, steps // 20))
    return warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / steps)))


@torch.no_grad()
def _average(averaged: nn.Module, network: nn.Module, keep: float) -> None:
    mine: list[Tensor] = list(averaged.parameters())
    others: list[Tensor] = list(network.parameters())
    torch._foreach_mul_(mine, keep)
    torch._foreach_add_(mine, others, alpha=1 - keep)


def forecast_loss(
    output: Tensor, target_kw: Tensor, weight: Tensor, scale_kw: Tensor, squares: float = 0.3
) -> Tensor:
    """Pinball of the nine quantiles plus squared error of the mean, both relative to each lead's spread.

    ``output`` (…, 10): roots of the quantiles and the mean; ``target_kw`` (…) with NaN where unobserved;
    ``weight`` and ``scale_kw`` broadcast to it; ``squares`` is the part of the mean. The pinball is taken in
    kW, where it is judged.
    """
    seen = torch.isfinite(target_kw)
    target = torch.where(seen, target_kw, torch.zeros_like(target_kw))
    weight = (weight * seen).expand_as(target)
    levels = target.new_tensor(QUANTILES)
    off = target[..., None] - square(output[..., :9])
    pinball = 2 * torch.maximum(levels * off, (levels - 1) * off).mean(-1) / scale_kw
    squared = ((target - output[..., 9]) / scale_kw) ** 2
    return ((pinball + squares * squared) * weight).sum() / weight.sum().clamp_min(1e-9)


def square(roots: Tensor) -> Tensor:
    """Roots back to kW, rising everywhere: what is below zero stays a little below zero."""
    return torch.where(roots > 0, roots**2, 0.05 * roots)
