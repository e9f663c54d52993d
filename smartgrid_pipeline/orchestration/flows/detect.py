"""Which detector judges readings: the meter's own, or one learned from the readings themselves."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from smartgrid_pipeline.core import meter_data
from smartgrid_pipeline.core.anomaly import release_check, unlabelled
from smartgrid_pipeline.core.anomaly.detector import AnomalyDetector, Detection
from smartgrid_pipeline.core.anomaly.meter_match import same_meter
from smartgrid_pipeline.core.schema import Meter, RegistryError, SourceError
from smartgrid_pipeline.orchestration.resources import Resources

if TYPE_CHECKING:
    from smartgrid_pipeline.registry import TrackedRun
    from smartgrid_pipeline.sources import Readings


@dataclass(frozen=True)
class Judgement:
    """A detection, what it rests on, and the run of the detector; None when it was learned on the spot."""

    detection: Detection
    promised_per_month: float
    basis: str
    run: "TrackedRun | None" = None


def judge(
    resources: Resources, readings: "Readings", since: pd.Timestamp | None, from_file: bool
) -> Judgement:
    """Events in readings, by the newest detector when they are of its meter, else by one they teach.

    Raises RegistryError when the meter's own readings have no detector yet, DataError when those of another
    meter are too short to learn from.
    """
    run = _newest(resources)
    grid = meter_data.to_grid(readings.frame, readings.meter)
    begin = None if since is None else np.datetime64(since, "m")
    if run is None and not from_file:
        raise RegistryError("There is no anomaly detector that passed its gate: `smartgrid run` fits one.")
    if run is not None:
        detector = AnomalyDetector.load(resources.registry.detector_directory(run.run_id))
        known = _recorded(resources) if from_file else grid
        if not from_file or same_meter(detector, grid, readings.meter, known):
            whole = _with_past(grid, known, detector.context_days, detector.meter)
            begin = begin or np.datetime64(grid.index[0], "m")
            basis = f"the detector of {run.month}"
            return Judgement(detector.detect(whole, begin), detector.budget_per_month, basis, run)
    detector = AnomalyDetector(resources.settings.alarms_per_month, resources.settings.seed)
    basis = unlabelled.fit_on_file(detector, grid, readings.meter, begin)
    return Judgement(detector.detect(grid, begin), detector.budget_per_month, basis)


def _newest(resources: Resources) -> "TrackedRun | None":
    """The newest detector that has not failed its gate."""
    runs = [each for each in resources.registry.runs(run_type="detector") if each.status == "FINISHED"]
    failed = {
        v.subject for v in resources.verdicts.failed([release_check.SUITE], [each.month for each in runs])
    }
    return next((each for each in runs if each.month not in failed), None)


def _recorded(resources: Resources) -> pd.DataFrame | None:
    """The meter's own readings as its source has them; None when the source cannot be read now."""
    try:
        return meter_data.to_grid(resources.readings.frame, resources.readings.meter)
    except SourceError:
        return None


def _with_past(grid: pd.DataFrame, known: pd.DataFrame | None, days: int, meter: Meter) -> pd.DataFrame:
    """The readings, preceded by what was recorded of the meter on the days before them."""
    if known is None:
        return grid
    first = grid.index[0]
    before = known[(known.index < first) & (known.index >= first - pd.Timedelta(days=days))]
    if before.empty or known.columns.difference(grid.columns).size:
        return grid
    joined = pd.concat([before[grid.columns.intersection(before.columns)], grid])
    return meter_data.to_grid(joined, meter)
