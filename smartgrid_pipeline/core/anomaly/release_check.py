"""Whether a detector may stay in use: its false alarms in a month after the fit, and real defects found."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from smartgrid_pipeline.core.anomaly.detection import Detection
from smartgrid_pipeline.core.anomaly.drift import AlarmRate
from smartgrid_pipeline.core.anomaly.scoring.alarms import MERGE_HOURS, MONTH_DAYS, STANDING_DISTANCES
from smartgrid_pipeline.core.schema import Finding, Verdict

SUITE = "anomaly_detector"
UNLIKELY = 0.005
"""An alarm count less probable than this at the promised rate fails the check."""


@dataclass(frozen=True)
class Figures:
    """Alarms of the month against the promise, and the real defects in it, found and in all."""

    rate: AlarmRate
    defects: int
    defects_found: int


def figures(detection: Detection, defects: pd.DataFrame, false_alarms_per_month: float) -> Figures:
    """Count alarms that overlap no real defect, and real defects that an alarm overlaps.

    A fault of the home that is no defect of its data counts as a false alarm: the rate is an upper bound.
    ``defects`` are from ``meter_data.defect_table``.
    """
    events, index = detection.events, detection.scores.index
    real = defects[defects["kind"] != "chance_copy"]
    touching = np.array(
        [((events["start"] <= row.end) & (events["end"] > row.start)).to_numpy() for row in real.itertuples()]
    ).reshape(len(real), len(events))
    standing = pd.Timedelta(hours=MERGE_HOURS * STANDING_DISTANCES)
    count = 1 + (events["end"] - events["start"]) // standing
    alarms = int(count[~touching.any(axis=0)].sum())
    months = len(index) * ((index[1] - index[0]) / pd.Timedelta(days=1)) / MONTH_DAYS
    return Figures(
        AlarmRate(alarms, float(months), false_alarms_per_month), len(real), int(touching.any(1).sum())
    )


def verdict(found: Figures, month: str) -> Verdict:
    """The findings on both counts for ``month`` (YYYY-MM)."""
    rate = found.rate
    return Verdict(
        SUITE,
        month,
        (
            Finding(
                "alarms within what was promised",
                bool(rate.p_value >= UNLIKELY),
                f"{rate.alarms} in {rate.months:.1f} months (p = {rate.p_value:.3f})",
                f"{rate.promised_false_alarms_per_month:g} a month; p of so many at least {UNLIKELY:g}",
            ),
            Finding(
                "real defects found",
                found.defects_found == found.defects,
                f"{found.defects_found} of {found.defects}",
                "all",
            ),
        ),
    )
