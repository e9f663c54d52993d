"""Events in readings of any meter: by the meter's own detector, else by one fitted on the readings."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from smartgrid_pipeline.core import meter_data
from smartgrid_pipeline.core.anomaly import fit_on_file, release_check
from smartgrid_pipeline.core.anomaly.detector import AnomalyDetector, Detection
from smartgrid_pipeline.core.anomaly.meter_match import same_meter
from smartgrid_pipeline.core.schema import Meter, RegistryError, SourceError
from smartgrid_pipeline.orchestration.resources import Resources

if TYPE_CHECKING:
    from smartgrid_pipeline.registry import TrackedRun
    from smartgrid_pipeline.sources import Readings


@dataclass(frozen=True)
class DetectionByModel:
    """A detection, the promised false alarms a month, and the detector behind it.

    ``basis`` names the detector in words. ``run`` is None when the detector was fitted on the readings.
    """

    detection: Detection
    promised_false_alarms_per_month: float
    basis: str
    run: "TrackedRun | None" = None


def detect(
    resources: Resources, readings: "Readings", since: pd.Timestamp | None, from_file: bool
) -> DetectionByModel:
    """Events in readings, raised from ``since`` on.

    The newest detector is used for readings of its own meter, and for a file that matches them. A file of
    another meter gets a detector fitted on the file itself. Raises RegistryError when the meter has no
    detector yet, DataError when a file of another meter is too short.
    """
    run = _newest_detector(resources)
    grid = meter_data.to_grid(readings.frame, readings.meter)
    begin = None if since is None else np.datetime64(since, "m")
    if run is None and not from_file:
        raise RegistryError("There is no anomaly detector that passed its gate: `smartgrid run` fits one.")
    if run is not None:
        detector = AnomalyDetector.load(resources.registry.detector_directory(run.run_id))
        recorded = _source_readings(resources) if from_file else grid
        if not from_file or same_meter(detector, grid, readings.meter, recorded):
            complete = _with_days_before(grid, recorded, detector.context_days, detector.meter)
            begin = begin or np.datetime64(grid.index[0], "m")
            detection = detector.detect(complete, begin)
            return DetectionByModel(
                detection, detector.false_alarms_per_month, f"the detector of {run.month}", run
            )
    detector = AnomalyDetector(resources.settings.alarms_per_month, resources.settings.seed)
    basis = fit_on_file.fit(detector, grid, readings.meter, begin)
    return DetectionByModel(detector.detect(grid, begin), detector.false_alarms_per_month, basis)


def _newest_detector(resources: Resources) -> "TrackedRun | None":
    """The newest finished detector that did not fail its release check."""
    runs = [each for each in resources.registry.runs(run_type="detector") if each.status == "FINISHED"]
    months = [each.month for each in runs]
    failed = {verdict.subject for verdict in resources.verdicts.failed([release_check.SUITE], months)}
    return next((each for each in runs if each.month not in failed), None)


def _source_readings(resources: Resources) -> pd.DataFrame | None:
    """The readings of the meter's own source on their grid; None when it cannot be read now."""
    try:
        return meter_data.to_grid(resources.readings.frame, resources.readings.meter)
    except SourceError:
        return None


def _with_days_before(
    grid: pd.DataFrame, recorded: pd.DataFrame | None, days: int, meter: Meter
) -> pd.DataFrame:
    """The readings, preceded by the source's readings of the days before them where it has them.

    Without any, or when the file lacks a channel of the source, the readings are returned as they are.
    """
    if recorded is None:
        return grid
    first = grid.index[0]
    before = recorded[(recorded.index < first) & (recorded.index >= first - pd.Timedelta(days=days))]
    if before.empty or recorded.columns.difference(grid.columns).size:
        return grid
    joined = pd.concat([before[grid.columns.intersection(before.columns)], grid])
    return meter_data.to_grid(joined, meter)
