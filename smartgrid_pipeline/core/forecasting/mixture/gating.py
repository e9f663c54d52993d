"""The gate of the mixture: what it sees, how it weighs, and how it is fitted without collapsing."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from smartgrid_pipeline.core.features.calendar import daily_waves
from smartgrid_pipeline.core.features.minute_series import MinuteSeries
from smartgrid_pipeline.core.features.windows import LeadTable
from smartgrid_pipeline.core.forecasting.experts.networks import Scale
from smartgrid_pipeline.core.forecasting.forecaster import TrainingBudget
from smartgrid_pipeline.core.learning.training_loop import Curve, Schedule, train
from smartgrid_pipeline.core.schema import QUANTILES, Floats, LeadInterval, Times

Flags = npt.NDArray[np.bool_]

TRUSTS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""How far the gate may leave equal weights; the best on held-out weeks is taken."""


STEPS = 300

HELD_FROM = 0.6
"""The last days of the later block judge the gate: days beside those it learned from would flatter it."""

HEALTHY_SHARES = 0.05, 0.70
"""An expert's mean share outside of this is an alarm."""


def pinball_kw(quantiles_kw: Floats, target_kw: Floats) -> Floats:
    """Twice the mean pinball loss over the nine quantiles (an estimate of CRPS), (…, 9) and (…) to (…) kW."""
    levels = np.array(QUANTILES, np.float32)
    off = target_kw[..., None] - quantiles_kw
    return 2 * np.maximum(levels * off, (levels - 1) * off).mean(-1)


def gate_inputs(
    past: MinuteSeries, origins: Times, leads: tuple[LeadInterval, ...], mean: Floats, quantiles: Floats
) -> Floats:
    """What the gate weighs by, (origins, leads, features): lead and clock of the target, whether it is a
    weekend, and how the experts' forecasts (experts, origins, leads[, 9]) differ.

    Season and weekday are left out on purpose: two months of a later block teach them wrongly.
    """
    rows = past.rows(origins)
    table = LeadTable.of(leads, past.step_minutes)
    middle = (rows[:, None] - past.padding + table.start + table.width // 2) * past.step_minutes
    roots = np.nan_to_num(np.sqrt(np.maximum(quantiles[..., [0, 4, 8]], 0)), posinf=0, neginf=0)
    centre = roots[..., 1].mean(0)
    parts = [
        daily_waves(past.minute_of_day(middle))[..., [0, 1, 4, 5]],
        past.day_columns(middle)[..., 7:8],
        np.broadcast_to(table.codes, (len(origins), *table.codes.shape)),
        np.moveaxis(roots[..., 1] - centre, 0, -1),
        np.moveaxis(roots[..., 2] - roots[..., 0], 0, -1),
        centre[..., None],
        roots[..., 1].std(0)[..., None],
    ]
    return np.concatenate(parts, -1, dtype=np.float32)


@dataclass(frozen=True)
class HoldoutPredictions:
    """Pairs of origin and lead of the later block, n of them, all observed.

    ``inputs`` (n, features), ``roots`` (n, experts, 9), ``mean`` (n, experts), ``usable`` (n, experts),
    ``target`` (n,) kW, ``scale`` (n,) spread of the lead's target, ``groups`` and ``kinds`` (n,),
    ``support_mean`` (n, supports) and ``support_quantiles`` (n, supports, 9) kW or NaN, ``days`` (n,).
    """

    inputs: Floats
    roots: Floats
    mean: Floats
    usable: Flags
    target: Floats
    scale: Floats
    weight: Floats
    groups: npt.NDArray[np.int64]
    kinds: npt.NDArray[np.int64]
    support_mean: Floats
    support_quantiles: Floats
    days: npt.NDArray[np.int64]

    @classmethod
    def of(
        cls, origins: Times, leads: tuple[LeadInterval, ...], inputs: Floats, mean: Floats, quantiles: Floats,
        target: Floats, groups: npt.NDArray[np.int64], kinds: npt.NDArray[np.int64],
        support: tuple[Floats, Floats],
    ) -> Self:  # fmt: skip
        """Flatten what experts (experts, origins, leads) said of targets (origins, leads)."""
        usable = np.moveaxis(np.isfinite(mean) & np.isfinite(quantiles).all(-1), 0, -1)
        good = np.isfinite(target) & usable.any(-1)
        spread = np.array([_spread(column) for column in target.T], np.float32)
        widths = np.array([lead.width_minutes for lead in leads])
        share = np.array([1 / (widths == width).sum() for width in widths], np.float32)
        days = origins.astype("datetime64[D]").astype(np.int64)
        full = good.shape
        return cls(
            inputs[good],
            np.moveaxis(np.sqrt(np.nan_to_num(np.maximum(quantiles, 0), posinf=0)), 0, -2)[good],
            np.moveaxis(np.nan_to_num(mean, posinf=0, neginf=0), 0, -1)[good],
            usable[good],
            target[good],
            np.broadcast_to(spread, full)[good],
            np.broadcast_to(share * share.sum() / len(origins), full)[good],
            np.broadcast_to(groups, full)[good],
            np.broadcast_to(kinds, full)[good],
            np.moveaxis(support[0], 0, -1)[good],
            np.moveaxis(support[1], 0, -2)[good],
            np.broadcast_to(days[:, None], full)[good],
        )

    @property
    def supports(self) -> tuple[Floats, Floats]:
        """Means (supports, n) and quantiles (supports, n, 9)."""
        return np.moveaxis(self.support_mean, -1, 0), np.moveaxis(self.support_quantiles, -2, 0)

    @classmethod
    def joined(cls, parts: list[Self]) -> Self:
        """One after the other."""
        return cls(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)))


def _spread(column: Floats) -> float:
    """Standard deviation of what was observed, never quite 0; 1 where nothing was."""
    seen = column[np.isfinite(column)]
    return max(float(seen.std()), 0.05) if len(seen) else 1.0


class Gate(nn.Module):
    """A small network from gate inputs to weights over experts; never all on one."""

    def __init__(
        self, features: int, experts: int, hidden: int = 12, floor: float = 0.25, trust: float = 1.0
    ) -> None:
        super().__init__()
        self.features, self.experts, self.hidden, self.floor, self.trust = (
            features,
            experts,
            hidden,
            floor,
            trust,
        )
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
        """What the constructor needs to make this gate again."""
        return {key: getattr(self, key) for key in ("features", "experts", "hidden", "floor", "trust")}

    def forward(self, inputs: Tensor, usable: Tensor) -> Tensor:
        """(n, features) and which experts count (n, experts) to weights (n, experts)."""
        x = self.scale(inputs)
        logits = (self.linear(x) + self.deep(x)).masked_fill(~usable, -1e9)
        even = usable / usable.sum(-1, keepdim=True).clamp_min(1)
        trust = self.trust * (1 - self.floor)
        return trust * logits.softmax(-1) + (1 - trust) * even

    @torch.no_grad()
    def shares(self, inputs: Floats, usable: Flags) -> Floats:
        """The same on arrays."""
        return self(torch.from_numpy(inputs), torch.from_numpy(usable)).numpy()


def fit_gate(data: HoldoutPredictions, budget: TrainingBudget) -> tuple[Gate, list[Curve]]:
    """Fit on the earlier part of the later block; stop, and choose the trust, on the rest of it."""
    gate = Gate(data.inputs.shape[1], data.roots.shape[1])
    tensors = [torch.from_numpy(np.ascontiguousarray(getattr(data, name)))
               for name in ("inputs", "usable", "roots", "mean", "target", "scale", "weight")]  # fmt: skip
    gate.scale.learn(tensors[0])
    late = np.quantile(data.days, HELD_FROM)
    held, used = np.flatnonzero(data.days >= late), np.flatnonzero(data.days < late)
    if not len(used):
        used = held
    rng = np.random.default_rng(budget.seed)
    chance = data.weight[used].astype(np.float64).cumsum()
    held_tensors = [tensor[held] for tensor in tensors]

    def loss(model: nn.Module) -> Tensor:
        at = used[np.minimum(np.searchsorted(chance, rng.random(2_048) * chance[-1]), len(used) - 1)]
        inputs, usable, *rest, _ = (tensor[at] for tensor in tensors)
        drop = torch.from_numpy(rng.random(len(at)) < 0.15)
        which = torch.from_numpy(rng.integers(0, data.roots.shape[1], len(at)))
        kept = usable & ~(drop[:, None] & nn.functional.one_hot(which, data.roots.shape[1]).bool())
        kept = torch.where(kept.any(-1, keepdim=True), kept, usable)
        shares = model(inputs, kept)
        mean_share = shares.mean(0)
        balance = (mean_share * (mean_share * len(mean_share)).clamp_min(1e-6).log()).sum()
        return mixture_loss(shares, *rest).mean() + 0.1 * balance

    def validate(model: nn.Module) -> Tensor:
        inputs, usable, *rest, weight = held_tensors
        return (mixture_loss(model(inputs, usable), *rest) * weight).sum() / weight.sum()

    steps = min(budget.max_steps or STEPS, STEPS)
    curves = train(
        gate, loss, validate, Schedule(steps, rate=1e-3, weight_decay=0.1, check_every=20, patience=8)
    )
    judged = []
    for trust in TRUSTS:
        gate.trust = trust
        with torch.no_grad():
            judged.append(validate(gate).item())
    gate.trust = TRUSTS[int(np.argmin(judged))]
    return gate, curves


def mixture_loss(shares: Tensor, roots: Tensor, mean: Tensor, target: Tensor, scale: Tensor) -> Tensor:
    """Pinball and squared error of the weighted experts, relative to each lead's spread, (n,)."""
    levels = target.new_tensor(QUANTILES)
    mixed = (shares[..., None] * roots).sum(1) ** 2
    off = target[:, None] - mixed
    pinball = 2 * torch.maximum(levels * off, (levels - 1) * off).mean(-1) / scale
    return pinball + 0.3 * ((target - (shares * mean).sum(1)) / scale) ** 2


def entropy(shares: Floats) -> Floats:
    """How evenly experts are used, shares (…, experts) to (…): 0 when one does all, 1 when all alike."""
    safe = np.maximum(shares, 1e-12)
    return (-(safe * np.log(safe)).sum(-1) / np.log(shares.shape[-1])).astype(np.float32)


def collapse_alarms(shares: Floats, names: Sequence[str]) -> list[str]:
    """What is wrong with the use of experts, in words; empty when nothing is. ``shares`` (…, experts)."""
    mean = shares.reshape(-1, shares.shape[-1]).mean(0)
    least, most = HEALTHY_SHARES
    alarms = [
        f"{name} has a share of {100 * share:.1f} %, outside {100 * least:.0f}–{100 * most:.0f} %"
        for name, share in zip(names, mean, strict=True)
        if not least <= share <= most
    ]
    if (shares.max(-1) > 0.99).mean() > 0.5:
        alarms.append("the mixture equals one expert for most forecasts")
    return alarms
