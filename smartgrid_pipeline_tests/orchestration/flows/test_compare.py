"""The comparison of a month is complete only when its audits were made and nobody saw the future."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from smartgrid_pipeline.core.evaluation.scoring import backtest
from smartgrid_pipeline.core.evaluation.scoring.comparison import evaluate
from smartgrid_pipeline.core.forecasting.forecaster import TINY, Split, TrainingBudget
from smartgrid_pipeline.core.forecasting.history_frames import history_from_readings
from smartgrid_pipeline.core.schema import Finding, RegistryError, Verdict
from smartgrid_pipeline.orchestration import checks
from smartgrid_pipeline.orchestration.flows.compare import Comparison, compare
from smartgrid_pipeline.orchestration.flows.promote import promote_run
from smartgrid_pipeline.orchestration.flows.training_context import TrainingContext
from smartgrid_pipeline.orchestration.partitions import key_of, months, previews_accepted
from smartgrid_pipeline.orchestration.resources import VerdictFiles
from smartgrid_pipeline.registry import Example, Registry, TrackedRun
from smartgrid_pipeline_tests.conftest import HOME, make_readings
from smartgrid_pipeline_tests.core.evaluation.helpers import month_of_models
from smartgrid_pipeline_tests.orchestration.conftest import LAST, Place
from smartgrid_pipeline_tests.registry.conftest import (
    MONTH,
    evidence_for,
    migrated_folder,
    open_registry,
    trainer,
    verdict,
)

__all__ = ["migrated_folder"]

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


@dataclass(frozen=True)
class TinyResources:
    """A home with tiny models."""

    registry: Registry
    verdicts: VerdictFiles
    budget: TrainingBudget = TINY


@dataclass(frozen=True)
class UpgradedHome:
    """A home whose champion was trained by older code, and a month's candidates trained by this code."""

    resources: Any
    context: TrainingContext
    champion: TrackedRun

    def compare(self) -> Comparison:
        sds = {"gru": 0.2, "ridge": 0.3, "analogue_28d": 0.4}
        return compare(self.resources, self.context, month_of_models(sds))

    def report(self, found: Comparison) -> str:
        """Log the comparison as its report does; returns the challenger's run id."""
        compared = [run.run_id for run in found.runs.values()]
        self.resources.registry.log_report(
            month=MONTH, compared=compared, html="", metrics={}, verdicts=found.evidence
        )
        return found.runs[found.challenger].run_id


@pytest.fixture
def upgraded(tmp_path: Path, migrated_folder: Path) -> UpgradedHome:
    shutil.copy(migrated_folder / "mlflow.db", tmp_path)
    registry, verdicts = open_registry(tmp_path), VerdictFiles(tmp_path / "verdicts")
    registry.prepare()
    readings, start = make_readings(75, "2010-01-16", HOME), np.datetime64(f"{MONTH}-01", "m")
    history = history_from_readings(readings, HOME)
    context = TrainingContext(MONTH, history, Split.before(start, history.until(start)), "ab" * 32, ())
    train = trainer(registry, Example(HOME, readings[-9 * 48 :]))
    champion = train(model="gru", fingerprint="of older code")
    registry.promote(champion.run_id, evidence_for(champion), reason="the first")
    for suite in ("readings", "features"):
        for month in (*context.training_data.months, MONTH):
            verdicts.write(verdict(suite, month))
    for name, crps in {"gru": 0.5, "ridge": 0.6, "analogue_28d": 1.0}.items():
        train(
            model=name,
            fingerprint=context.fingerprint(name, TINY),
            data=context.training_data,
            metrics={f"validation.{card}.crps_kw": crps for card in ("T1", "T2", "T3", "T4")},
            verdicts=[verdict(suite, name) for suite in ("forecasts", "leakage")],
        )
    return UpgradedHome(TinyResources(registry, verdicts), context, champion)


def delete_version(home: UpgradedHome) -> None:
    registry = home.resources.registry
    registry.connection.client.delete_model_version(registry.model_name, "1")


def save_in_older_format(home: UpgradedHome) -> None:
    folder = home.resources.registry.model_directory(home.champion.run_id)
    (folder / "tiny.json").write_text('{"an older": "format"}')


def delete_files(home: UpgradedHome) -> None:
    shutil.rmtree(home.resources.registry.model_directory(home.champion.run_id))


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (save_in_older_format, "champion gru of 2010-03 cannot be loaded: The model of run"),
        (delete_files, "champion gru of 2010-03 cannot be loaded: The model files of run"),
        (delete_version, "version 1, was deleted"),
    ],
)
def test_champion_that_cannot_be_loaded__is_not_compared_and_replaced(
    upgraded: UpgradedHome, spoil: Any, problem: str
) -> None:
    spoil(upgraded)
    found = upgraded.compare()
    assert found.decision.passed, found.decision.summary()
    (warning,) = found.decision.failures
    assert (warning.rule, warning.severity) == ("beats or equals the champion", "warning")
    assert problem in warning.found and "it was not compared" in warning.found
    (reason,) = [each.reason for each in found.candidate_outcomes if each.outcome == "champion"]
    assert problem in reason and "met all" not in reason
    challenger = upgraded.report(found)
    assert promote_run(upgraded.resources, challenger, "after the upgrade").changed
    rows = upgraded.resources.registry.ledger()
    assert [(row.run_id, row.reason) for row in rows] == [
        (upgraded.champion.run_id, "the first"),
        (challenger, "after the upgrade"),
    ]


def test_champion_that_loads__is_compared(upgraded: UpgradedHome, monkeypatch: pytest.MonkeyPatch) -> None:
    its = month_of_models({"gru": 0.2, "champion": 0.35})["champion"]
    monkeypatch.setattr(backtest, "forecast_tasks", lambda *_: its)
    (finding,) = [f for f in upgraded.compare().decision.findings if f.rule == "beats or equals the champion"]
    assert finding.severity == "critical" and "composite CRPS" in finding.found


def test_challenger_of_an_unloadable_champion__must_still_beat_the_analogue(upgraded: UpgradedHome) -> None:
    save_in_older_format(upgraded)
    sds = {"gru": 0.6, "ridge": 0.7, "analogue_28d": 0.4}
    decision = compare(upgraded.resources, upgraded.context, month_of_models(sds)).decision
    assert not decision.passed
    assert "beats the seasonal analogue" in {finding.rule for finding in decision.failures}


def test_registry_that_fails__is_no_reason_to_skip_the_champion(
    upgraded: UpgradedHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(run_id: str) -> None:
        raise RegistryError("the database is locked")

    monkeypatch.setattr(upgraded.resources.registry, "load", locked)
    with pytest.raises(RegistryError, match="locked"):
        upgraded.compare()
