"""What is decided on days the experts never learned from: the gate, how far to lean, the calibration."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from smartgrid_pipeline.core.forecasting.forecaster import TrainingBudget
from smartgrid_pipeline.core.forecasting.leads import BLENDING, RECALIBRATION
from smartgrid_pipeline.core.forecasting.mixture.blending import (
    BlendWeight,
    BlendWeights,
    Kinds,
    ShrinkagePrior,
    shrinkage_weight,
)
from smartgrid_pipeline.core.forecasting.mixture.gating import (
    Flags,
    Gate,
    HoldoutPredictions,
    fit_gate,
    pinball_kw,
)
from smartgrid_pipeline.core.forecasting.recalibration import (
    GROUP_COUNT,
    Groups,
    QuantileShift,
)
from smartgrid_pipeline.core.learning.training_loop import Curve, torch_threads
from smartgrid_pipeline.core.schema import Floats, LeadInterval

MIXTURE, EQUAL, BEST = "mixture_of_experts", "equal_weights", "best_expert"
"""The rows that are settled: the gate's weights; experts and supports alike; one expert alone."""


CALIBRATION_DAYS = 61
"""Calibration follows the season: older days say how wide intervals were, not how wide they are."""

CALIBRATION_BELIEF = 15
"""With this many separate targets half of a miscalibration of a whole kind of lead is corrected."""


@dataclass(frozen=True)
class HoldoutFit:
    """The gate, the expert that was best alone, and each row's leaning and calibration."""

    gate: Gate
    best: int
    leans: dict[str, BlendWeights]
    shifts: dict[str, QuantileShift]
    curves: list[Curve]

    @classmethod
    def of(
        cls,
        data: HoldoutPredictions,
        leads: tuple[LeadInterval, ...],
        days: float,
        trust: ShrinkagePrior,
        budget: TrainingBudget,
    ) -> Self:
        """Decide on pairs of origin and lead heard over some days."""
        with torch_threads(budget.threads), torch.random.fork_rng(devices=[]):
            torch.manual_seed(budget.seed)
            gate, curves = fit_gate(data, budget)
        count = data.roots.shape[1]
        losses = [(pinball_kw(data.roots[:, e] ** 2, data.target) / data.scale).mean() for e in range(count)]
        settled = cls(gate, int(np.argmin(losses)), {}, {}, curves)
        beliefs, supports = _beliefs(leads, days, trust), data.supports
        for row in (MIXTURE, EQUAL, BEST):
            own = mix(settled.weights(row, data.inputs, data.usable), data.mean, data.roots)
            if row == MIXTURE:
                leans = BlendWeights.fit(own, supports, data.target, data.kinds, beliefs, trust.shares)
            else:
                leans = BlendWeights.even(count if row == EQUAL else 0, len(supports[0]))
            settled.leans[row] = leans
            fan = leans.apply(own, supports, data.kinds)[1]
            settled.shifts[row] = _calibration(fan, data, leads, days, trust)
        return settled

    def weights(self, row: str, inputs: Floats, usable: Flags) -> Floats:
        """Weights of a row over the experts that gave numbers, (…, experts), summing to 1."""
        even = (usable / np.maximum(usable.sum(-1, keepdims=True), 1)).astype(np.float32)
        if row == EQUAL:
            return even
        if row == BEST:  # where it failed, even weights
            even[usable[..., self.best]] = np.eye(usable.shape[-1], dtype=np.float32)[self.best]
            return even
        flat = self.gate.shares(inputs.reshape(-1, inputs.shape[-1]), usable.reshape(-1, usable.shape[-1]))
        return flat.reshape(usable.shape)

    def finished(
        self,
        row: str,
        own: tuple[Floats, Floats],
        supports: tuple[Floats, Floats],
        kinds: Kinds,
        groups: Groups,
    ) -> tuple[Floats, Floats]:
        """Mean and quantiles of a row after leaning and calibration, not yet sorted or cut at zero."""
        mean, quantiles = self.leans[row].apply(own, supports, kinds)
        return mean, self.shifts[row].apply(quantiles, groups)

    def facts(self) -> dict[str, Any]:
        """Plain data beside ``tensors``."""
        return {
            "gate": self.gate.facts(),
            "best": self.best,
            "curves": [asdict(each) for each in self.curves],
        }

    def tensors(self) -> dict[str, Tensor]:
        """Everything with weights, for a safetensors file."""
        kept = {f"gate.{name}": value.contiguous() for name, value in self.gate.state_dict().items()}
        for row, shift in self.shifts.items():
            kept[f"shift.{row}"] = torch.from_numpy(shift.shift)
            kept[f"lean.{row}"] = torch.from_numpy(self.leans[row].shares)
        return kept

    @classmethod
    def from_parts(cls, facts: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Self:
        """The inverse of ``facts`` and ``tensors``. Raises KeyError or RuntimeError when they do not fit."""
        gate = Gate(**facts["gate"])
        gate.load_state_dict(_under("gate.", tensors))
        leans = {
            row: BlendWeights(tuple(map(BlendWeight, v.numpy())))
            for row, v in _under("lean.", tensors).items()
        }
        shifts = {row: QuantileShift(v.numpy()) for row, v in _under("shift.", tensors).items()}
        curves = [Curve(**point) for point in facts["curves"]]
        return cls(gate.eval(), facts["best"], leans, shifts, curves)


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def mix(weights: Floats, mean: Floats, roots: Floats) -> tuple[Floats, Floats]:
    """Weighted means and quantiles in kW: weights and means (…, experts), roots of quantiles (…, experts, 9).

    Quantiles are averaged as square roots, which keeps the shape of each expert's distribution.
    """
    return (weights * mean).sum(-1), (weights[..., None] * roots).sum(-2) ** 2


def usable_of(mean: Floats, quantiles: Floats) -> Flags:
    """Whether each expert gave numbers: (experts, origins, leads[, 9]) to (origins, leads, experts)."""
    return np.moveaxis(np.isfinite(mean) & np.isfinite(quantiles).all(-1), 0, -1)


def _beliefs(leads: tuple[LeadInterval, ...], days: float, trust: ShrinkagePrior) -> Floats:
    """How much of a measured leaning to believe, (kinds,), 0 … 1."""
    beliefs = np.zeros(BLENDING.count, np.float32)
    for lead, kind in zip(leads, BLENDING.of_leads(leads), strict=True):
        beliefs[kind] = shrinkage_weight(lead, days, trust.half)
    return beliefs


def _calibration(
    fan: Floats, data: HoldoutPredictions, leads: tuple[LeadInterval, ...], days: float, trust: ShrinkagePrior
) -> QuantileShift:
    """What the latest days say of quantiles (n, 9): of each kind of lead as a whole, and, believed less, of
    each clock hour apart from that.
    """
    late = data.days > data.days.max() - CALIBRATION_DAYS
    whole, by_hour = (
        QuantileShift.fit(fan[late], data.target[late], by[late]).shift for by in (data.kinds, data.groups)
    )
    shift = np.zeros((GROUP_COUNT, fan.shape[-1]), np.float32)
    hours = np.datetime64("2000-01-01", "m") + np.arange(24) * np.timedelta64(60, "m")
    days = min(days, float(CALIBRATION_DAYS))
    for lead, kind, groups in zip(
        leads, BLENDING.of_leads(leads), RECALIBRATION.of_pairs(hours, leads).T, strict=True
    ):
        own = trust.hours * shrinkage_weight(lead, days, trust.half) * (by_hour[groups] - whole[kind])
        shift[groups] = shrinkage_weight(lead, days, CALIBRATION_BELIEF) * whole[kind] + own
    return QuantileShift(shift)
