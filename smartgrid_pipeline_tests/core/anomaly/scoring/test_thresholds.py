import numpy as np
import pandas as pd
import pytest

from smartgrid_pipeline.core.anomaly.physics.monitors import MONITORS
from smartgrid_pipeline.core.anomaly.scoring import alarms, thresholds
from smartgrid_pipeline.core.anomaly.scoring.thresholds import Calibration, CalibrationScores


def test_threshold__spends_the_events_it_was_given() -> None:
    rng = np.random.default_rng(0)
    scores = rng.exponential(1.0, 100_000)
    peaks = alarms.peaks(scores, 72)
    for events in (1, 5, 20):
        found = alarms.count(scores >= thresholds.threshold_for(peaks, events), 72)
        assert abs(found - events) <= 2
    assert thresholds.threshold_for(peaks, 0.1) > peaks[0]


def test_thresholds__together_keep_the_false_alarm_rate() -> None:
    rng = np.random.default_rng(1)
    names = ("base_load_high", "sub_silence", "gain")
    scores = {name: rng.exponential(1.0, 50_000) for name in names}
    collected = {n: CalibrationScores(alarms.peaks(s, 72), 12.0, s) for n, s in scores.items()}
    chosen = Calibration(collected, 12.0, 72).thresholds(names, 1.0)
    union = np.any([alarms.hysteresis(scores[name], chosen[name]) for name in names], axis=0)
    assert 8 <= alarms.count(union, 72) <= 14
    assert chosen["base_load_high"] < chosen["sub_silence"] < chosen["gain"]


def test_single_threshold__keeps_the_rate_alone() -> None:
    scores = np.random.default_rng(2).exponential(1.0, 50_000)
    everywhere = np.ones(len(scores), bool)
    calibration = Calibration(
        {"gain": thresholds.collect(scores, everywhere, everywhere, 72, 12.0, 0)}, 12.0, 72
    )
    found = alarms.count(alarms.hysteresis(scores, calibration.single_threshold("gain", 1.0)), 72)
    assert 11 <= found <= 13


def test_alarm_weights__name_every_detector() -> None:
    assert set(thresholds.ALARM_WEIGHTS) == {"ensemble", *(monitor.name for monitor in MONITORS)}
    assert min(thresholds.ALARM_WEIGHTS.values()) > 0


def test_calibration_start__is_the_last_year_or_the_second_half() -> None:
    end = pd.Timestamp("2010-01-01")
    assert thresholds.calibration_start(pd.Timestamp("2007-01-01"), end) == np.datetime64("2009-01-01")
    assert thresholds.calibration_start(pd.Timestamp("2009-11-02"), end) == np.datetime64("2009-12-02")


def test_fault_score__is_set_unless_such_scores_come_often() -> None:
    scores = np.full(3_000, 1.0)
    scores[100] = 9.0
    everywhere = np.ones(3_000, bool)
    once = thresholds.collect(scores, everywhere, everywhere, 6, 1.0, 3)
    assert once.fault_score == pytest.approx(np.log10(3_000) + 1)
    assert once.peaks.max() == 1.0
    assert Calibration({"gain": once}, 1.0, 6).thresholds(["gain"], 1.0)["gain"] <= once.fault_score
    scores[200:1_000:100] = 9.0
    often = thresholds.collect(scores, everywhere, everywhere, 6, 1.0, 3)
    assert np.isinf(often.fault_score)
    assert often.peaks.max() == 9.0
    assert np.isinf(thresholds.collect(scores, everywhere, everywhere, 6, 1.0, 0).fault_score)
