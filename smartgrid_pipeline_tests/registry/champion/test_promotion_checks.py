import pytest

from smartgrid_pipeline.core.schema import PromotionRefused, Verdict
from smartgrid_pipeline.registry import about_run
from smartgrid_pipeline.registry.champion import promotion_checks
from smartgrid_pipeline_tests.registry.conftest import MONTH, verdict

GOOD = [
    *(verdict(suite, month) for suite in ("readings", "features") for month in ("2010-01", "2010-02", MONTH)),
    *(verdict(suite, f"tiny on {MONTH} feed") for suite in ("forecasts", "leakage", "promotion")),
]
MONTHS = ("2010-01", "2010-02", MONTH)


@pytest.mark.parametrize("position", range(len(GOOD)))
def test_evidence__needs_each_piece_present_passed_and_not_empty(position: int) -> None:
    assert promotion_checks.missing(GOOD, "feed", MONTHS) == []
    piece, rest = GOOD[position], [*GOOD[:position], *GOOD[position + 1 :]]
    for spoiled in (
        rest,
        [*rest, Verdict(piece.suite, piece.subject)],
        [*GOOD, verdict(piece.suite, piece.subject, False)],
    ):
        problems = promotion_checks.missing(spoiled, "feed", MONTHS)
        assert len(problems) == 1 and piece.suite in problems[0]


def test_evidence__counts_failed_verdicts_of_suites_not_demanded() -> None:
    assert promotion_checks.missing([*GOOD, verdict("drift", MONTH, False)], "feed", MONTHS) != []
    assert promotion_checks.missing([*GOOD, verdict("drift", "2009-01", False)], "feed", MONTHS) == []


def test_refusal__lists_every_problem() -> None:
    class Run:
        model, month, run_id = "gru", "2010-02", "run1"

    error = promotion_checks.refusal(Run(), ["no verdict", "too old"])  # type: ignore[arg-type]
    assert isinstance(error, PromotionRefused) and "- no verdict\n- too old" in str(error)


def test_about_run__keeps_the_verdict() -> None:
    stamped = about_run(verdict("leakage", "ridge", False), "abc")
    assert stamped.subject == "ridge abc" and not stamped.passed
