"""One row per interval: votes of members, an alarm of each layer, and their union."""

from typing import Any

import numpy as np
import pandas as pd

from smartgrid_pipeline.core.anomaly.ensemble.members import MEMBERS
from smartgrid_pipeline.core.anomaly.events.scores_table import detector_scores, scores_table
from smartgrid_pipeline.core.anomaly.inputs import DetectorInputs
from smartgrid_pipeline.core.anomaly.interval_array import IntervalArray
from smartgrid_pipeline.core.anomaly.rules import rules
from smartgrid_pipeline.core.anomaly.rules.rules import Hit
from smartgrid_pipeline.core.anomaly.scoring.alarms import RULE_SCORE
from smartgrid_pipeline.core.schema import CURRENT
from smartgrid_pipeline_tests.conftest import HOME, make_readings

FIRST, ROWS = 40, 8
THRESHOLDS = {"loop_impedance": 4.0, "ensemble": 2.0} | dict.fromkeys(MEMBERS, 3.0)


def anomaly_scores() -> dict[str, Any]:
    """The monitor is above its threshold in rows 1 and 2, the ensemble in row 5."""
    return {
        "loop_impedance": np.array([0, 5, 4, 1, 0, 0, 0, 0.0]),
        "ensemble": np.array([0, 0, 0, 0, 0, 3, 0, np.nan]),
    } | {name: np.full(ROWS, 1.0) for name in MEMBERS}


def table() -> pd.DataFrame:
    recorded = IntervalArray.from_readings(make_readings(1, meter=HOME), HOME)
    negative = next(rule for rule in rules.RULES if rule.name == "negative")
    hits = [Hit(negative, FIRST + 7, FIRST + 8, FIRST + 7)]
    prepared = DetectorInputs(recorded, hits, np.zeros(48, bool), {}, None)  # type: ignore[arg-type]
    found = anomaly_scores()
    votes = np.array([0, 1, 2, 3, 0, 0, 0, 0])
    detectors = detector_scores(found, THRESHOLDS)
    return scores_table(prepared, detectors, {name: found[name] for name in MEMBERS}, votes, FIRST)


def test_detector_scores__leave_out_single_members_and_say_what_an_alarm_means() -> None:
    monitor, ensemble = detector_scores(anomaly_scores(), THRESHOLDS)
    assert (monitor.name, monitor.layer, monitor.fault_class) == ("loop_impedance", "physics", "bypass")
    assert monitor.channels == (CURRENT,) and monitor.threshold == 4.0
    assert (ensemble.name, ensemble.layer, ensemble.channels) == ("ensemble", "ensemble", ())


def test_scores_table__alarms_are_those_of_the_layers_and_their_union() -> None:
    found = table()
    assert np.flatnonzero(found["physics_alarm"]).tolist() == [1, 2]
    assert np.flatnonzero(found["ensemble_alarm"]).tolist() == [5]
    assert np.flatnonzero(found["rules_alarm"]).tolist() == [7]
    assert np.flatnonzero(found["alarm"]).tolist() == [1, 2, 5, 7]
    assert np.flatnonzero(found["vote_2_of_3"]).tolist() == [2, 3]


def test_scores_table__has_a_row_per_interval_and_a_column_per_detector_and_member() -> None:
    found = table()
    assert len(found) == ROWS and found.index[0] == pd.Timestamp("2010-01-04 20:00")
    for name in THRESHOLDS:
        assert found[f"{name}_anomaly_score"].dtype == np.float32
    assert found["score"].tolist() == [0, 1.25, 1, 0.25, 0, 1.5, 0, RULE_SCORE]
