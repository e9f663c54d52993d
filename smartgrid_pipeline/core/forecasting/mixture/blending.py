"""How far a forecast leans on a support: a share per kind of lead, decided on a later block."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from smartgrid_pipeline.core.forecasting.leads import BLENDING, is_short
from smartgrid_pipeline.core.forecasting.mixture.gating import pinball_kw
from smartgrid_pipeline.core.schema import Floats, LeadInterval

Kinds = npt.NDArray[np.int64]

SHARES = tuple(round(0.1 * k, 1) for k in range(11))


@dataclass(frozen=True)
class ShrinkagePrior:
    """What is believed before a later block has spoken, and how soon the block is believed instead.

    ``shares`` of each support in turn; with ``half`` separate targets a measurement counts as much as they;
    ``hours`` is how far a single clock hour may be calibrated apart from all hours.
    """

    shares: tuple[float, ...]
    half: float
    hours: float


MINUTE_METER = ShrinkagePrior((1 / 2, 1 / 3), 60, 1.0)
"""A meter that reads minutes: forecasts that err differently are best averaged."""

COARSE_METER = ShrinkagePrior((2 / 3, 0.85), 180, 0.0)
"""A meter without minutes: on other homes the weighed past days were ahead of all that leans on them."""


def shrinkage_weight(lead: LeadInterval, block_days: float, half: float) -> float:
    """How much of a measurement to believe, 0 … 1, by how many separate targets its block held: one an hour
    for near leads, one a day for far ones, one a week for the next week. With ``half`` of them it is a half.
    """
    per_day = 24 if is_short(lead) else 1
    separate = block_days * per_day / max(1.0, lead.width_minutes / 1440)
    return separate / (separate + half)


@dataclass(frozen=True)
class BlendWeight:
    """Share of the support per kind of lead, (kinds, 2): of the mean, and of the quantiles."""

    shares: Floats

    @classmethod
    def fit(
        cls,
        own: tuple[Floats, Floats],
        support: tuple[Floats, Floats],
        target_kw: Floats,
        kinds: Kinds,
        beliefs: Floats,
        prior: float,
    ) -> Self:
        """The best of SHARES on a later block, drawn towards the prior where the block says little.

        ``own`` and ``support`` are flat means (n,) and quantiles (n, 9), NaN where there is no support;
        ``beliefs`` (kinds,).
        """
        shares = np.full((BLENDING.count, 2), prior, np.float32)
        known = np.isfinite(support[0])
        for kind in np.unique(kinds[known]):
            mine = (kinds == kind) & known
            target = target_kw[mine]
            mixed = [_between(own[0][mine], support[0][mine], share) for share in SHARES]
            fans = [_between(own[1][mine], support[1][mine], share) for share in SHARES]
            best = (
                SHARES[int(np.argmin([((each - target) ** 2).mean() for each in mixed]))],
                SHARES[int(np.argmin([pinball_kw(each, target).mean() for each in fans]))],
            )
            shares[kind] = beliefs[kind] * np.array(best) + (1 - beliefs[kind]) * prior
        return cls(shares)

    @classmethod
    def fixed(cls, share: float) -> Self:
        """The same share for all leads."""
        return cls(np.full((BLENDING.count, 2), share, np.float32))

    def apply(
        self, own: tuple[Floats, Floats], support: tuple[Floats, Floats], kinds: Kinds
    ) -> tuple[Floats, Floats]:
        """Mean (…) and quantiles (…, 9) between the own and the support's, where there is any."""
        shares = self.shares[np.broadcast_to(kinds, own[0].shape)]
        mean = _between(own[0], support[0], shares[..., 0])
        return mean, _between(own[1], support[1], shares[..., 1, None])


def _between(own: Floats, support: Floats, share: Floats | float) -> Floats:
    """Own where there is no support."""
    return (own + share * np.where(np.isfinite(support), support - own, 0)).astype(np.float32)


@dataclass(frozen=True)
class BlendWeights:
    """One lean after the other, on each support in turn."""

    each: tuple[BlendWeight, ...]

    @classmethod
    def fit(
        cls,
        own: tuple[Floats, Floats],
        supports: tuple[Floats, Floats],
        target_kw: Floats,
        kinds: Kinds,
        beliefs: Floats,
        priors: tuple[float, ...],
    ) -> Self:
        """Decide the shares of supports (supports, n) and (supports, n, 9) on a later block, in order."""
        leans: list[BlendWeight] = []
        for support, prior in zip(zip(*supports, strict=True), priors, strict=True):
            leans.append(BlendWeight.fit(own, support, target_kw, kinds, beliefs, prior))
            own = leans[-1].apply(own, support, kinds)
        return cls(tuple(leans))

    @classmethod
    def even(cls, own_count: int, supports: int) -> Self:
        """Supports count as much as each of ``own_count`` forecasts averaged before; with 0, nothing."""
        share = [1 / (own_count + number + 1) if own_count else 0.0 for number in range(supports)]
        return cls(tuple(BlendWeight.fixed(each) for each in share))

    def apply(
        self, own: tuple[Floats, Floats], supports: tuple[Floats, Floats], kinds: Kinds
    ) -> tuple[Floats, Floats]:
        """Mean (…) and quantiles (…, 9), leaning on supports (supports, …) and (supports, …, 9)."""
        for lean, support in zip(self.each, zip(*supports, strict=True), strict=True):
            own = lean.apply(own, support, kinds)
        return own

    @property
    def shares(self) -> Floats:
        """(supports, kinds, 2)."""
        return np.stack([lean.shares for lean in self.each])
