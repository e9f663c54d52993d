"""Out-of-sample predictions, which gate, blend weights and recalibration are fitted on (Wolpert 1992).

The holdout begins where the weights of experts and base learners stopped learning.
"""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import numpy.typing as npt

from smartgrid_pipeline.core.forecasting.leads import BLENDING, RECALIBRATION, Groups
from smartgrid_pipeline.core.schema import Floats, LeadInterval, Times

Flags = npt.NDArray[np.bool_]

QuantileForecast = tuple[Floats, Floats]
"""Means (…) and quantiles (…, 9) in kW."""


@dataclass(frozen=True)
class HoldoutPredictions:
    """n pairs of origin and lead with an observed target, and what was predicted for them.

    ``inputs`` (n, features) of the gate; of the experts ``sqrt_quantiles`` (n, experts, 9) in √kW, ``mean``
    (n, experts) kW and ``usable`` (n, experts), false where an expert gave no number; of the base learners
    ``learner_mean`` (n, learners) and ``learner_quantiles`` (n, learners, 9) kW, NaN where one does not cover
    the lead; ``target`` (n,) kW, ``scale`` (n,) standard deviation of the lead's targets, ``weight`` (n,),
    ``blend_groups`` and ``recalibration_groups`` (n,), ``days`` (n,) of the origin since 1970.
    """

    inputs: Floats
    sqrt_quantiles: Floats
    mean: Floats
    usable: Flags
    target: Floats
    scale: Floats
    weight: Floats
    recalibration_groups: Groups
    blend_groups: Groups
    learner_mean: Floats
    learner_quantiles: Floats
    days: npt.NDArray[np.int64]

    @classmethod
    def from_forecasts(
        cls,
        origins: Times,
        leads: tuple[LeadInterval, ...],
        inputs: Floats,
        experts: QuantileForecast,
        learners: QuantileForecast,
        target: Floats,
    ) -> Self:
        """Flatten forecasts (experts or learners, origins, leads[, 9]) of targets (origins, leads).

        Pairs without a target, or without any expert, are left out. Leads of one width weigh as much as one.
        """
        usable = are_usable(*experts)
        good = np.isfinite(target) & usable.any(-1)
        spread = np.array([_spread(column) for column in target.T], np.float32)
        widths = np.array([lead.width_minutes for lead in leads])
        share = np.array([1 / (widths == width).sum() for width in widths], np.float32)
        days = origins.astype("datetime64[D]").astype(np.int64)

        def flat(values: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
            return np.broadcast_to(values, good.shape)[good]

        mean, quantiles = experts
        arrays = {
            "inputs": inputs[good],
            "sqrt_quantiles": np.moveaxis(_sqrt(quantiles), 0, -2)[good],
            "mean": np.moveaxis(np.nan_to_num(mean, posinf=0, neginf=0), 0, -1)[good],
            "usable": usable[good],
            "target": target[good],
            "scale": flat(spread),
            "weight": flat(share * share.sum() / len(origins)),
            "recalibration_groups": flat(RECALIBRATION.of_pairs(origins, leads)),
            "blend_groups": flat(BLENDING.of_leads(leads)),
            "learner_mean": np.moveaxis(learners[0], 0, -1)[good],
            "learner_quantiles": np.moveaxis(learners[1], 0, -2)[good],
            "days": flat(days[:, None]),
        }
        return cls(**arrays)  # type: ignore[arg-type]

    @property
    def learners(self) -> QuantileForecast:
        """Forecasts of the base learners: means (learners, n) and quantiles (learners, n, 9)."""
        return np.moveaxis(self.learner_mean, -1, 0), np.moveaxis(self.learner_quantiles, -2, 0)

    @classmethod
    def joined(cls, parts: list[Self]) -> Self:
        """One after the other."""
        return cls(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)))


def are_usable(mean: Floats, quantiles: Floats) -> Flags:
    """Whether each expert gave numbers: (experts, origins, leads[, 9]) to (origins, leads, experts)."""
    return np.moveaxis(np.isfinite(mean) & np.isfinite(quantiles).all(-1), 0, -1)


def _sqrt(quantiles: Floats) -> Floats:
    return np.sqrt(np.nan_to_num(np.maximum(quantiles, 0), posinf=0))


def _spread(column: Floats) -> float:
    """Standard deviation of the observed targets, never quite 0; 1 where there are none."""
    observed = column[np.isfinite(column)]
    return max(float(observed.std()), 0.05) if len(observed) else 1.0
