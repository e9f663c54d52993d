import json
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.anomaly.controls import CONTROLS, Controls
from benchmarks.anomaly.summary import natural
from benchmarks.anomaly.targets import against_targets
from benchmarks.shared.result_head import ROOT
from smartgrid_pipeline.core.anomaly.interval_array import IntervalArray
from smartgrid_pipeline.core.anomaly.rules import limits, rules
from smartgrid_pipeline_tests.conftest import HOME, HOUSE, make_readings


def test_controls__say_the_same_of_a_copy_and_the_constant_says_nothing() -> None:
    recorded = IntervalArray.from_readings(make_readings(4, meter=HOUSE, seed=2), HOUSE)
    rows = np.random.default_rng(0).normal(size=(len(recorded.intervals), 6)).astype(np.float32)
    controls = Controls.fit(rows, seed=0)
    whole, later = controls.scores(rows, recorded, 0), controls.scores(rows[300:], recorded, 300)
    assert set(whole) == set(CONTROLS)
    for name in CONTROLS:
        np.testing.assert_allclose(whole[name][300:], later[name], rtol=1e-5)
    assert np.ptp(whole["constant"]) == 0
    assert abs(whole["random"].mean() - 0.5) < 0.05


@pytest.fixture
def origin() -> dict:
    path = ROOT / "benchmarks" / "results" / "anomaly.json"
    return json.loads(path.read_text())["origins"]["2010"]


def test_targets__of_the_kept_result_are_those_of_its_figures(origin: dict) -> None:
    kept = [(row["figure"], row["hit"]) for row in origin["targets"]]
    assert [(row["figure"], row["hit"]) for row in against_targets(origin)] == kept
    assert any(row["target"] == "A9" and row["hit"] is None for row in origin["targets"])


def test_targets__are_missed_by_a_detector_that_alarms_too_often(origin: dict) -> None:
    noisy = origin | {"budgets": [{"promised": 1.0, "realised": 2.0}], "false_alarms_per_month": 2.0}
    missed = {row["figure"] for row in against_targets(noisy) if row["hit"] is False}
    assert {"false alarms a month", "realised over promised at 1 a month"} <= missed


def test_natural__counts_real_defects_that_a_rule_of_their_type_hits() -> None:
    readings = make_readings(20, meter=HOME)
    recorded = IntervalArray.from_readings(readings, HOME)
    learned = limits.learn_limits(recorded, np.ones(len(recorded.times), bool))
    readings.iloc[500:504] = np.nan
    recorded = IntervalArray.from_readings(readings, HOME)
    prepared = SimpleNamespace(recorded=recorded, hits=rules.hits(recorded, learned))
    year = SimpleNamespace(prepared=prepared, readings=readings, meter=HOME)
    assert natural(year) == {"found": 1, "total": 1, "extra": 0}
    prepared.hits = []
    assert natural(year) == {"found": 0, "total": 1, "extra": 0}
