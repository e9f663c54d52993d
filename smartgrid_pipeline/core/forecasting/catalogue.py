"""Every model by its name: how to make a new one, and how to load a fitted one from a folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from smartgrid_pipeline.core.forecasting.baselines.forests import ExtraTrees, RandomForest
from smartgrid_pipeline.core.forecasting.baselines.gradient_boosting import LightGBM
from smartgrid_pipeline.core.forecasting.baselines.naive import REFERENCES
from smartgrid_pipeline.core.forecasting.baselines.ridge import Ridge
from smartgrid_pipeline.core.forecasting.experts.expert import EXPERTS, NeuralExpert
from smartgrid_pipeline.core.forecasting.forecaster import Forecaster, TrainingBudget
from smartgrid_pipeline.core.forecasting.mixture.mixture import MixtureOfExperts
from smartgrid_pipeline.core.schema import ModelError

BASELINES: dict[str, type[Any]] = {model.name: model for model in (Ridge, RandomForest, ExtraTrees)}
"""Baselines with one regression per lead group, by name; each is made from a budget."""

MAKERS: dict[str, Callable[[TrainingBudget], Forecaster]] = {
    **REFERENCES,
    LightGBM.name: LightGBM,
    **BASELINES,
    **EXPERTS,
    MixtureOfExperts.name: MixtureOfExperts,
}
"""Model name → its constructor, from a training budget."""

LOADERS: dict[str, Callable[[Path], Forecaster]] = {
    **{name: model.load for name, model in REFERENCES.items()},
    LightGBM.name: LightGBM.load,
    **{name: model.load for name, model in BASELINES.items()},
    **dict.fromkeys(EXPERTS, NeuralExpert.load),
    MixtureOfExperts.name: MixtureOfExperts.load,
}
"""Model name → its ``load``."""


def loaders() -> dict[str, Callable[[Path], Forecaster]]:
    """LOADERS, as a function that other layers import where they need it: this module imports torch."""
    return LOADERS


def create(name: str, budget: TrainingBudget) -> Forecaster:
    """A new model, not fitted. Raises ModelError for an unknown name."""
    if name not in MAKERS:
        raise ModelError(f"There is no model {name!r}; known are {', '.join(sorted(MAKERS))}.")
    return MAKERS[name](budget)
