"""What the mixture leans on besides its experts.

Boosted trees for the next five minutes and the next hour; beyond it the anchor, and past days weighed by
their likeness, which keep the shape of what really happened.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.features.minute_series import MinuteSeries
from smartgrid_pipeline.core.forecasting.analog_ensemble.model import AnalogEnsemble
from smartgrid_pipeline.core.forecasting.forecaster import Split, TrainingBudget
from smartgrid_pipeline.core.forecasting.leads import is_short
from smartgrid_pipeline.core.forecasting.mixture.linear_tree_average import LinearTreeAverage
from smartgrid_pipeline.core.forecasting.mixture.submeter_boosting import SubmeterBoosting, rescale_to_knots
from smartgrid_pipeline.core.schema import Floats, LeadInterval, Times, leads_for


@dataclass(frozen=True)
class BaseLearners:
    """The supports of one meter, fitted on the same earlier block as the experts."""

    level_kw: float
    boost: SubmeterBoosting = field(default_factory=SubmeterBoosting)
    anchor: LinearTreeAverage = field(default_factory=LinearTreeAverage)
    analogue: AnalogEnsemble = field(default_factory=AnalogEnsemble)

    @classmethod
    def fit(cls, history: History, split: Split, level_kw: float, budget: TrainingBudget) -> Self:
        """Learn from rows before ``split.train_end``; the anchor's errors from the whole split."""
        anchor, analogue = LinearTreeAverage(budget), AnalogEnsemble(budget)
        anchor.fit(history, split)
        analogue.fit(history, split)
        leads = leads_for(history.meter.working_minutes)
        return cls(
            level_kw,
            SubmeterBoosting.fit(MinuteSeries.of(history, level_kw), split, leads, budget),
            anchor,
            analogue,
        )

    def with_newest_days(self, history: History, split: Split) -> Self:
        """The same, with the likeness of days learned from the later block too.

        Its few weights do not overfit, and how far to lean on it has been decided by then.
        """
        analogue = AnalogEnsemble(self.analogue.budget)
        analogue.fit(history, replace(split, train_end=split.end))
        return replace(self, analogue=analogue)

    def ask(
        self, history: History, origins: Times, leads: tuple[LeadInterval, ...], experts_kw: Floats
    ) -> tuple[Floats, Floats]:
        """Means (supports, origins, leads) and quantiles (…, 9) in kW, NaN where one says nothing of a lead.

        ``experts_kw`` are the experts' quantiles, averaged: boosted quantiles take their shape.
        """
        past = MinuteSeries.reaching(history, origins, self.level_kw)
        mean = np.full((2, len(origins), len(leads)), np.nan, np.float32)
        quantiles = np.full((*mean.shape, experts_kw.shape[-1]), np.nan, np.float32)
        mean[0], anchors = self.boost.predict(past, past.rows(origins), leads)
        quantiles[0] = rescale_to_knots(experts_kw, anchors)
        far = [j for j, lead in enumerate(leads) if not is_short(lead)]
        supports: tuple[LinearTreeAverage | AnalogEnsemble, ...] = (self.anchor, self.analogue) if far else ()
        for number, support in enumerate(supports):
            found = support.predict(history, origins, tuple(leads[j] for j in far))
            mean[number][:, far], quantiles[number][:, far] = found.mean_kw, found.quantiles_kw
        return mean, quantiles

    def save(self, directory: Path) -> None:
        """Write them into an existing directory."""
        self.boost.save(directory)
        supports: tuple[LinearTreeAverage | AnalogEnsemble, ...] = (self.anchor, self.analogue)
        for support in supports:
            (directory / support.name).mkdir()
            support.save(directory / support.name)

    @classmethod
    def load(cls, directory: Path, level_kw: float, boosted: dict[str, Any]) -> Self:
        """Read what ``save`` wrote; ``boosted`` are the ``facts`` of the trees."""
        anchor = LinearTreeAverage.load(directory / LinearTreeAverage.name)
        analogue = AnalogEnsemble.load(directory / AnalogEnsemble.name)
        return cls(level_kw, SubmeterBoosting.load(directory, boosted), anchor, analogue)
