import numpy as np
import pytest

from benchmarks.anomaly.metrics import Scored, area, vus_pr, wilson

RNG = np.random.default_rng(0)


def around(inside_score: float | None, rows: int = 60) -> Scored:
    inside = np.zeros(rows, bool)
    inside[25:35] = True
    scores = RNG.random(rows)
    return Scored(np.where(inside, inside_score, scores) if inside_score is not None else scores, inside)


def test_wilson__hand_values() -> None:
    low, high = wilson(10, 10)
    assert (round(low, 4), high) == (0.7225, 1.0)
    low, high = wilson(5, 10)
    assert (round(low, 4), round(high, 4)) == (0.2366, 0.7634)
    assert wilson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize("prevalence", [0.0005, 0.05, 0.3])
def test_area__perfect_is_one_and_random_is_the_prevalence(prevalence: float) -> None:
    normal = RNG.random(50_000)
    assert area(normal, [around(2.0) for _ in range(5)], 0, prevalence) == pytest.approx(1.0)
    assert vus_pr(normal, [around(2.0) for _ in range(5)], 12, prevalence) == pytest.approx(1.0)
    chance = area(normal, [around(None) for _ in range(200)], 0, prevalence)
    assert chance == pytest.approx(prevalence, rel=0.25)


def test_area__constant_score_is_the_prevalence() -> None:
    inside = np.zeros(60, bool)
    inside[25:35] = True
    assert area(np.ones(1000), [Scored(np.ones(60), inside)], 0, 0.05) == pytest.approx(0.05)


def test_area__half_of_the_events_by_hand() -> None:
    events = [around(2.0), around(-1.0)]  # the second is scored below everything
    found = area(RNG.random(1000), events, 0, 0.05)
    # recall 1/2 rows times 1/2 events at precision 1, the rest at precision 0.05
    assert found == pytest.approx(0.25 + 0.75 * 0.05, abs=0.01)


def test_area__cares_only_about_the_order() -> None:
    normal = RNG.random(5_000)
    events = [around(0.9), around(0.99), around(None)]
    stretched = [Scored(np.exp(5 * e.scores), e.inside) for e in events]
    assert area(normal, events) == pytest.approx(area(np.exp(5 * normal), stretched))


def test_area__better_scores_have_more() -> None:
    normal = RNG.random(5_000)
    areas = [area(normal, [around(level) for _ in range(5)]) for level in (0.9, 0.99, 0.999)]
    assert areas == sorted(areas) and areas[0] < areas[-1]
