"""Scores and alarms of all detectors as one table, a row per working interval."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from smartgrid_pipeline.core.anomaly.ensemble.members import MEMBERS
from smartgrid_pipeline.core.anomaly.inputs import DetectorInputs
from smartgrid_pipeline.core.anomaly.interval_array import Array
from smartgrid_pipeline.core.anomaly.physics.monitors import BY_NAME
from smartgrid_pipeline.core.anomaly.rules import rules
from smartgrid_pipeline.core.anomaly.scoring import alarms
from smartgrid_pipeline.core.anomaly.scoring.alarms import DetectorScore
from smartgrid_pipeline.core.schema import INTERVAL_START


def detector_scores(anomaly_scores: dict[str, Array], thresholds: dict[str, float]) -> list[DetectorScore]:
    """Every detector's scores with its threshold and meaning; single members are left out."""
    found = []
    for name, values in anomaly_scores.items():
        if name in BY_NAME:
            monitor = BY_NAME[name]
            meaning = (monitor.alarm_class, monitor.fault_class, monitor.channels)
            found.append(DetectorScore(name, "physics", *meaning, values, thresholds[name], monitor.text))
        elif name not in MEMBERS:
            text = "unlike anything this meter usually records"
            found.append(
                DetectorScore(name, "ensemble", "behaviour", "unusual", (), values, thresholds[name], text)
            )
    return found


def scores_table(
    prepared: DetectorInputs,
    detectors: list[DetectorScore],
    members: dict[str, Array],
    votes: npt.NDArray[np.int64],
    first: int,
) -> pd.DataFrame:
    """The table of ``Detection.scores`` from interval ``first`` on, where all scores and votes begin."""
    by_rule = rules.raised(prepared.recorded, prepared.hits)[first:]
    anomaly_scores = {each.name: each.anomaly_score for each in detectors}
    columns: dict[str, Any] = {
        f"{name}_anomaly_score": values.astype(np.float32)
        for name, values in (anomaly_scores | members).items()
    }
    columns |= {"votes": votes, "vote_2_of_3": votes >= 2, "rules_alarm": by_rule}
    for layer in ("physics", "ensemble"):
        on = [each.alarms() for each in detectors if each.layer == layer]
        columns[f"{layer}_alarm"] = np.any(on, axis=0) if on else np.zeros(len(by_rule), bool)
    thresholds = {each.name: each.threshold for each in detectors}
    columns["score"] = alarms.fused_score(anomaly_scores, thresholds, by_rule)
    columns["alarm"] = by_rule | columns["physics_alarm"] | columns["ensemble_alarm"]
    starts = prepared.recorded.intervals[first:].astype("datetime64[s]")
    return pd.DataFrame(columns, index=pd.DatetimeIndex(starts, name=INTERVAL_START))
