"""A month's alarms by its detector: the events, how the detector did, and the page that shows both."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from smartgrid_pipeline.core import meter_data
from smartgrid_pipeline.core.anomaly import drift, release_check
from smartgrid_pipeline.core.anomaly.detector import Detection
from smartgrid_pipeline.core.anomaly.ensemble import features
from smartgrid_pipeline.core.anomaly.interval_array import IntervalArray
from smartgrid_pipeline.core.anomaly.scoring import thresholds
from smartgrid_pipeline.core.schema import Verdict
from smartgrid_pipeline.orchestration.files import write_atomically
from smartgrid_pipeline.orchestration.flows.fit_detector import DetectionContext, load_detector
from smartgrid_pipeline.orchestration.months import bounds
from smartgrid_pipeline.orchestration.resources import Resources

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DEFECT_CONTEXT_DAYS = 35
"""Days of readings before the month that the search for its defects starts with."""

SHOWN_EVENTS = 6
"""Events that are drawn, the gravest first."""

SEVERITY_ORDER = {"high": 2, "medium": 1, "low": 0}


@dataclass(frozen=True)
class Assessment:
    """How a detector did on a month, and which of its inputs have drifted since the year before."""

    figures: release_check.Figures
    verdict: Verdict
    drifted_inputs: pd.DataFrame


def detect_month(resources: Resources, context: DetectionContext) -> Detection:
    """Scores and events of the month by its stored detector. Raises RegistryError when there is none."""
    detector = load_detector(resources, context)
    return detector.detect(
        _with_days_before(context, detector.context_days), np.datetime64(bounds(context.month)[0], "m")
    )


def assess(resources: Resources, context: DetectionContext, detection: Detection) -> Assessment:
    """Count alarms against the promised rate, and real defects against those found.

    The verdict is stored: a detector that failed it is not used by ``detect``.
    """
    meter, start = resources.meter, bounds(context.month)[0]
    types = meter_data.defect_types(_with_days_before(context, DEFECT_CONTEXT_DAYS))[start:]
    defects = meter_data.defect_table(types, meter.step_minutes, meter.channels)
    figures = release_check.figures(detection, defects, resources.settings.alarms_per_month)
    verdict = release_check.verdict(figures, context.month)
    resources.verdicts.write(verdict)
    return Assessment(figures, verdict, _drifted_inputs(resources, context))


def draw(resources: Resources, context: DetectionContext, detection: Detection) -> "dict[str, Figure]":
    """The month's alarms against the promised rate, and its gravest events beside normal days."""
    from smartgrid_pipeline.core.anomaly.report import plots

    figures = {"alarms": plots.alarms_per_month(detection, resources.settings.alarms_per_month)}
    order = detection.events["severity"].map(SEVERITY_ORDER)
    gravest = detection.events.assign(order=order).sort_values(["order", "start"], ascending=[False, True])
    for number, (_, row) in enumerate(gravest.head(SHOWN_EVENTS).iterrows(), 1):
        figures[f"event_{number}"] = plots.event(context.readings, row)
    return figures


def write_page(
    resources: Resources, context: DetectionContext, detection: Detection, figures: "Mapping[str, Figure]"
) -> Path:
    """Write the month's anomalies as one self-contained HTML page; returns its path."""
    from smartgrid_pipeline.core.anomaly.report import page

    path = resources.settings.data_dir / "reports" / context.month / "anomalies.html"
    promised = resources.settings.alarms_per_month
    html = page.render(resources.meter, context.month, detection, dict(figures), promised)
    write_atomically(path, html.encode())
    return path


def _drifted_inputs(resources: Resources, context: DetectionContext) -> pd.DataFrame:
    """The ensemble's inputs of the month against those of the year before (``drift.moved_inputs``)."""
    recent = _with_days_before(context, thresholds.CALIBRATION_DAYS)
    array = IntervalArray.from_readings(recent, resources.meter)
    in_month = array.intervals >= np.datetime64(bounds(context.month)[0], "m")
    built = features.build(array)
    return drift.moved_inputs(
        {name: values[~in_month] for name, values in built.items()},
        {name: values[in_month] for name, values in built.items()},
    )


def _with_days_before(context: DetectionContext, days: int) -> pd.DataFrame:
    """Readings of the month and of this many days before it."""
    start, end = bounds(context.month)
    index = context.readings.index
    return context.readings[(index >= start - pd.Timedelta(days=days)) & (index < end)]
