"""Blend weights: how much of a forecast is replaced by each base learner's, per group of leads.

The weights of stacking (Wolpert 1992), chosen from a grid on the holdout and shrunk to a prior: the fewer
separate targets the holdout has, the closer to it.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from smartgrid_pipeline.core.forecasting.leads import BLENDING, Groups, is_short
from smartgrid_pipeline.core.forecasting.mixture.holdout import Flags, QuantileForecast
from smartgrid_pipeline.core.learning.losses import crps_kw
from smartgrid_pipeline.core.schema import Floats, LeadInterval, Meter

WEIGHT_GRID = tuple(round(0.1 * k, 1) for k in range(11))


@dataclass(frozen=True)
class ShrinkagePrior:
    """Blend weights without any holdout, and how fast the holdout replaces them.

    ``weights`` of the base learners in their order; with ``strength`` separate targets the holdout counts as
    much as the prior; ``clock_hours`` scales how far a clock hour may be recalibrated apart from all hours.
    """

    weights: tuple[float, ...]
    strength: float
    clock_hours: float

    @classmethod
    def of_meter(cls, meter: Meter) -> "ShrinkagePrior":
        """MINUTE_METER for steps of up to five minutes, else COARSE_METER."""
        return MINUTE_METER if meter.step_minutes <= 5 else COARSE_METER


MINUTE_METER = ShrinkagePrior((1 / 2, 1 / 2, 1 / 3), 60, 1.0)
"""Equal parts: forecasts with different errors are best averaged."""

COARSE_METER = ShrinkagePrior((2 / 3, 2 / 3, 0.85), 180, 0.0)
"""On other homes without minute readings the analog ensemble was better than what it is blended with."""


def shrinkage_weight(lead: LeadInterval, days: float, strength: float) -> float:
    """Weight 0 … 1 of what a holdout of some days measures against a prior: n / (n + ``strength``).

    n counts separate targets: one an hour for leads within the next hour, one a day for longer ones, one a
    week for the next week.
    """
    per_day = 24 if is_short(lead) else 1
    separate = days * per_day / max(1.0, lead.width_minutes / 1440)
    return separate / (separate + strength)


def shrinkage_weights(leads: tuple[LeadInterval, ...], days: float, strength: float) -> Floats:
    """``shrinkage_weight`` of each blend group, (groups,)."""
    weights = np.zeros(BLENDING.count, np.float32)
    for lead, group in zip(leads, BLENDING.of_leads(leads), strict=True):
        weights[group] = shrinkage_weight(lead, days, strength)
    return weights


@dataclass(frozen=True)
class BlendWeight:
    """Weight of one base learner per blend group, (groups, 2): in the mean, and in the quantiles."""

    weights: Floats

    @classmethod
    def fit(
        cls,
        blended: QuantileForecast,
        learner: QuantileForecast,
        target_kw: Floats,
        groups: Groups,
        shrinkage: Floats,
        prior: float,
    ) -> Self:
        """The best of WEIGHT_GRID on a holdout (squared error, pinball loss), shrunk to the prior.

        ``blended`` and ``learner`` are flat means (n,) and quantiles (n, 9), the learner's NaN where it
        does not cover the lead; ``shrinkage`` (groups,) is the weight of the holdout against the prior.
        """
        weights = np.full((BLENDING.count, 2), prior, np.float32)
        covered = np.isfinite(learner[0])
        for group in np.unique(groups[covered]):
            rows = (groups == group) & covered
            target = target_kw[rows]
            means = [_between(blended[0][rows], learner[0][rows], weight) for weight in WEIGHT_GRID]
            quantiles = [_between(blended[1][rows], learner[1][rows], weight) for weight in WEIGHT_GRID]
            best = (
                WEIGHT_GRID[int(np.argmin([((each - target) ** 2).mean() for each in means]))],
                WEIGHT_GRID[int(np.argmin([crps_kw(target, each).mean() for each in quantiles]))],
            )
            weights[group] = shrinkage[group] * np.array(best) + (1 - shrinkage[group]) * prior
        return cls(weights)

    def apply(self, blended: QuantileForecast, learner: QuantileForecast, groups: Groups) -> QuantileForecast:
        """Mean (…) and quantiles (…, 9) between the forecast blended so far and the learner's, the former
        where the learner's are NaN.
        """
        weights = self.weights[np.broadcast_to(groups, blended[0].shape)]
        mean = _between(blended[0], learner[0], weights[..., 0])
        return mean, _between(blended[1], learner[1], weights[..., 1, None])


def _between(blended: Floats, learner: Floats, weight: Floats | float) -> Floats:
    return (blended + weight * np.where(np.isfinite(learner), learner - blended, 0)).astype(np.float32)


@dataclass(frozen=True)
class BlendWeights:
    """The weight of each base learner, applied in their order."""

    each: tuple[BlendWeight, ...]

    @classmethod
    def fit(
        cls,
        blended: QuantileForecast,
        learners: QuantileForecast,
        target_kw: Floats,
        groups: Groups,
        shrinkage: Floats,
        priors: tuple[float, ...],
    ) -> Self:
        """Fit one weight after the other on forecasts of learners, (learners, n) and (learners, n, 9)."""
        found: list[BlendWeight] = []
        for learner, prior in zip(zip(*learners, strict=True), priors, strict=True):
            found.append(BlendWeight.fit(blended, learner, target_kw, groups, shrinkage, prior))
            blended = found[-1].apply(blended, learner, groups)
        return cls(tuple(found))

    @classmethod
    def equal(cls, averaged_count: int, coverage: Flags) -> Self:
        """Each base learner weighs as much as one of the ``averaged_count`` forecasts averaged before.

        ``coverage`` (learners, groups): which learner covers which blend group.
        """
        averaged = averaged_count + np.cumsum(coverage, 0)
        return cls(tuple(BlendWeight(_both(1 / np.maximum(count, 1))) for count in averaged))

    @classmethod
    def none(cls, learners: int) -> Self:
        """No base learner at all."""
        return cls(tuple(BlendWeight(_both(np.zeros(BLENDING.count))) for _ in range(learners)))

    def apply(
        self, blended: QuantileForecast, learners: QuantileForecast, groups: Groups
    ) -> QuantileForecast:
        """Mean (…) and quantiles (…, 9) after blending with learners (learners, …) and (learners, …, 9)."""
        for weight, learner in zip(self.each, zip(*learners, strict=True), strict=True):
            blended = weight.apply(blended, learner, groups)
        return blended

    @property
    def weights(self) -> Floats:
        """(learners, groups, 2)."""
        return np.stack([each.weights for each in self.each])


def _both(weights: npt.NDArray[np.float64]) -> Floats:
    """The same weight for mean and quantiles."""
    return np.repeat(weights[:, None], 2, 1).astype(np.float32)
