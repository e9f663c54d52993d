"""What the mixture leans on besides its experts.

Boosted trees for the next five minutes and the next hour; beyond it the anchor, and past days weighed by
their likeness, which keep the shape of what really happened.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from smartgrid_pipeline.core.features.minute_series import Past
from smartgrid_pipeline.core.forecasting.analog_ensemble.model import LearnedAnalogue
from smartgrid_pipeline.core.forecasting.forecaster import Budget, Split
from smartgrid_pipeline.core.forecasting.mixture.linear_tree_average import Anchor
from smartgrid_pipeline.core.forecasting.mixture.submeter_boosting import Boost, shaped
from smartgrid_pipeline.core.meter_data.history import Floats, History, Times
from smartgrid_pipeline.core.schema import LeadInterval, leads_for


@dataclass(frozen=True)
class Supports:
    """The supports of one meter, fitted on the same earlier block as the experts."""

    level_kw: float
    boost: Boost = field(default_factory=Boost)
    anchor: Anchor = field(default_factory=Anchor)
    analogue: LearnedAnalogue = field(default_factory=LearnedAnalogue)

    @classmethod
    def fit(cls, history: History, split: Split, level_kw: float, budget: Budget) -> Self:
        """Learn from rows before ``split.fit_end``; the anchor's errors from the whole split."""
        anchor, analogue = Anchor(budget), LearnedAnalogue(budget)
        anchor.fit(history, split)
        analogue.fit(history, split)
        leads = leads_for(history.meter.working_minutes)
        return cls(level_kw, Boost.fit(Past.of(history, level_kw), split, leads, budget), anchor, analogue)

    def with_newest_days(self, history: History, split: Split) -> Self:
        """The same, with the likeness of days learned from the later block too.

        Its few weights do not overfit, and how far to lean on it has been decided by then.
        """
        analogue = LearnedAnalogue(self.analogue.budget)
        analogue.fit(history, replace(split, fit_end=split.end))
        return replace(self, analogue=analogue)

    def ask(
        self, history: History, origins: Times, leads: tuple[LeadInterval, ...], experts_kw: Floats
    ) -> tuple[Floats, Floats]:
        """Means (supports, origins, leads) and quantiles (…, 9) in kW, NaN where one says nothing of a lead.

        ``experts_kw`` are the experts' quantiles, averaged: boosted quantiles take their shape.
        """
        past = Past.reaching(history, origins, self.level_kw)
        mean = np.full((2, len(origins), len(leads)), np.nan, np.float32)
        quantiles = np.full((*mean.shape, experts_kw.shape[-1]), np.nan, np.float32)
        mean[0], anchors = self.boost.predict(past, past.rows(origins), leads)
        quantiles[0] = shaped(experts_kw, anchors)
        far = [j for j, lead in enumerate(leads) if lead.end_minutes > 60]
        supports: tuple[Anchor | LearnedAnalogue, ...] = (self.anchor, self.analogue) if far else ()
        for number, support in enumerate(supports):
            found = support.predict(history, origins, tuple(leads[j] for j in far))
            mean[number][:, far], quantiles[number][:, far] = found.mean_kw, found.quantiles_kw
        return mean, quantiles

    def save(self, directory: Path) -> None:
        """Write them into an existing directory."""
        self.boost.save(directory)
        supports: tuple[Anchor | LearnedAnalogue, ...] = (self.anchor, self.analogue)
        for support in supports:
            (directory / support.name).mkdir()
            support.save(directory / support.name)

    @classmethod
    def load(cls, directory: Path, level_kw: float, boosted: dict[str, Any]) -> Self:
        """Read what ``save`` wrote; ``boosted`` are the ``facts`` of the trees."""
        anchor = Anchor.load(directory / Anchor.name)
        analogue = LearnedAnalogue.load(directory / LearnedAnalogue.name)
        return cls(level_kw, Boost.load(directory, boosted), anchor, analogue)
