"""What networks are trained on: the losses of ``losses`` as differentiable functions of tensors."""

import numpy as np
import torch
from torch import Tensor

from smartgrid_pipeline.core.learning.network_arrays import tensors
from smartgrid_pipeline.core.schema import QUANTILES, Floats


def quantile_loss(observed_kw: Tensor, quantiles_kw: Tensor) -> Tensor:
    """Twice the mean pinball loss over QUANTILES: (…) and (…, 9) to (…) kW, as ``losses.crps_kw``."""
    levels = observed_kw.new_tensor(QUANTILES)
    error = observed_kw[..., None] - quantiles_kw
    return 2 * torch.maximum(levels * error, (levels - 1) * error).mean(-1)


def forecast_loss(
    output: Tensor, target_kw: Tensor, weight: Tensor, scale_kw: Tensor, mean_weight: float = 0.3
) -> Tensor:
    """Quantile loss plus squared error of the mean, both relative to each lead's spread; a weighted mean, ().

    ``output`` (…, 10): square roots of the nine quantiles, then the mean in kW; ``target_kw`` (…) with NaN
    where unobserved; ``weight`` and ``scale_kw`` (kW) broadcast to it; ``mean_weight`` is the weight of the
    squared error. The quantile loss is taken in kW, as in the evaluation.
    """
    observed = torch.isfinite(target_kw)
    target = torch.where(observed, target_kw, torch.zeros_like(target_kw))
    weight = (weight * observed).expand_as(target)
    pinball = quantile_loss(target, power_from_sqrt(output[..., :9])) / scale_kw
    squared = ((target - output[..., 9]) / scale_kw) ** 2
    return ((pinball + mean_weight * squared) * weight).sum() / weight.sum().clamp_min(1e-9)


def power_from_sqrt(sqrt_kw: Tensor) -> Tensor:
    """Squares of square roots of power, in kW, increasing everywhere: a negative root becomes 5 % of itself.

    So a quantile below zero keeps a gradient.
    """
    return torch.where(sqrt_kw > 0, sqrt_kw**2, 0.05 * sqrt_kw)


def target_statistics(targets_kw: Floats) -> tuple[Tensor, Tensor, Tensor]:
    """Mean square root, mean and standard deviation of each lead's target (n, leads), each (leads,).

    The first two are where a network starts, the last is the ``scale_kw`` of its loss, at least .01 kW. A
    lead with ten observations or fewer gets the statistics of all leads together.
    """
    pooled = targets_kw[np.isfinite(targets_kw)]
    pooled = pooled if len(pooled) > 1 else np.array([0.5, 1.5], np.float32)
    rows = []
    for column in targets_kw.T:
        observed = column[np.isfinite(column)]
        observed = observed if len(observed) > 10 else pooled
        rows.append(
            (np.sqrt(np.maximum(observed, 0)).mean(), observed.mean(), max(float(observed.std()), 0.01))
        )
    mean_sqrt, mean, sd = np.array(rows, np.float32).T
    return tensors(mean_sqrt, mean, sd)  # type: ignore[return-value]
