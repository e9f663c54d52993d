"""Tracked runs, registered models, promotion and its ledger, kept in MLflow. Only this package imports
mlflow.
"""

from smartgrid_pipeline.registry.champion.promotion_checks import about_run
from smartgrid_pipeline.registry.model_files import ModelGone, ModelUnusable
from smartgrid_pipeline.registry.registry import Registry
from smartgrid_pipeline.registry.types import (
    Champion,
    Example,
    LedgerRow,
    Promotion,
    TrackedRun,
    TrainingData,
)

__all__ = [
    "Champion",
    "Example",
    "LedgerRow",
    "ModelGone",
    "ModelUnusable",
    "Promotion",
    "Registry",
    "TrackedRun",
    "TrainingData",
    "about_run",
]
