"""The comparison of a month is complete only when its audits were made and nobody saw the future."""

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg
import pandas as pd
import pytest

from smartgrid_pipeline.core.evaluation.scoring.comparison import evaluate
from smartgrid_pipeline.core.schema import Finding, Verdict
from smartgrid_pipeline.orchestration import checks
from smartgrid_pipeline.orchestration.flows.compare import Comparison
from smartgrid_pipeline.orchestration.partitions import key_of, months, previews_accepted
from smartgrid_pipeline.registry import TrackedRun
from smartgrid_pipeline_tests.core.evaluation.helpers import month_of_models
from smartgrid_pipeline_tests.orchestration.conftest import LAST, Place

RUNS = {
    name: TrackedRun(f"run-of-{name}", "1", "training", name, LAST, "f", "FINISHED", datetime.now(UTC))
    for name in ("gru", "ridge")
}


def audit(suite: str, name: str, passed: bool = True) -> Verdict:
    return Verdict(suite, f"{name} run-of-{name}", (Finding("is right", passed, "found", "right"),))


SOUND = tuple(audit(suite, name) for name in RUNS for suite in ("forecasts", "leakage"))


def compared(*evidence: Verdict) -> Comparison:
    scores = evaluate(month_of_models({"gru": 0.2, "ridge": 0.3, "analogue_28d": 0.4}, days=6))
    decision = Verdict("promotion", "gru", (Finding("is better", True, "-20 %", "lower"),))
    return Comparison(LAST, scores, None, RUNS, evidence, "gru", decision, None, {"gru": 0.5, "ridge": 0.6})


def test_comparison__is_complete_with_every_audit_passed() -> None:
    assert compared(*SOUND).completeness.passed


@pytest.mark.parametrize("name", RUNS)
def test_comparison__with_a_failed_leakage_audit_is_not_complete(name: str) -> None:
    evidence = [v for v in SOUND if v.subject.split()[0] != name]
    verdict = compared(*evidence, audit("forecasts", name), audit("leakage", name, False)).completeness
    assert not verdict.passed
    (failure,) = verdict.failures
    assert failure.rule == name and "forecasts passed, leakage failed" in failure.found


def test_comparison__lacking_an_audit_is_not_complete() -> None:
    (failure,) = compared(*SOUND[:-1]).completeness.failures
    assert failure.rule == "ridge" and "leakage missing" in failure.found


def test_impossible_forecasts_of_one_candidate__are_told_and_hold_up_nobody_else() -> None:
    evidence = (audit("forecasts", "gru", False), *SOUND[1:])
    verdict = compared(*evidence).completeness
    assert verdict.passed and [f.rule for f in verdict.failures] == ["forecasts of gru"]


def test_failed_check__keeps_the_report_from_being_published(place: Place) -> None:
    """What making the metadata would publish is not published either."""
    made: list[str] = []

    def publish() -> dict[str, str]:
        made.append("report")
        return {"report": "page"}

    partitions = months("2010-01")
    with previews_accepted():
        spec = checks.specs(partitions)["evidence_is_complete"]

        @dg.asset(partitions_def=partitions, check_specs=[spec])
        def comparison_report(context: dg.AssetExecutionContext) -> Iterator[object]:
            verdict = compared(*SOUND[:last]).completeness
            frame = pd.DataFrame({"month": [LAST]})
            audits = {"evidence_is_complete": [verdict]}
            yield from checks.publish_if_passed(context, place.resources, audits, frame, publish)

    def run() -> bool:
        return dg.materialize([comparison_report], partition_key=key_of(LAST), raise_on_error=False).success

    last = -1
    assert not run() and made == []
    last = len(SOUND)
    assert run() and made == ["report"]
