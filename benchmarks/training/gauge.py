"""Counting what a training does, from outside: optimiser steps, samples, floating-point operations."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.optim.optimizer import register_optimizer_step_post_hook
from torch.utils.flop_counter import FlopCounterMode

GEMM_SIDE = 1_024
REPEATS = 12


@dataclass
class Count:
    """Optimiser steps by class of network, and the samples of all batches together."""

    steps: Counter[str] = field(default_factory=Counter)
    samples: int = 0


@contextmanager
def counting() -> Iterator[Count]:
    """Count every optimiser step inside, and the rows of the first tensor given to the network before it."""
    count, last = Count(), ["", 0]

    def record_batch(module: torch.nn.Module, inputs: Any) -> None:
        if module.training and not last[0] and inputs and isinstance(inputs[0], torch.Tensor):
            last[:] = [type(module).__name__, len(inputs[0])]

    def record_step(*_: Any) -> None:
        count.steps[last[0]] += 1
        count.samples += last[1]
        last[:] = ["", 0]

    hooks = [register_module_forward_pre_hook(record_batch), register_optimizer_step_post_hook(record_step)]
    try:
        yield count
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def flops() -> Iterator[dict[str, float]]:
    """Class of network → floating-point operations of its matrix products inside, forward and backward;
    recurrent cells that run fused are counted by their own formula.
    """
    out: dict[str, float] = {}
    with FlopCounterMode(display=False, custom_mapping=_fused()) as counter:
        yield out
    out |= {name: float(sum(found.values())) for name, found in counter.get_flop_counts().items()}


def _fused() -> dict[Any, Any]:
    """Formulas of the fused LSTM layer, whose products the counter does not see."""
    layer = torch.ops.aten.mkldnn_rnn_layer
    backward = torch.ops.aten.mkldnn_rnn_layer_backward

    def forward_flops(shape: Any, w0: Any, w1: Any, *_: Any, **__: Any) -> int:
        return 2 * shape[0] * shape[1] * (w0[0] * w0[1] + w1[0] * w1[1])

    def backward_flops(shape: Any, w0: Any, w1: Any, *_: Any, **__: Any) -> int:
        return 2 * forward_flops(shape, w0, w1)

    return {layer: forward_flops, backward: backward_flops}


def gemm_peak() -> float:
    """Floating-point operations per CPU second of a large square product on one thread, best of a few."""
    torch.set_num_threads(1)
    a, b = torch.rand(GEMM_SIDE, GEMM_SIDE), torch.rand(GEMM_SIDE, GEMM_SIDE)
    best = float("inf")
    for _ in range(REPEATS):
        began = time.process_time()  # a busy machine does not lower the peak
        a @ b
        best = min(best, time.process_time() - began)
    return 2 * GEMM_SIDE**3 / best
