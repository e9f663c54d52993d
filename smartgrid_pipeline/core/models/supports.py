"""What the mixture leans on besides its experts: boosted trees for the next hour, the anchor beyond it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from smartgrid_pipeline.core.models.anchor import Anchor
from smartgrid_pipeline.core.models.boost import Boost, shaped
from smartgrid_pipeline.core.models.forecaster import Budget, Floats, History, Split, Times
from smartgrid_pipeline.core.models.past import Past
from smartgrid_pipeline.core.schema import LeadInterval, leads_for

ANCHOR_FOLDER = "anchor"


@dataclass(frozen=True)
class Supports:
    """Both supports of one meter, fitted on the same earlier block as the experts."""

    level_kw: float
    boost: Boost = field(default_factory=Boost)
    anchor: Anchor = field(default_factory=Anchor)

    @classmethod
    def fit(cls, history: History, split: Split, level_kw: float, budget: Budget) -> Self:
        """Learn from rows before ``split.fit_end``; the anchor's errors from the whole split."""
        anchor = Anchor(budget)
        anchor.fit(history, split)
        leads = leads_for(history.meter.working_minutes)
        return cls(level_kw, Boost.fit(Past.of(history, level_kw), split, leads, budget), anchor)

    def ask(
        self, history: History, origins: Times, leads: tuple[LeadInterval, ...], experts_kw: Floats
    ) -> tuple[Floats, Floats]:
        """Means (supports, origins, leads) and quantiles (…, 9) in kW, NaN where one says nothing of a lead.

        ``experts_kw`` are the experts' quantiles, averaged: boosted quantiles take their shape.
        """
        past = Past.reaching(history, origins, self.level_kw)
        mean, anchors = self.boost.predict(past, past.rows(origins), leads)
        quantiles = shaped(experts_kw, anchors)
        far = [j for j, lead in enumerate(leads) if lead.end_minutes > 60]
        if far:
            found = self.anchor.predict(history, origins, tuple(leads[j] for j in far))
            mean[:, far], quantiles[:, far] = found.mean_kw, found.quantiles_kw
        return mean[None], quantiles[None]

    def save(self, directory: Path) -> None:
        """Write both into an existing directory."""
        self.boost.save(directory)
        (directory / ANCHOR_FOLDER).mkdir()
        self.anchor.save(directory / ANCHOR_FOLDER)

    @classmethod
    def load(cls, directory: Path, level_kw: float) -> Self:
        """Read what ``save`` wrote."""
        return cls(level_kw, Boost.load(directory), Anchor.load(directory / ANCHOR_FOLDER))
