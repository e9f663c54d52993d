"""The learners that the experts' average is blended with, behind one protocol, in the order of blending.

A learner declares the leads it covers: sub-meter boosting the next 5 and 60 minutes, the linear-tree average
and the analog ensemble every lead that ends later. So each lead is blended with at most two of them.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.forecasting.analog_ensemble.model import AnalogEnsemble
from smartgrid_pipeline.core.forecasting.forecaster import Split, TrainingBudget
from smartgrid_pipeline.core.forecasting.leads import BLENDING, is_short
from smartgrid_pipeline.core.forecasting.mixture.holdout import Flags, QuantileForecast
from smartgrid_pipeline.core.forecasting.mixture.linear_tree_average import LinearTreeAverage
from smartgrid_pipeline.core.forecasting.mixture.submeter_boosting import SubmeterBoosting
from smartgrid_pipeline.core.schema import Floats, LeadInterval, Times, leads_for


class BaseLearner(Protocol):
    """A fitted forecaster of some leads."""

    @property
    def name(self) -> str:
        """Its name, and that of its folder."""
        ...

    def covers(self, lead: LeadInterval) -> bool:
        """Whether it forecasts this lead."""
        ...

    def predict(
        self, history: History, origins: Times, leads: tuple[LeadInterval, ...], expert_quantiles_kw: Floats
    ) -> QuantileForecast:
        """Mean (origins, leads) and quantiles (origins, leads, 9) in kW of leads that it covers.

        ``expert_quantiles_kw`` (origins, leads, 9) are the experts' average quantiles, for learners
        without a quantile curve of their own.
        """
        ...

    def save(self, directory: Path) -> None:
        """Write it into an existing, empty directory."""
        ...


BaseLearners = tuple[BaseLearner, ...]


@dataclass(frozen=True)
class LongHorizonLearner:
    """A forecaster of its own, used for the leads that end after the next hour."""

    model: LinearTreeAverage | AnalogEnsemble

    @property
    def name(self) -> str:
        """That of the forecaster."""
        return self.model.name

    def covers(self, lead: LeadInterval) -> bool:
        """Every lead that ends after the next hour."""
        return not is_short(lead)

    def predict(
        self, history: History, origins: Times, leads: tuple[LeadInterval, ...], expert_quantiles_kw: Floats
    ) -> QuantileForecast:
        """See BaseLearner; the experts' quantiles are not used."""
        forecast = self.model.predict(history, origins, leads)
        return forecast.mean_kw, forecast.quantiles_kw

    def save(self, directory: Path) -> None:
        """Write it into an existing, empty directory."""
        self.model.save(directory)


def fit(history: History, split: Split, level_kw: float, budget: TrainingBudget) -> BaseLearners:
    """Fit all learners on rows before ``split.train_end``; the linear-tree average takes the size of its
    errors from the whole split.
    """
    linear_tree, analog = LinearTreeAverage(budget), AnalogEnsemble(budget)
    linear_tree.fit(history, split)
    analog.fit(history, split)
    leads = leads_for(history.meter.working_minutes)
    boosting = SubmeterBoosting.fit(history, split, leads, level_kw, budget)
    return boosting, LongHorizonLearner(linear_tree), LongHorizonLearner(analog)


def refit_analog_ensemble(learners: BaseLearners, history: History, split: Split) -> BaseLearners:
    """The same learners, the analog ensemble fitted on the holdout too.

    To be called once the blend weights are known. Its few weights do not overfit.
    """
    return tuple(_refitted(learner, history, split) for learner in learners)


def _refitted(learner: BaseLearner, history: History, split: Split) -> BaseLearner:
    if not isinstance(learner, LongHorizonLearner) or not isinstance(learner.model, AnalogEnsemble):
        return learner
    analog = AnalogEnsemble(learner.model.budget)
    analog.fit(history, replace(split, train_end=split.end))
    return LongHorizonLearner(analog)


def predict(
    learners: BaseLearners,
    history: History,
    origins: Times,
    leads: tuple[LeadInterval, ...],
    expert_quantiles_kw: Floats,
) -> QuantileForecast:
    """Means (learners, origins, leads) and quantiles (…, 9) in kW, NaN where one does not cover the lead.

    ``expert_quantiles_kw`` (origins, leads, 9) are the experts' average quantiles.
    """
    mean = np.full((len(learners), len(origins), len(leads)), np.nan, np.float32)
    quantiles = np.full((*mean.shape, expert_quantiles_kw.shape[-1]), np.nan, np.float32)
    for number, learner in enumerate(learners):
        at = [j for j, lead in enumerate(leads) if learner.covers(lead)]
        if at:
            covered = tuple(leads[j] for j in at)
            found = learner.predict(history, origins, covered, expert_quantiles_kw[:, at])
            mean[number][:, at], quantiles[number][:, at] = found
    return mean, quantiles


def coverage(learners: BaseLearners, leads: tuple[LeadInterval, ...]) -> Flags:
    """Which learner covers which blend group of leads, (learners, groups)."""
    covered = np.zeros((len(learners), BLENDING.count), bool)
    for number, learner in enumerate(learners):
        some = tuple(lead for lead in leads if learner.covers(lead))
        covered[number, BLENDING.of_leads(some)] = True
    return covered


def load(directory: Path) -> BaseLearners:
    """The learners in the sub-folders of a mixture. Raises ModelError when one is missing or broken."""
    return (
        SubmeterBoosting.load(directory / SubmeterBoosting.name),
        LongHorizonLearner(LinearTreeAverage.load(directory / LinearTreeAverage.name)),
        LongHorizonLearner(AnalogEnsemble.load(directory / AnalogEnsemble.name)),
    )
