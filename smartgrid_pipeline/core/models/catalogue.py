"""Every model by its name: what makes it new, and what loads it from a folder."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from smartgrid_pipeline.core.models.forecaster import Forecaster

FAMILIES = {
    "references": "REFERENCES",
    "baselines": "BASELINES",
    "experts": "EXPERTS",
    "mixture_of_experts": "MIXTURES",
}
"""Module of this package → its dict of model name → class."""


def loaders() -> dict[str, Callable[[Path], Forecaster]]:
    """Model name → its ``load``."""
    found: dict[str, Callable[[Path], Forecaster]] = {}
    for module, classes in FAMILIES.items():
        family = getattr(import_module(f"smartgrid_pipeline.core.models.{module}"), classes)
        found |= {name: kind.load for name, kind in family.items()}
    return found
