import numpy as np
import pytest

from smartgrid_pipeline.core.anomaly.scoring import alarms
from smartgrid_pipeline.core.anomaly.scoring.tails import CEILING, Tail, isolated_peaks
from smartgrid_pipeline.core.schema import DataError


def test_tail__is_calibrated_monotone_and_bounded() -> None:
    rng = np.random.default_rng(2)
    tail = Tail.fit(rng.normal(0, 1, 100_000))
    fresh = tail.anomaly_score(rng.normal(0, 1, 100_000))
    for score in (1.0, 2.0, 3.0):
        assert (fresh >= score).mean() == pytest.approx(10**-score, rel=0.35)
    steps = np.diff(tail.anomaly_score(np.linspace(-5, 50, 1000)))
    assert (steps >= 0).all()
    assert tail.anomaly_score(np.array([1e6]))[0] <= CEILING
    assert np.isnan(tail.anomaly_score(np.array([np.nan]))[0])


def test_return_periods__an_anomaly_score_comes_once_in_so_many_rows() -> None:
    rng = np.random.default_rng(3)
    slow = np.convolve(rng.normal(0, 1, 60_000), np.ones(50) / 50, "same")
    tail = Tail.fit_return_periods(slow, 100)
    fresh = np.convolve(rng.normal(0, 1, 60_000), np.ones(50) / 50, "same")
    for score in (2.8, 3.3):
        expected = 60_000 * 10**-score
        found = alarms.count(tail.anomaly_score(fresh) >= score, 100)
        assert 0.5 * expected <= found <= 1.7 * expected
    assert (np.diff(tail.anomaly_score(np.linspace(-1, 3, 500))) >= 0).all()


def test_tail__equal_scores_are_as_common_as_all_of_them() -> None:
    tail = Tail.fit(np.concatenate([np.zeros(9_000), np.arange(1.0, 1001.0)]))
    assert tail.anomaly_score(np.array([0.0]))[0] == pytest.approx(0.0, abs=0.01)


def test_tail__refuses_too_few_scores() -> None:
    with pytest.raises(DataError, match="200"):
        Tail.fit(np.arange(50.0))


def test_tail__of_a_symmetric_score_does_not_learn_a_fault_that_lasts() -> None:
    scores = np.random.default_rng(3).normal(0, 1, 4_000)
    scores[3_200:] += 20  # a fifth of the rows to fit on
    learned = Tail.fit_return_periods(scores, 20, may_be_faults=3)
    symmetric = Tail.fit_return_periods(scores, 20, may_be_faults=3, symmetric=True)
    assert learned.anomaly_score(np.array([20.0]))[0] < 4
    assert symmetric.anomaly_score(np.array([20.0]))[0] > 8
    assert symmetric.anomaly_score(np.array([2.0]))[0] < 4


def test_tail__extrapolates_as_the_distribution_goes_on() -> None:
    rng = np.random.default_rng(4)
    tail = Tail.fit(rng.exponential(1.0, 20_000))
    expected = np.array([12.0, 15.0]) / np.log(10)  # −log10 of exp(−x)
    np.testing.assert_allclose(tail.anomaly_score(np.array([12.0, 15.0])), expected, rtol=0.15)


def test_isolated_peaks__are_those_far_above_the_rest() -> None:
    ordinary = np.linspace(3.0, 2.0, 30)
    assert isolated_peaks(ordinary, 1.0, 3) == 0
    assert isolated_peaks(np.concatenate([[9.0, 8.5], ordinary]), 1.0, 3) == 2
    assert isolated_peaks(np.concatenate([[9.0, 8.5], ordinary]), 20.0, 3) == 0
