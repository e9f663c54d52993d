import pandas as pd
import pytest

from smartgrid_pipeline.core.evaluation.promotion import candidate_outcome
from smartgrid_pipeline.core.schema import Finding, Verdict

NOW = pd.Series({"gru": 0.60, "ridge": 0.70, "extra_trees": 0.75, "persistence": 1.1})
BEFORE = {"extra_trees": 0.50, "gru": 0.55, "ridge": 0.60}
MET = Finding("beats the seasonal analogue", True, "-20 %", "lower")
MISSED = Finding("beats or equals the champion", False, "+3.00 %", "lower CRPS")


def explained(verdict: Verdict, *verdicts: Verdict) -> dict[str, candidate_outcome.CandidateOutcome]:
    lines = candidate_outcome.explain(NOW, BEFORE, "extra_trees", verdict, verdicts)
    assert [line.model for line in lines] == ["gru", "ridge", "extra_trees"]
    return {line.model: line for line in lines}


def test_champion__that_was_not_best_on_the_month_is_explained() -> None:
    lines = explained(Verdict("promotion", "extra_trees on 2010-10", (MET,)))
    assert (lines["extra_trees"].outcome, lines["extra_trees"].rank) == ("champion", 3)
    assert "lowest CRPS of the 3 candidates before the month" in lines["extra_trees"].reason
    assert lines["gru"].outcome == "not put forward"
    said = candidate_outcome.headline(list(lines.values()))
    assert said.startswith("GRU did best on the month and is not promoted: ")
    assert "10.0 % above that of Extra trees" in said


def test_refusal__names_the_demands_that_were_not_met() -> None:
    line = explained(Verdict("promotion", "extra_trees on 2010-10", (MET, MISSED)))["extra_trees"]
    assert line.outcome == "refused"
    assert "refused because “beats or equals the champion” is not met: found +3.00 %" in line.reason
    assert "seasonal analogue" not in line.reason


def test_failed_audit__is_told_of_a_candidate_nobody_put_forward() -> None:
    leak = Finding("forecasts do not change", False, "2 of 2 origins changed", "0 changed")
    audit = Verdict("leakage", "gru 4f2a", (leak,))
    line = explained(Verdict("promotion", "extra_trees", (MET,)), audit)["gru"]
    assert "it would be refused, because its audit of leakage failed" in line.reason
    assert "2 of 2 origins changed" in line.reason


@pytest.mark.parametrize(("finding", "outcome"), [(MET, "champion"), (MISSED, "refused")])
def test_headline__says_nothing_when_the_best_was_put_forward(finding: Finding, outcome: str) -> None:
    lines = candidate_outcome.explain(
        NOW, {"gru": 0.5, "ridge": 0.6}, "gru", Verdict("promotion", "gru", (finding,))
    )
    assert lines[0].outcome == outcome and candidate_outcome.headline(lines) == ""
