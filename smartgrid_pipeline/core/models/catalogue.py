"""Every model by its name: what makes it new, and what loads it from a folder."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from smartgrid_pipeline.core.models.forecaster import Budget, Forecaster
from smartgrid_pipeline.core.schema import ModelError

FAMILIES = {
    "references": "REFERENCES",
    "baselines": "BASELINES",
    "experts": "EXPERTS",
    "mixture_of_experts": "MIXTURES",
}
"""Module of this package → its dict of model name → class."""


def classes() -> dict[str, Any]:
    """Model name → its class."""
    found: dict[str, Any] = {}
    for module, family in FAMILIES.items():
        found |= getattr(import_module(f"smartgrid_pipeline.core.models.{module}"), family)
    return found


def loaders() -> dict[str, Callable[[Path], Forecaster]]:
    """Model name → its ``load``."""
    return {name: kind.load for name, kind in classes().items()}


def create(name: str, budget: Budget) -> Forecaster:
    """A new model, not fitted. Raises ModelError for a name nobody knows."""
    known = classes()
    if name not in known:
        raise ModelError(f"There is no model {name!r}; known are {', '.join(sorted(known))}.")
    made: Forecaster = known[name](budget)
    return made
