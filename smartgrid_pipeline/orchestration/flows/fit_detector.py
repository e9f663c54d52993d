"""The anomaly detector of a month: fitted on what came before, thresholds set on the last year."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from smartgrid_pipeline.core import meter_data
from smartgrid_pipeline.core.anomaly.detector import AnomalyDetector
from smartgrid_pipeline.core.anomaly.scoring import thresholds
from smartgrid_pipeline.core.schema import DataError, RegistryError
from smartgrid_pipeline.orchestration.code_version import core_sha256
from smartgrid_pipeline.orchestration.months import bounds, in_months, months_of
from smartgrid_pipeline.orchestration.resources import Resources

if TYPE_CHECKING:
    from smartgrid_pipeline.registry import TrackedRun

MODEL = "anomaly_detector"


@dataclass(frozen=True)
class DetectionContext:
    """The recorded readings up to the end of a month, on their grid, and their SHA-256."""

    month: str
    readings: pd.DataFrame
    sha256: str

    @classmethod
    def from_readings(cls, raw: pd.DataFrame, resources: Resources, month: str) -> "DetectionContext":
        """From raw readings of the month and everything before; months whose audit failed are left out."""
        stored = [str(each) for each in np.unique(months_of(raw))]
        failed = [verdict.subject for verdict in resources.verdicts.failed_data(stored)]
        grid = meter_data.to_grid(raw[~in_months(raw, failed)], resources.meter)
        digest = hashlib.sha256(pd.util.hash_pandas_object(grid).to_numpy().tobytes())
        return cls(month, grid, digest.hexdigest())

    @property
    def training_readings(self) -> pd.DataFrame:
        """Everything before the month."""
        return self.readings[self.readings.index < bounds(self.month)[0]]

    @property
    def calibrate_from(self) -> np.datetime64:
        """Start of the span that thresholds are set on: the last year, or half of a shorter history."""
        return thresholds.calibration_start(self.training_readings.index[0], bounds(self.month)[0])

    def fingerprint(self, resources: Resources) -> str:
        """Hash of all that a fit depends on: readings, code, settings. Equal hashes give equal bits."""
        settings = resources.settings
        parts = (MODEL, self.month, self.sha256, core_sha256(), settings.alarms_per_month, settings.seed)
        return hashlib.sha256("|".join(map(str, parts)).encode()).hexdigest()[:32]


def find_or_fit(resources: Resources, context: DetectionContext, tags: Mapping[str, str]) -> "TrackedRun":
    """The month's detector: found by its fingerprint, or fitted and logged.

    Raises DataError when there are no readings before the month.
    """
    from smartgrid_pipeline.registry import TrainingData

    registry, fingerprint = resources.registry, context.fingerprint(resources)
    found = registry.find_detector(month=context.month, fingerprint=fingerprint)
    if found is not None:
        return found
    training = context.training_readings
    if training.empty:
        raise DataError(f"There are no readings before {context.month} to learn what is normal from.")
    detector = AnomalyDetector(resources.settings.alarms_per_month, resources.settings.seed)
    detector.fit(training, resources.meter, context.calibrate_from)
    start, end = (np.datetime64(each, "m") for each in (training.index[0], bounds(context.month)[0]))
    return registry.log_detector(
        detector,
        month=context.month,
        fingerprint=fingerprint,
        data=TrainingData(context.sha256, len(training), start, end),
        tags={**tags, "calibrated_from": str(context.calibrate_from)},
    )


def load_detector(resources: Resources, context: DetectionContext) -> AnomalyDetector:
    """The stored detector of the month. Raises RegistryError when none was fitted on these readings."""
    registry = resources.registry
    run = registry.find_detector(month=context.month, fingerprint=context.fingerprint(resources))
    if run is None:
        raise RegistryError(f"No anomaly detector for {context.month}: materialise {MODEL} for it first.")
    return AnomalyDetector.load(registry.detector_directory(run.run_id))
