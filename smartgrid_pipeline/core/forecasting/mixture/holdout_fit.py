"""What is fitted on the holdout: gate, best expert, and of each combiner its blend weights and recalibration.

All of them are fitted on the same days. The recalibration is therefore not split-conformal in the strict
sense, and its coverage is measured (docs/training_log.md), not guaranteed.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import torch

from smartgrid_pipeline.core.forecasting.forecaster import TrainingBudget
from smartgrid_pipeline.core.forecasting.leads import BLENDING, RECALIBRATION, Groups
from smartgrid_pipeline.core.forecasting.mixture.blending import (
    BlendWeight,
    BlendWeights,
    ShrinkagePrior,
    shrinkage_weight,
    shrinkage_weights,
)
from smartgrid_pipeline.core.forecasting.mixture.gating import Gate, fit_gate
from smartgrid_pipeline.core.forecasting.mixture.holdout import Flags, HoldoutPredictions, QuantileForecast
from smartgrid_pipeline.core.forecasting.recalibration import GROUP_COUNT, QuantileShift
from smartgrid_pipeline.core.learning import network_arrays
from smartgrid_pipeline.core.learning.losses import crps_kw
from smartgrid_pipeline.core.learning.storage import Arrays, add_prefix, take_prefix
from smartgrid_pipeline.core.learning.training_loop import Curve, torch_threads
from smartgrid_pipeline.core.schema import Floats, LeadInterval

MIXTURE, EQUAL, BEST = "mixture_of_experts", "equal_weights", "best_expert"
COMBINERS = (MIXTURE, EQUAL, BEST)
"""Gate and blend weights; experts and base learners with equal weights; the best expert alone."""

RECALIBRATION_DAYS = 61
"""Recalibration follows the season: only the newest days of the holdout are used."""

RECALIBRATION_STRENGTH = 15
"""With this many separate targets half of a miscalibration of a lead group is corrected."""


@dataclass(frozen=True)
class HoldoutFit:
    """The gate, the index of the best expert, and blend weights and recalibration by combiner."""

    gate: Gate
    best: int
    blends: dict[str, BlendWeights]
    shifts: dict[str, QuantileShift]
    curves: list[Curve]

    @classmethod
    def fit(
        cls,
        data: HoldoutPredictions,
        leads: tuple[LeadInterval, ...],
        coverage: Flags,
        days: float,
        prior: ShrinkagePrior,
        budget: TrainingBudget,
    ) -> Self:
        """Fit on predictions of some days; ``coverage`` (learners, blend groups) of the base learners."""
        with torch_threads(budget.threads), torch.random.fork_rng(devices=[]):
            torch.manual_seed(budget.seed)
            gate, curves = fit_gate(data, budget)
        experts = data.sqrt_quantiles.shape[1]
        quantiles = [data.sqrt_quantiles[:, e] ** 2 for e in range(experts)]
        losses = [(crps_kw(data.target, each) / data.scale).mean() for each in quantiles]
        fit = cls(gate, int(np.argmin(losses)), {}, {}, curves)
        shrinkage, groups = shrinkage_weights(leads, days, prior.strength), data.blend_groups
        for combiner in COMBINERS:
            weights = fit.weights(combiner, data.inputs, data.usable)
            own = weighted_average(weights, data.mean, data.sqrt_quantiles)
            if combiner == MIXTURE:
                blend = BlendWeights.fit(own, data.learners, data.target, groups, shrinkage, prior.weights)
            elif combiner == EQUAL:
                blend = BlendWeights.equal(experts, coverage)
            else:
                blend = BlendWeights.none(len(coverage))
            fit.blends[combiner] = blend
            blended = blend.apply(own, data.learners, groups)[1]
            fit.shifts[combiner] = _recalibration(blended, data, leads, days, prior)
        return fit

    def weights(self, combiner: str, inputs: Floats, usable: Flags) -> Floats:
        """Weights of the usable experts, (…, experts), summing to 1."""
        if combiner == MIXTURE:
            return self.gate.weights(inputs, usable)
        equal = (usable / np.maximum(usable.sum(-1, keepdims=True), 1)).astype(np.float32)
        if combiner == BEST:  # equal weights where it failed
            equal[usable[..., self.best]] = np.eye(usable.shape[-1], dtype=np.float32)[self.best]
        return equal

    def blend_and_recalibrate(
        self,
        combiner: str,
        own: QuantileForecast,
        learners: QuantileForecast,
        blend_groups: Groups,
        recalibration_groups: Groups,
    ) -> QuantileForecast:
        """Blend the weighted experts with the base learners and recalibrate; not yet sorted or cut at 0."""
        mean, quantiles = self.blends[combiner].apply(own, learners, blend_groups)
        return mean, self.shifts[combiner].apply(quantiles, recalibration_groups)

    def facts(self) -> dict[str, Any]:
        """JSON values beside ``to_arrays``."""
        return {"gate": self.gate.facts(), "best": self.best, "curves": [asdict(c) for c in self.curves]}

    def to_arrays(self) -> Arrays:
        """Weights of the gate, blend weights and shifts, by name."""
        arrays = add_prefix("gate", network_arrays.to_arrays(self.gate))
        arrays |= add_prefix("blend", {name: blend.weights for name, blend in self.blends.items()})
        return arrays | add_prefix("shift", {name: shift.shift for name, shift in self.shifts.items()})

    @classmethod
    def from_arrays(cls, facts: Mapping[str, Any], arrays: Arrays) -> Self:
        """The inverse of ``facts`` and ``to_arrays``; KeyError or RuntimeError when they do not fit."""
        gate = Gate(**facts["gate"])
        network_arrays.from_arrays(gate, take_prefix("gate", arrays))
        blends = {
            name: BlendWeights(tuple(map(BlendWeight, weights)))
            for name, weights in take_prefix("blend", arrays).items()
        }
        shifts = {name: QuantileShift(shift) for name, shift in take_prefix("shift", arrays).items()}
        return cls(gate, facts["best"], blends, shifts, [Curve(**point) for point in facts["curves"]])


def weighted_average(weights: Floats, mean: Floats, sqrt_quantiles: Floats) -> QuantileForecast:
    """Weighted means and quantiles in kW: weights and means (…, experts), √quantiles (…, experts, 9).

    Quantiles are averaged as square roots, which keeps the shape of each expert's distribution.
    """
    return (weights * mean).sum(-1), (weights[..., None] * sqrt_quantiles).sum(-2) ** 2


def _recalibration(
    quantiles_kw: Floats,
    data: HoldoutPredictions,
    leads: tuple[LeadInterval, ...],
    days: float,
    prior: ShrinkagePrior,
) -> QuantileShift:
    """Quantile corrections from the newest RECALIBRATION_DAYS: one shift per blend group of leads, plus a
    deviation per clock hour that is shrunk more strongly. ``quantiles_kw`` (n, 9).
    """
    newest = data.days > data.days.max() - RECALIBRATION_DAYS
    by_group, by_hour = (
        QuantileShift.fit(quantiles_kw[newest], data.target[newest], groups[newest]).shift
        for groups in (data.blend_groups, data.recalibration_groups)
    )
    shift = np.zeros((GROUP_COUNT, quantiles_kw.shape[-1]), np.float32)
    hours = np.datetime64("2000-01-01", "m") + np.arange(24) * np.timedelta64(60, "m")
    days = min(days, float(RECALIBRATION_DAYS))
    clock_groups = RECALIBRATION.of_pairs(hours, leads).T
    for lead, group, at in zip(leads, BLENDING.of_leads(leads), clock_groups, strict=True):
        deviation = by_hour[at] - by_group[group]
        hourly = prior.clock_hours * shrinkage_weight(lead, days, prior.strength) * deviation
        shift[at] = shrinkage_weight(lead, days, RECALIBRATION_STRENGTH) * by_group[group] + hourly
    return QuantileShift(shift)
