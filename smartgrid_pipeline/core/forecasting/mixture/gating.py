"""The gate: a small network that weighs the experts for each origin and lead, and how it is fitted.

It is kept from collapsing onto one expert by a floor under every weight, a loss on unbalanced use of the
experts (Shazeer et al. 2017), and a shrinkage towards equal weights that held-out days decide.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from smartgrid_pipeline.core.features.calendar import daily_waves
from smartgrid_pipeline.core.features.minute_series import MinuteSeries
from smartgrid_pipeline.core.features.windows import LeadTable
from smartgrid_pipeline.core.forecasting.experts.networks import Scale
from smartgrid_pipeline.core.forecasting.forecaster import TrainingBudget
from smartgrid_pipeline.core.forecasting.mixture.holdout import Flags, HoldoutPredictions
from smartgrid_pipeline.core.learning.network_losses import quantile_loss
from smartgrid_pipeline.core.learning.training_loop import Curve, OptimizerConfig, train
from smartgrid_pipeline.core.schema import Floats, LeadInterval, Times

SHRINKAGE_GRID = (1.0, 0.75, 0.5, 0.25, 0.0)
"""Candidate shrinkages towards equal weights; the best on the validation days is taken, the first of ties."""

STEPS, BATCH = 300, 2_048

VALIDATION_FROM = 0.6
"""Quantile of the holdout's days where validation begins: later days, since neighbours would be too easy."""

EXPERT_DROPOUT, BALANCE_WEIGHT, SQUARED_WEIGHT = 0.15, 0.1, 0.3


def gate_inputs(
    series: MinuteSeries, origins: Times, leads: tuple[LeadInterval, ...], mean: Floats, quantiles: Floats
) -> Floats:
    """Inputs of the gate, (origins, leads, features): lead and clock of the target, whether it is a weekend,
    and how the experts' forecasts (experts, origins, leads[, 9]) differ.

    Season and weekday are left out on purpose: a holdout of two months is too short to learn from them.
    """
    rows = series.rows(origins)
    table = LeadTable.of(leads, series.step_minutes)
    middle = (rows[:, None] - series.padding + table.start + table.width // 2) * series.step_minutes
    sqrt_kw = np.nan_to_num(np.sqrt(np.maximum(quantiles[..., [0, 4, 8]], 0)), posinf=0, neginf=0)
    centre = sqrt_kw[..., 1].mean(0)
    parts = [
        daily_waves(series.minute_of_day(middle))[..., [0, 1, 4, 5]],
        series.day_columns(middle)[..., 7:8],
        np.broadcast_to(table.codes, (len(origins), *table.codes.shape)),
        np.moveaxis(sqrt_kw[..., 1] - centre, 0, -1),
        np.moveaxis(sqrt_kw[..., 2] - sqrt_kw[..., 0], 0, -1),
        centre[..., None],
        sqrt_kw[..., 1].std(0)[..., None],
    ]
    return np.concatenate(parts, -1, dtype=np.float32)


class Gate(nn.Module):
    """Gate inputs to weights over experts that sum to 1.

    ``floor`` of each weight is spread equally over the usable experts; ``shrinkage`` moves the rest towards
    equal weights as well: 0 leaves the softmax as it is, 1 ignores it.
    """

    def __init__(
        self, features: int, experts: int, hidden: int = 12, floor: float = 0.25, shrinkage: float = 0.0
    ) -> None:
        super().__init__()
        self.features, self.experts, self.hidden = features, experts, hidden
        self.floor, self.shrinkage = floor, shrinkage
        self.scale = Scale(features)
        self.linear = nn.Linear(features, experts)
        self.deep = nn.Sequential(
            nn.Linear(features, hidden), nn.SiLU(), nn.Dropout(0.2), nn.Linear(hidden, experts)
        )
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)
        nn.init.zeros_(self.deep[3].weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.deep[3].bias)  # type: ignore[arg-type]

    def facts(self) -> dict[str, Any]:
        """Arguments of the constructor that make this gate again."""
        return {key: getattr(self, key) for key in ("features", "experts", "hidden", "floor", "shrinkage")}

    def forward(self, inputs: Tensor, usable: Tensor) -> Tensor:
        """(n, features) and the experts that may be used (n, experts) to weights (n, experts)."""
        x = self.scale(inputs)
        logits = (self.linear(x) + self.deep(x)).masked_fill(~usable, -1e9)
        equal = usable / usable.sum(-1, keepdim=True).clamp_min(1)
        learned = (1 - self.shrinkage) * (1 - self.floor)
        return learned * logits.softmax(-1) + (1 - learned) * equal

    @torch.no_grad()
    def weights(self, inputs: Floats, usable: Flags) -> Floats:
        """Weights (…, experts) of inputs (…, features), as arrays."""
        flat = inputs.reshape(-1, inputs.shape[-1]), usable.reshape(-1, usable.shape[-1])
        return self(*map(torch.from_numpy, flat)).numpy().reshape(usable.shape)


def fit_gate(data: HoldoutPredictions, budget: TrainingBudget) -> tuple[Gate, list[Curve]]:
    """Fit on the earlier days of the holdout; the later ones decide when to stop and the shrinkage."""
    experts = data.sqrt_quantiles.shape[1]
    gate = Gate(data.inputs.shape[1], experts)
    names = ("inputs", "usable", "sqrt_quantiles", "mean", "target", "scale", "weight")
    tensors = [torch.from_numpy(np.ascontiguousarray(getattr(data, name))) for name in names]
    gate.scale.fit(tensors[0])
    first_validation_day = np.quantile(data.days, VALIDATION_FROM)
    held = np.flatnonzero(data.days >= first_validation_day)
    used = np.flatnonzero(data.days < first_validation_day)
    if not len(used):
        used = held
    rng = np.random.default_rng(budget.seed)
    chance = data.weight[used].astype(np.float64).cumsum()
    held_tensors = [tensor[held] for tensor in tensors]

    def loss(model: nn.Module) -> Tensor:
        at = used[np.minimum(np.searchsorted(chance, rng.random(BATCH) * chance[-1]), len(used) - 1)]
        inputs, usable, *forecasts, _ = (tensor[at] for tensor in tensors)
        drop = torch.from_numpy(rng.random(len(at)) < EXPERT_DROPOUT)
        which = torch.from_numpy(rng.integers(0, experts, len(at)))
        kept = usable & ~(drop[:, None] & nn.functional.one_hot(which, experts).bool())
        kept = torch.where(kept.any(-1, keepdim=True), kept, usable)
        weights = model(inputs, kept)
        mean_weight = weights.mean(0)
        balance = (mean_weight * (mean_weight * len(mean_weight)).clamp_min(1e-6).log()).sum()
        return mixture_loss(weights, *forecasts).mean() + BALANCE_WEIGHT * balance

    def validate(model: nn.Module) -> Tensor:
        inputs, usable, *forecasts, weight = held_tensors
        return (mixture_loss(model(inputs, usable), *forecasts) * weight).sum() / weight.sum()

    steps = min(budget.max_steps or STEPS, STEPS)
    curves = train(
        gate, loss, validate, OptimizerConfig(steps, rate=1e-3, weight_decay=0.1, check_every=20, patience=8)
    )
    losses = []
    for shrinkage in SHRINKAGE_GRID:
        gate.shrinkage = shrinkage
        with torch.no_grad():
            losses.append(validate(gate).item())
    gate.shrinkage = SHRINKAGE_GRID[int(np.argmin(losses))]
    return gate, curves


def mixture_loss(
    weights: Tensor, sqrt_quantiles: Tensor, mean: Tensor, target: Tensor, scale: Tensor
) -> Tensor:
    """Quantile loss and squared error of the weighted experts, relative to each lead's spread, (n,).

    Weights and means (n, experts), square roots of quantiles (n, experts, 9), targets and scales (n,).
    """
    quantiles = (weights[..., None] * sqrt_quantiles).sum(1) ** 2
    squared = ((target - (weights * mean).sum(1)) / scale) ** 2
    return quantile_loss(target, quantiles) / scale + SQUARED_WEIGHT * squared
