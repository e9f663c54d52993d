"""Events in readings of any meter: by the meter's own detector, else by one fitted on the readings."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from smartgrid_pipeline.core import meter_data
from smartgrid_pipeline.core.anomaly import fit_on_file, release_check
from smartgrid_pipeline.core.anomaly.detector import AnomalyDetector, Detection
from smartgrid_pipeline.core.anomaly.meter_match import same_meter
from smartgrid_pipeline.core.schema import Meter, ModelError, RegistryError, SourceError
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

    The newest detector that loads is used for readings of its own meter, and for a file that matches them.
    Any other file gets a detector fitted on the file itself. Raises RegistryError when the meter has no
    detector that loads, DataError when a file to fit on is too short.
    """
    stored, problem = _newest_detector(resources)
    grid = meter_data.to_grid(readings.frame, readings.meter)
    begin = None if since is None else np.datetime64(since, "m")
    if stored is None and not from_file:
        raise RegistryError(
            f"There is no anomaly detector that passed its gate: `smartgrid run` fits one. {problem}".strip()
        )
    if stored is not None:
        run, detector = stored
        recorded = _source_readings(resources) if from_file else grid
        if not from_file or same_meter(detector, grid, readings.meter, recorded):
            complete = _with_days_before(grid, recorded, detector.context_days, detector.meter)
            begin = begin or np.datetime64(grid.index[0], "m")
            detection = detector.detect(complete, begin)
            basis = _with_problem(f"the detector of {run.month}", problem)
            return DetectionByModel(detection, detector.false_alarms_per_month, basis, run)
    detector = AnomalyDetector(resources.settings.alarms_per_month, resources.settings.seed)
    basis = _with_problem(fit_on_file.fit(detector, grid, readings.meter, begin), problem)
    return DetectionByModel(detector.detect(grid, begin), detector.false_alarms_per_month, basis)


def _newest_detector(resources: Resources) -> "tuple[tuple[TrackedRun, AnomalyDetector] | None, str]":
    """The newest finished detector that did not fail its release check and still loads, with its run.

    Beside it stands why a newer one was left out, "" when none was: its files are missing, damaged or saved
    by an older version of this software.
    """
    from smartgrid_pipeline.registry import ModelGone

    runs = [each for each in resources.registry.runs(run_type="detector") if each.status == "FINISHED"]
    months = [each.month for each in runs]
    failed = {verdict.subject for verdict in resources.verdicts.failed([release_check.SUITE], months)}
    problem = ""
    for run in (each for each in runs if each.month not in failed):
        try:
            return (run, AnomalyDetector.load(resources.registry.detector_directory(run.run_id))), problem
        except (ModelError, ModelGone) as error:
            problem = problem or f"The detector of {run.month} does not load: {error}"
    return None, problem


def _with_problem(basis: str, problem: str) -> str:
    return f"{basis} ({problem.rstrip('.')})" if problem else basis


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
