"""One anomaly detector a month: fitted on the past, thresholds frozen on its last year, then used."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from smartgrid_pipeline.core import meter_data
from smartgrid_pipeline.core.anomaly import drift, release_check
from smartgrid_pipeline.core.anomaly.detector import AnomalyDetector, Detection
from smartgrid_pipeline.core.anomaly.ensemble import features
from smartgrid_pipeline.core.anomaly.interval_array import IntervalArray
from smartgrid_pipeline.core.anomaly.scoring import thresholds
from smartgrid_pipeline.core.schema import DataError, RegistryError, Verdict
from smartgrid_pipeline.orchestration.code_version import core_sha256
from smartgrid_pipeline.orchestration.io_manager import in_months, months_of
from smartgrid_pipeline.orchestration.partitions import bounds
from smartgrid_pipeline.orchestration.resources import Resources

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from smartgrid_pipeline.registry import TrackedRun

MODEL = "anomaly_detector"


@dataclass(frozen=True)
class DetectionContext:
    """What a month's detector works with: recorded readings on their grid, and where the month lies."""

    month: str
    readings: pd.DataFrame
    sha256: str

    @classmethod
    def of(cls, raw: pd.DataFrame, resources: Resources, month: str) -> "DetectionContext":
        """From raw readings of the month and everything before; months whose audit failed are missing."""
        stored = [str(each) for each in np.unique(months_of(raw))]
        bad = [verdict.subject for verdict in resources.verdicts.failed_data(stored)]
        good = raw[~in_months(raw, bad)]
        grid = meter_data.to_grid(good, resources.meter)
        digest = hashlib.sha256(pd.util.hash_pandas_object(grid).to_numpy().tobytes())
        return cls(month, grid, digest.hexdigest())

    @property
    def past(self) -> pd.DataFrame:
        """Everything before the month."""
        return self.readings[self.readings.index < bounds(self.month)[0]]

    @property
    def calibrate_from(self) -> np.datetime64:
        """Where fitting ends and freezing of thresholds begins: the last year, or half of a short past."""
        return thresholds.calibration_start(self.past.index[0], bounds(self.month)[0])

    def fingerprint(self, resources: Resources) -> str:
        """Identity of a fit: same readings, code and settings give the same bits."""
        settings = resources.settings
        parts = (MODEL, self.month, self.sha256, core_sha256(), settings.alarms_per_month, settings.seed)
        return hashlib.sha256("|".join(map(str, parts)).encode()).hexdigest()[:32]


def find_or_fit(resources: Resources, watch: DetectionContext, tags: dict[str, str]) -> "TrackedRun":
    """The month's detector, tracked: found by its fingerprint, or fitted and logged."""
    from smartgrid_pipeline.registry import TrainingData

    registry, fingerprint = resources.registry, watch.fingerprint(resources)
    found = registry.find_detector(month=watch.month, fingerprint=fingerprint)
    if found is not None:
        return found
    if watch.past.empty:
        raise DataError(f"There are no readings before {watch.month} to learn what is normal from.")
    detector = AnomalyDetector(resources.settings.alarms_per_month, resources.settings.seed)
    detector.fit(watch.past, resources.meter, watch.calibrate_from)
    span = watch.past.index
    start, end = (np.datetime64(value, "m") for value in (span[0], bounds(watch.month)[0]))
    return registry.log_detector(
        detector,
        month=watch.month,
        fingerprint=fingerprint,
        data=TrainingData(watch.sha256, len(span), start, end),
        tags=tags | {"calibrated_from": str(watch.calibrate_from)},
    )


def detect_month(resources: Resources, watch: DetectionContext) -> Detection:
    """Judge the month with its detector.

    Raises RegistryError when no detector was fitted on these readings.
    """
    registry = resources.registry
    run = registry.find_detector(month=watch.month, fingerprint=watch.fingerprint(resources))
    if run is None:
        raise RegistryError(f"No anomaly detector for {watch.month}: materialise {MODEL} for it first.")
    detector = AnomalyDetector.load(registry.detector_directory(run.run_id))
    start, end = bounds(watch.month)
    context = start - pd.Timedelta(days=detector.context_days)
    near = watch.readings[(watch.readings.index >= context) & (watch.readings.index < end)]
    return detector.detect(near, np.datetime64(start, "m"))


@dataclass(frozen=True)
class Assessment:
    """How a detector did on the month it judged, and which of its inputs have moved since the year before."""

    figures: release_check.Figures
    verdict: Verdict
    inputs: pd.DataFrame


def assess(resources: Resources, watch: DetectionContext, detection: Detection) -> Assessment:
    """Count alarms against the promise and real defects found; keep the verdict, which `judging` asks for."""
    start, end = bounds(watch.month)
    near = watch.readings[
        (watch.readings.index >= start - pd.Timedelta(days=35)) & (watch.readings.index < end)
    ]
    kinds = meter_data.defect_types(near)[start:]
    defects = meter_data.defect_table(kinds, resources.meter.step_minutes, resources.meter.channels)
    found = release_check.figures(detection, defects, resources.settings.alarms_per_month)
    verdict = release_check.verdict(found, watch.month)
    resources.verdicts.write(verdict)
    return Assessment(found, verdict, _moved_inputs(resources, watch))


def _moved_inputs(resources: Resources, watch: DetectionContext) -> pd.DataFrame:
    start, end = bounds(watch.month)
    first = start - pd.Timedelta(days=thresholds.CALIBRATION_DAYS)
    near = watch.readings[(watch.readings.index >= first) & (watch.readings.index < end)]
    recorded = IntervalArray.from_readings(near, resources.meter)
    later = recorded.intervals >= np.datetime64(start, "m")
    built = features.build(recorded)
    return drift.moved_inputs(
        {name: values[~later] for name, values in built.items()},
        {name: values[later] for name, values in built.items()},
    )


def figures(
    resources: Resources, watch: DetectionContext, detection: Detection, most_events: int = 6
) -> "dict[str, Figure]":
    """The month's alarms against the budget, and its gravest events beside what is normal."""
    from smartgrid_pipeline.core.anomaly.report import plots

    drawn = {"alarms": plots.alarms_per_month(detection, resources.settings.alarms_per_month)}
    grave = detection.events["severity"].map({"high": 2, "medium": 1, "low": 0})
    gravest = detection.events.assign(grave=grave).sort_values(["grave", "start"], ascending=[False, True])
    for number, (_, row) in enumerate(gravest.head(most_events).iterrows(), 1):
        drawn[f"event_{number}"] = plots.event(watch.readings, row)
    return drawn


def write_report(
    resources: Resources, watch: DetectionContext, detection: Detection, drawn: "dict[str, Figure]"
) -> Path:
    """The month's anomalies as a self-contained HTML page; returns its path."""
    from smartgrid_pipeline.core.anomaly.report import page
    from smartgrid_pipeline.orchestration.files import write_atomically

    path = resources.settings.data_dir / "reports" / watch.month / "anomalies.html"
    html = page.render(resources.meter, watch.month, detection, drawn, resources.settings.alarms_per_month)
    write_atomically(path, html.encode())
    return path
