import numpy as np
import pytest

from smartgrid_pipeline.core.anomaly.events.events import separated
from smartgrid_pipeline.core.anomaly.scoring import alarms
from smartgrid_pipeline.core.anomaly.scoring.tails import CEILING, Tail
from smartgrid_pipeline.core.schema import DataError


def test_hysteresis__holds_between_the_thresholds() -> None:
    rarity = np.array([1.0, 5.0, 4.5, np.nan, 2.6, 2.4, 4.5, 5.0])
    on = alarms.hysteresis(rarity, 5.0)
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
    heights = alarms.peaks(score, 6, hold=0.5)
    assert heights[0] > 3.9
    assert heights[1] == 2.0
    assert alarms.peaks(score, 6)[1] > 3.0  # without hysteresis every top that stands apart counts


def test_count__a_standing_alarm_counts_again_each_week() -> None:
    week = alarms.STANDING_GAPS * 72
    flags = np.zeros(10 * week, bool)
    flags[100:110] = True
    flags[week : 3 * week + 1] = True
    assert alarms.count(flags, 72) == 1 + 3
    assert alarms.count(np.zeros(10, bool), 72) == 0


def test_threshold__spends_the_events_it_was_given() -> None:
    rng = np.random.default_rng(0)
    rarity = rng.exponential(1.0, 100_000)
    heights = alarms.peaks(rarity, 72)
    for events in (1, 5, 20):
        found = alarms.count(rarity >= alarms.threshold_for(heights, events), 72)
        assert abs(found - events) <= 2
    assert alarms.threshold_for(heights, 0.1) > heights[0]


def test_calibrate__the_union_of_voices_keeps_the_budget() -> None:
    rng = np.random.default_rng(1)
    rarities = {name: rng.exponential(1.0, 50_000) for name in "abc"}
    heard = {n: alarms.CalibrationScores(alarms.peaks(r, 72), 12.0, r) for n, r in rarities.items()}
    heights = alarms.calibrate(heard, {"a": 0.8, "b": 0.15, "c": 0.05}, 1.0, 12.0, 72)
    union = np.any([alarms.hysteresis(rarities[name], heights[name]) for name in rarities], axis=0)
    assert 8 <= alarms.count(union, 72) <= 14
    assert heights["a"] < heights["b"] < heights["c"]


def test_tail__is_calibrated_monotone_and_bounded() -> None:
    rng = np.random.default_rng(2)
    tail = Tail.fit(rng.normal(0, 1, 100_000))
    fresh = tail.rarity(rng.normal(0, 1, 100_000))
    for rarity in (1.0, 2.0, 3.0):
        assert (fresh >= rarity).mean() == pytest.approx(10**-rarity, rel=0.35)
    steps = np.diff(tail.rarity(np.linspace(-5, 50, 1000)))
    assert (steps >= 0).all()
    assert tail.rarity(np.array([1e6]))[0] <= CEILING
    assert np.isnan(tail.rarity(np.array([np.nan]))[0])


def test_returns__a_rarity_comes_once_in_so_many_rows() -> None:
    rng = np.random.default_rng(3)
    slow = np.convolve(rng.normal(0, 1, 60_000), np.ones(50) / 50, "same")
    tail = Tail.of_returns(slow, 100)
    fresh = np.convolve(rng.normal(0, 1, 60_000), np.ones(50) / 50, "same")
    for rarity in (2.8, 3.3):
        expected = 60_000 * 10**-rarity
        found = alarms.count(tail.rarity(fresh) >= rarity, 100)
        assert 0.5 * expected <= found <= 1.7 * expected
    assert (np.diff(tail.rarity(np.linspace(-1, 3, 500))) >= 0).all()


def test_tail__equal_scores_are_as_common_as_all_of_them() -> None:
    tail = Tail.fit(np.concatenate([np.zeros(9_000), np.arange(1.0, 1001.0)]))
    assert tail.rarity(np.array([0.0]))[0] == pytest.approx(0.0, abs=0.01)


def test_tail__refuses_too_few_scores() -> None:
    with pytest.raises(DataError, match="200"):
        Tail.fit(np.arange(50.0))


def test_separated__a_rule_within_a_standing_alarm_begins_an_event_of_its_own() -> None:
    union, by_rule = np.zeros(1_000, bool), np.zeros(1_000, bool)
    union[100:700] = True
    by_rule[[110, 300, 400, 410, 690]] = True
    assert separated(union, by_rule, 72) == [(100, 400), (400, 690), (690, 700)]


def test_tail__of_a_bell_shaped_score_does_not_learn_a_fault_that_lasts() -> None:
    scores = np.random.default_rng(3).normal(0, 1, 4_000)
    scores[3_200:] += 20  # a fifth of what should teach
    learned = Tail.of_returns(scores, 20, may_be_faults=3)
    bell = Tail.of_returns(scores, 20, may_be_faults=3, bell_shaped=True)
    assert learned.rarity(np.array([20.0]))[0] < 4
    assert bell.rarity(np.array([20.0]))[0] > 8
    assert bell.rarity(np.array([2.0]))[0] < 4
