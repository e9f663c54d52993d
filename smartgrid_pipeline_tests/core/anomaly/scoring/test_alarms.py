import numpy as np

from smartgrid_pipeline.core.anomaly.scoring import alarms


def test_hysteresis__holds_between_the_thresholds() -> None:
    scores = np.array([1.0, 5.0, 4.5, np.nan, 2.6, 2.4, 4.5, 5.0])
    on = alarms.hysteresis(scores, 5.0)
    assert on.tolist() == [False, True, True, True, True, False, False, True]


def test_merged__joins_what_is_closer_than_the_gap() -> None:
    flags = np.zeros(100, bool)
    flags[[3, 4, 50, 60, 99]] = True
    assert alarms.merged(flags, 10) == [(3, 5), (50, 61), (99, 100)]
    assert alarms.merged(flags, 5) == [(3, 5), (50, 51), (60, 61), (99, 100)]


def test_peaks__a_week_above_is_one_event_however_often_it_moves() -> None:
    rng = np.random.default_rng(0)
    score = rng.random(2_000)
    score[500:650] = 3 + rng.random(150)  # one long event of many tops
    score[1_500] = 2.0
    peaks = alarms.peaks(score, 6, off_ratio=0.5)
    assert peaks[0] > 3.9
    assert peaks[1] == 2.0
    assert alarms.peaks(score, 6)[1] > 3.0  # without hysteresis every top that stands apart counts


def test_count__a_standing_alarm_counts_again_each_week() -> None:
    week = alarms.STANDING_DISTANCES * 72
    flags = np.zeros(10 * week, bool)
    flags[100:110] = True
    flags[week : 3 * week + 1] = True
    assert alarms.count(flags, 72) == 1 + 3
    assert alarms.count(np.zeros(10, bool), 72) == 0


def test_dilate__reaches_so_many_rows_either_way() -> None:
    flags = np.zeros(20, bool)
    flags[10] = True
    assert np.flatnonzero(alarms.dilate(flags, 2)).tolist() == [8, 9, 10, 11, 12]


def test_fused_score__is_the_largest_ratio_and_the_rule_score_under_a_rule() -> None:
    scores = {"gain": np.array([1.0, 4.0, np.nan, 900.0]), "flat": np.array([3.0, 0.0, 2.0, 0.0])}
    by_rule = np.array([False, False, True, False])
    fused = alarms.fused_score(scores, {"gain": 2.0, "flat": 3.0}, by_rule)
    assert fused.tolist() == [1.0, 2.0, alarms.RULE_SCORE, alarms.RULE_SCORE]
