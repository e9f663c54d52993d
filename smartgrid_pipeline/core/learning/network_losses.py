"""What networks are trained on: the losses of ``losses`` as differentiable functions of tensors."""

import torch
from torch import Tensor

from smartgrid_pipeline.core.schema import QUANTILES


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
