from dataclasses import replace
from typing import Any

import pytest

from smartgrid_pipeline.core.evaluation.promotion import rule
from smartgrid_pipeline.core.evaluation.promotion.rule import PromotionEvidence
from smartgrid_pipeline.core.evaluation.scoring.comparison import PairedTest
from smartgrid_pipeline.core.schema import Finding, PromotionRefused, Verdict, tasks_for

MONTHS = ("2010-07", "2010-08", "2010-09")
DECIDING = ("T1", "T2", "T3", "T4")


def _verdict(suite: str, subject: str, passed: bool = True) -> Verdict:
    return Verdict(suite, subject, (Finding("rows", passed, "12", "at least 1"),))


def _test(difference: float, low: float, high: float, p: float, n_blocks: int = 8) -> PairedTest:
    return PairedTest("composite", "crps", difference, low, high, p, 31, 4, n_blocks, difference, p)


BETTER, EQUAL, WORSE = _test(-5, -7, -3, 0.001), _test(0.1, -0.3, 0.4, 0.7), _test(4, 2, 6, 0.001)

VERDICTS = (
    *(_verdict(suite, month) for suite in ("readings", "features") for month in (*MONTHS, "2010-10")),
    _verdict("forecasts", "gru"),
    _verdict("leakage", "gru"),
)

COMPLETE = PromotionEvidence(
    challenger="gru",
    month="2010-10",
    training_months=MONTHS,
    verdicts=VERDICTS,
    cards=tasks_for(5),
    scored_origins={"T1": 8928, "T2": 744, "T3": 31, "T4": 31},
    metrics={card: dict.fromkeys(rule.REQUIRED_METRICS, 0.5) for card in DECIDING},
    versus_reference=BETTER,
    champion="lightgbm",
    versus_champion=BETTER,
    calibration_error=0.02,
    champion_calibration_error=0.03,
)


def test_promotion__is_granted_on_complete_evidence() -> None:
    verdict = rule.decide(COMPLETE)
    assert verdict.passed, verdict.summary()
    assert verdict.suite == "promotion" and "gru" in verdict.subject.split()


def test_promotion__of_the_first_champion_needs_no_rival() -> None:
    assert rule.decide(replace(COMPLETE, champion=None, versus_champion=None)).passed


def _without(suite: str, subject: str) -> tuple[Verdict, ...]:
    return tuple(v for v in VERDICTS if (v.suite, v.subject) != (suite, subject))


def _failing(suite: str, subject: str) -> tuple[Verdict, ...]:
    return (*_without(suite, subject), _verdict(suite, subject, passed=False))


def _scores(card: str, metric: str, value: float | None) -> dict[str, dict[str, float]]:
    metrics = {name: dict(values) for name, values in COMPLETE.metrics.items()}
    if value is None:
        del metrics[card][metric]
    else:
        metrics[card][metric] = value
    return metrics


REFUSALS: dict[str, dict[str, Any]] = {
    "no verdict of a training month": {"verdicts": _without("readings", "2010-08")},
    "no verdict of the judged month": {"verdicts": _without("features", "2010-10")},
    "failed readings of a training month": {"verdicts": _failing("readings", "2010-07")},
    "failed features of the judged month": {"verdicts": _failing("features", "2010-10")},
    "passed once and failed later": {"verdicts": (*VERDICTS, _verdict("readings", "2010-10", passed=False))},
    "a verdict without findings": {"verdicts": (*_without("leakage", "gru"), Verdict("leakage", "gru"))},
    "no training months": {"training_months": ()},
    "no forecast verdict": {"verdicts": _without("forecasts", "gru")},
    "failed forecast verdict": {"verdicts": _failing("forecasts", "gru")},
    "no leakage audit": {"verdicts": _without("leakage", "gru")},
    "failed leakage audit": {"verdicts": _failing("leakage", "gru")},
    "another model's leakage audit": {
        "verdicts": (*_without("leakage", "gru"), _verdict("leakage", "gru_2"))
    },
    "too few origins": {"scored_origins": {**COMPLETE.scored_origins, "T3": 13}},
    "origins not counted": {"scored_origins": {}},
    "a missing metric": {"metrics": _scores("T2", "crps_kw", None)},
    "an undefined metric": {"metrics": _scores("T4", "r2", float("nan"))},
    "an infinite metric": {"metrics": _scores("T1", "mae_kw", float("inf"))},
    "no metrics": {"metrics": {}},
    "no deciding cards": {"cards": ()},
    "no test against the analogue": {"versus_reference": None},
    "not better than the analogue": {"versus_reference": EQUAL},
    "worse than the analogue": {"versus_reference": WORSE},
    "better by too few blocks": {"versus_reference": _test(-5, -7, -3, 0.001, n_blocks=3)},
    "no test against the champion": {"versus_champion": None},
    "a test without a champion": {"champion": None},
    "worse than the champion": {"versus_champion": WORSE},
    "perhaps inferior": {"versus_champion": _test(0.1, -0.4, 0.6, 0.7)},
    "equal and worse calibrated": {"versus_champion": EQUAL, "calibration_error": 0.04},
    "equal, calibration unknown": {"versus_champion": EQUAL, "champion_calibration_error": None},
    "equal, own calibration undefined": {"versus_champion": EQUAL, "calibration_error": float("nan")},
    "a test that could not be computed": {"versus_champion": _test(*[float("nan")] * 4)},
}


@pytest.mark.parametrize("change", REFUSALS.values(), ids=REFUSALS.keys())
def test_promotion__is_refused(change: dict[str, Any]) -> None:
    verdict = rule.decide(replace(COMPLETE, **change))
    assert not verdict.passed
    assert len(verdict.failures) >= 1
    assert "FAILED" in verdict.summary()


def test_promotion__is_granted_to_an_equal_that_is_better_calibrated() -> None:
    assert rule.decide(replace(COMPLETE, versus_champion=EQUAL)).passed


def test_promotion__accepts_audits_that_also_name_their_run() -> None:
    verdicts = tuple(replace(v, subject=f"{v.subject} 4f2a") if v.subject == "gru" else v for v in VERDICTS)
    assert rule.decide(replace(COMPLETE, verdicts=verdicts)).passed


def test_promotion__of_a_coarse_meter_asks_for_its_cards_only() -> None:
    verdict = rule.decide(replace(COMPLETE, cards=tasks_for(30)))
    assert verdict.passed
    assert not any("T1" in finding.rule or "T3" in finding.rule for finding in verdict.findings)


def test_challenger__is_the_best_before_the_month() -> None:
    assert rule.choose_challenger({"gru": 0.31, "ridge": 0.30, "lightgbm": 0.305}) == "ridge"
    assert rule.choose_challenger({"ridge": 0.3, "gru": 0.3}) == "gru"


@pytest.mark.parametrize("scores", [{}, {"gru": 0.3, "ridge": float("nan")}])
def test_challenger__is_not_chosen_from_gaps(scores: dict[str, float]) -> None:
    with pytest.raises(PromotionRefused, match="No challenger"):
        rule.choose_challenger(scores)
