"""Whether a detector may go on judging: its false alarms on a month it had not seen, and the real defects."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from smartgrid_pipeline.core.anomaly.detection import Detection
from smartgrid_pipeline.core.anomaly.drift import AlarmRate
from smartgrid_pipeline.core.anomaly.scoring import alarms as fusion
from smartgrid_pipeline.core.schema import Finding, Verdict

SUITE = "anomaly_detector"
UNLIKELY = 0.005
"""More alarms than this likely under the promise: the thresholds are no longer what was promised."""


@dataclass(frozen=True)
class Figures:
    """What was counted on the month."""

    rate: AlarmRate
    defects: int
    defects_found: int


def figures(detection: Detection, defects: pd.DataFrame, budget_per_month: float) -> Figures:
    """Alarms that touch no real defect, and real defects that some data-quality alarm touches.

    What is wrong with a home but not with its data cannot be told from a false alarm here, so it counts as
    one: the rate is an upper bound. ``defects`` as ``meter_data.defect_table`` gave them.
    """
    events, index = detection.events, detection.scores.index
    real = defects[defects["kind"] != "chance_copy"]
    touching = np.array(
        [((events["start"] <= row.end) & (events["end"] > row.start)).to_numpy() for row in real.itertuples()]
    ).reshape(len(real), len(events))
    standing = pd.Timedelta(hours=fusion.MERGE_HOURS * fusion.STANDING_GAPS)
    weeks = 1 + (events["end"] - events["start"]) // standing
    alarms = int(weeks[~touching.any(axis=0)].sum())
    months = len(index) * ((index[1] - index[0]) / pd.Timedelta(days=1)) / (365.25 / 12)
    return Figures(AlarmRate(alarms, float(months), budget_per_month), len(real), int(touching.any(1).sum()))


def verdict(found: Figures, month: str) -> Verdict:
    """The month's evidence for or against a detector."""
    rate = found.rate
    return Verdict(
        SUITE,
        month,
        (
            Finding(
                "alarms within what was promised",
                bool(rate.p_value >= UNLIKELY),
                f"{rate.alarms} in {rate.months:.1f} months (p = {rate.p_value:.3f})",
                f"{rate.promised_per_month:g} a month; p of so many at least {UNLIKELY:g}",
            ),
            Finding(
                "real defects found",
                found.defects_found == found.defects,
                f"{found.defects_found} of {found.defects}",
                "all",
            ),
        ),
    )
