"""Which detector judges readings: the meter's own, or one learned from the readings themselves."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from smartgrid_pipeline.core import meter_data
from smartgrid_pipeline.core.anomaly import gate
from smartgrid_pipeline.core.anomaly.detector import AnomalyDetector, Detection
from smartgrid_pipeline.core.anomaly.kinship import same_meter
from smartgrid_pipeline.core.schema import DataError, RegistryError, SourceError
from smartgrid_pipeline.orchestration.resources import Workbench

if TYPE_CHECKING:
    from smartgrid_pipeline.registry import TrackedRun
    from smartgrid_pipeline.sources import Readings

CALIBRATION_DAYS = 365
FEWEST_DAYS = 32
"""Readings that judge themselves must last so long: two weeks to learn, two to calibrate, a margin."""


@dataclass(frozen=True)
class Judgement:
    """A detection, what it rests on, and the run of the detector; None when it was learned on the spot."""

    detection: Detection
    promised_per_month: float
    basis: str
    run: "TrackedRun | None" = None


def judge(
    workbench: Workbench, readings: "Readings", since: pd.Timestamp | None, from_file: bool
) -> Judgement:
    """Events in readings, by the newest detector when they are of its meter, else by one they teach.

    Raises RegistryError when the meter's own readings have no detector yet, DataError when those of another
    meter are too short to learn from.
    """
    run = _newest(workbench)
    grid = meter_data.to_grid(readings.frame, readings.meter)
    begin = None if since is None else np.datetime64(since, "m")
    if run is None and not from_file:
        raise RegistryError("There is no anomaly detector that passed its gate: `smartgrid run` fits one.")
    if run is not None:
        detector = AnomalyDetector.load(workbench.registry.detector_directory(run.run_id))
        known = _recorded(workbench) if from_file else grid
        if not from_file or same_meter(detector, grid, readings.meter, known):
            whole = _with_context(grid, known, detector)
            begin = begin or np.datetime64(grid.index[0], "m")
            basis = f"the detector of {run.month}"
            return Judgement(detector.detect(whole, begin), detector.budget_per_month, basis, run)
    return _by_itself(workbench, readings, grid, begin)


def _newest(workbench: Workbench) -> "TrackedRun | None":
    """The newest detector that has not failed its gate."""
    runs = [each for each in workbench.registry.runs(kind="detector") if each.status == "FINISHED"]
    failed = {v.subject for v in workbench.verdicts.failed([gate.SUITE], [each.month for each in runs])}
    return next((each for each in runs if each.month not in failed), None)


def _recorded(workbench: Workbench) -> pd.DataFrame | None:
    """The meter's own readings as its source has them; None when the source cannot be read now."""
    try:
        return meter_data.to_grid(workbench.readings.frame, workbench.readings.meter)
    except SourceError:
        return None


def _with_context(grid: pd.DataFrame, known: pd.DataFrame | None, detector: AnomalyDetector) -> pd.DataFrame:
    """The readings, preceded by what was recorded of the meter in the detector's context before them."""
    if known is None:
        return grid
    first = grid.index[0]
    before = known[(known.index < first) & (known.index >= first - pd.Timedelta(days=detector.context_days))]
    if before.empty or known.columns.difference(grid.columns).size:
        return grid
    joined = pd.concat([before[grid.columns.intersection(before.columns)], grid])
    return meter_data.to_grid(joined, detector.meter)


def _by_itself(
    workbench: Workbench, readings: "Readings", grid: pd.DataFrame, begin: np.datetime64 | None
) -> Judgement:
    first, last = grid.index[0], grid.index[-1]
    days = (last - first) / pd.Timedelta(days=1)
    if days < FEWEST_DAYS:
        raise DataError(
            f"No detector knows meter {readings.meter.meter_id}, and to learn from these readings alone at "
            f"least {FEWEST_DAYS} days are needed: found {days:.1f}. Give a longer file, or `smartgrid run` "
            "on this meter's history first."
        )
    half = max(last - pd.Timedelta(days=CALIBRATION_DAYS), first + (last - first) / 2)
    detector = AnomalyDetector(workbench.settings.alarms_per_month, workbench.settings.seed)
    detector.fit(grid, readings.meter, np.datetime64(half.floor("D"), "m"), contaminated=True)
    basis = f"a detector learned from these {days:.0f} days themselves"
    return Judgement(detector.detect(grid, begin), detector.budget_per_month, basis)
