"""From a month's candidates to a decision: score them together, gather evidence, ask the rule."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from smartgrid_pipeline.core.evaluation.promotion import candidacy, rule
from smartgrid_pipeline.core.evaluation.scoring import backtest, comparison
from smartgrid_pipeline.core.evaluation.scoring.metrics import ANALOGUE, mase_scales_kw, score
from smartgrid_pipeline.core.features.feature_table import names as feature_names
from smartgrid_pipeline.core.schema import MODEL_NAMES, Finding, ForecastTask, Verdict, tasks_for
from smartgrid_pipeline.orchestration.files import write_atomically
from smartgrid_pipeline.orchestration.flows.train import TrainingContext, find_trained, month_times
from smartgrid_pipeline.orchestration.io_manager import in_months
from smartgrid_pipeline.orchestration.resources import Resources
from smartgrid_pipeline.registry import about_run

if TYPE_CHECKING:
    from smartgrid_pipeline.core.evaluation.scoring.comparison import Evaluation
    from smartgrid_pipeline.registry import Champion, Promotion, TrackedRun

VARIANTS = ("equal_weights", "best_expert")
"""Rows of the comparison that are not candidates: the mixture's experts under fixed weights."""

CONTENDERS = (*MODEL_NAMES, "lightgbm")
"""Who may become champion; the simple references are what a champion has to beat."""

Forecasts = Mapping[str, pd.DataFrame]
"""Model name → its forecasts of every month judged so far."""


@dataclass(frozen=True)
class Comparison:
    """A month's candidates scored on the same rows, and what follows.

    ``scores`` of the month, ``span`` of all months judged; ``runs`` by candidate; ``evidence`` all verdicts
    the decision rests on, those about a candidate naming its run; ``champion`` who answered before;
    ``validation`` the losses that the challenger was chosen by.
    """

    month: str
    scores: "Evaluation"
    span: "Evaluation | None"
    runs: dict[str, "TrackedRun"]
    evidence: tuple[Verdict, ...]
    challenger: str
    decision: Verdict
    champion: "Champion | None"
    validation: Mapping[str, float]

    @property
    def candidacies(self) -> tuple[candidacy.Candidacy, ...]:
        """Why each candidate is, or is not, champion of the month."""
        return candidacy.explain(
            self.scores.composite, self.validation, self.challenger, self.decision, self.evidence
        )

    @property
    def table(self) -> pd.DataFrame:
        """Metrics of the month, one row per card and model, with each candidate's tracking run."""
        runs = {name: run.run_id for name, run in self.runs.items()}
        return self.scores.metrics.assign(run_id=self.scores.metrics["model"].map(runs).fillna(""))

    @property
    def failed_audits(self) -> list[Verdict]:
        """Audits of candidates that did not pass; such a candidate cannot be promoted."""
        return [v for v in self.evidence if v.suite in ("forecasts", "leakage") and not v.passed]

    @property
    def completeness(self) -> Verdict:
        """Whether every candidate was tracked, audited and scored on every card, and none saw the future.

        A leak makes a comparison worthless, whoever leaks. Forecasts that fail their own audit are told and
        keep their candidate from being promoted, but hold up nobody else.
        """
        findings = [finding for name in self.runs for finding in self._completeness_of(name)]
        return Verdict("comparison", self.month, tuple(findings))

    def _completeness_of(self, name: str) -> list[Finding]:
        rows = self.scores.metrics[self.scores.metrics["model"] == name]
        scored, cards = int((rows["n_scored"] > 0).sum()), len(self.scores.cards)
        about = [v for v in self.evidence if self.runs[name].run_id in v.subject.split()]
        passed = {
            suite: all(v.passed for v in about if v.suite == suite) for suite in {v.suite for v in about}
        }
        words = {True: "passed", False: "failed", None: "missing"}
        audits = ", ".join(f"{suite} {words[passed.get(suite)]}" for suite in ("forecasts", "leakage"))
        whole = scored == cards and "forecasts" in passed and passed.get("leakage", False)
        found = f"{scored} of {cards} cards scored, audits: {audits}"
        demanded = "scored on every card, both audits made, leakage passed"
        findings = [Finding(name, whole, found, demanded)]
        if passed.get("forecasts") is False:
            findings.append(Finding(f"forecasts of {name}", False, "audit failed", "audit passed", "warning"))
        return findings


def split_models(tables: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Forecasts by model from the assets' tables; a table with the column ``model`` holds several."""
    found: dict[str, pd.DataFrame] = {}
    for asset, table in tables.items():
        if "model" not in table:
            found[asset] = table
            continue
        found |= {str(name): rows.drop(columns="model") for name, rows in table.groupby("model", sort=False)}
    return found


def compare(resources: Resources, occasion: TrainingContext, forecasts: Forecasts) -> Comparison:
    """Score every model on the month and on all months, choose the challenger and put it to the rule."""
    registry, month, meter = resources.registry, occasion.month, occasion.history.meter
    candidates = [name for name in forecasts if name not in VARIANTS]
    runs = {name: find_trained(resources, occasion, name) for name in candidates}
    scales = mase_scales_kw(occasion.history, occasion.split.end, tasks_for(meter.working_minutes))
    now = {name: table[in_months(table, [month])] for name, table in forecasts.items()}
    several = len({each for table in forecasts.values() for each in _months(table)}) > 1
    scores = comparison.evaluate(now, scales)
    span = comparison.evaluate(forecasts, scales) if several else None
    contenders = {name: run for name, run in runs.items() if name in CONTENDERS}
    losses = validation_losses(contenders, runs[ANALOGUE])
    challenger = rule.choose_challenger(losses)
    champion = registry.champion()
    verdicts = gather(resources, occasion, runs)
    decision = rule.decide(_evidence(resources, occasion, now, runs, challenger, champion, verdicts))
    about = tuple(v for name, run in runs.items() for v in _about(verdicts, name, run))
    data = tuple(v for v in verdicts if v.suite in rule.DATA_SUITES)
    stamped = about_run(decision, runs[challenger].run_id)
    evidence = (*data, *about, stamped)
    return Comparison(month, scores, span, runs, evidence, challenger, decision, champion, losses)


def validation_losses(contenders: Mapping[str, "TrackedRun"], analogue: "TrackedRun") -> dict[str, float]:
    """Composite CRPS of each contender on the block before the month, the 28-day analogue being 1."""
    keys = [f"validation.{card}.crps_kw" for card in comparison.COMPOSITE_TASKS]
    base = {key: analogue.metrics[key] for key in keys if key in analogue.metrics}
    return {
        name: float(np.mean([run.metrics.get(key, np.nan) / value for key, value in base.items()]))
        for name, run in contenders.items()
    }


def gather(
    resources: Resources, occasion: TrainingContext, runs: Mapping[str, "TrackedRun"]
) -> tuple[Verdict, ...]:
    """Every verdict on file about the training window, the month and the candidates."""
    months = [*occasion.identity.months, occasion.month]
    data = [v for suite in rule.DATA_SUITES for v in resources.verdicts.read(suite, months)]
    audits = [
        verdict
        for name, run in runs.items()
        for verdict in resources.registry.evidence(run.run_id)
        if verdict.subject == name
    ]
    return (*data, *audits)


def _evidence(
    resources: Resources,
    occasion: TrainingContext,
    now: Forecasts,
    runs: Mapping[str, "TrackedRun"],
    challenger: str,
    champion: "Champion | None",
    verdicts: tuple[Verdict, ...],
) -> rule.PromotionEvidence:
    cards = tasks_for(occasion.history.meter.working_minutes)
    metrics, origins = _scores_by_card(now[challenger], cards)
    rival = _forecasts_of(resources, occasion, champion, runs, now) if champion else None
    test = comparison.paired_composite(now[challenger], rival, now[ANALOGUE]) if rival is not None else None
    return rule.PromotionEvidence(
        challenger=challenger,
        month=occasion.month,
        training_months=occasion.identity.months,
        verdicts=verdicts,
        declared_features=feature_names(occasion.history.meter),
        used_features=tuple(runs[challenger].tags.get("features", "").split(",")),
        cards=cards,
        scored_origins=origins,
        metrics=metrics,
        versus_analogue=_against_analogue(now, challenger),
        champion=f"{champion.model} of {champion.month}" if champion else None,
        versus_champion=test,
        calibration_error=_calibration(metrics),
        champion_calibration_error=None if rival is None else _calibration(_scores_by_card(rival, cards)[0]),
    )


def _against_analogue(now: Forecasts, challenger: str) -> comparison.PairedTest | None:
    return comparison.paired_composite(now[challenger], now[ANALOGUE], now[ANALOGUE])


def _forecasts_of(
    resources: Resources,
    occasion: TrainingContext,
    champion: "Champion",
    runs: Mapping[str, "TrackedRun"],
    now: Forecasts,
) -> pd.DataFrame:
    """The incumbent scored again on the month's own origins; never its stored metrics of another month."""
    same = next((name for name, run in runs.items() if run.run_id == champion.run_id), None)
    if same is not None:
        return now[same]
    forecaster = resources.registry.load(champion.run_id)
    return backtest.forecast_tasks(forecaster, occasion.history, *month_times(occasion.month))


def _scores_by_card(
    forecasts: pd.DataFrame, cards: tuple[ForecastTask, ...]
) -> tuple[dict[str, dict[str, float]], dict[str, int]]:
    scored = forecasts[forecasts["observed_kw"].notna()]
    metrics = {card.name: score(scored[scored["card"] == card.name]) for card in rule.deciding_tasks(cards)}
    return metrics, {name: int(values["n_origins"]) for name, values in metrics.items()}


def _calibration(metrics: Mapping[str, Mapping[str, float]]) -> float:
    return float(np.mean([values["calibration_error"] for values in metrics.values()]))


def _about(verdicts: tuple[Verdict, ...], name: str, run: "TrackedRun") -> list[Verdict]:
    return [
        about_run(verdict, run.run_id)
        for verdict in verdicts
        if verdict.subject == name and verdict.suite in ("forecasts", "leakage")
    ]


def _months(table: pd.DataFrame) -> list[str]:
    return [str(month) for month in table["origin"].dt.strftime("%Y-%m").unique()]


def settle(resources: Resources, month: str, reason: str) -> "tuple[Promotion | None, str]":
    """Promote the month's challenger when its evidence allows it; otherwise the champion stays, with the why.

    A refusal is an outcome, not a failure: it is returned as text. Raises RegistryError.
    """
    summary = read_summary(resources, month)
    run_id, registry = summary["challenger_run_id"], resources.registry
    registry.register_challenger(run_id)
    from smartgrid_pipeline.core.schema import PromotionRefused

    try:
        promotion_done = registry.promote(run_id, registry.evidence(run_id), month=month, reason=reason)
    except PromotionRefused as refusal:
        return None, str(refusal)
    row = promotion_done.row
    what = "is champion now" if promotion_done.changed else "was champion already"
    return promotion_done, f"{row.model} of {row.month} {what} (version {row.to_version})"


def promote_with_logged_evidence(resources: Resources, run_id: str, reason: str) -> "Promotion":
    """Promote any tracked candidate on the verdicts logged with it.

    Raises PromotionRefused; the registry is then as it was, the month's challenger included.
    """
    registry = resources.registry
    return registry.promote(run_id, registry.evidence(run_id), reason=reason, despite_rollback=True)


def summary_path(resources: Resources, month: str) -> Path:
    """Where a month's numbers are kept for the command line."""
    return resources.settings.data_dir / "reports" / month / "summary.json"


def is_published(resources: Resources, month: str) -> bool:
    """Whether the month's comparison is on disk and its tracking run still there."""
    path = summary_path(resources, month)
    if not path.exists():
        return False
    reports = resources.registry.runs(month=month, run_type="report")
    return json.loads(path.read_text())["report_run_id"] in {run.run_id for run in reports}


def read_summary(resources: Resources, month: str) -> dict[str, Any]:
    """The month's numbers as written by its comparison. Raises DataError when there are none."""
    from smartgrid_pipeline.core.schema import DataError

    path = summary_path(resources, month)
    if not path.exists():
        raise DataError(f"{month} has no comparison yet: materialise comparison_report for it first.")
    return dict(json.loads(path.read_text()))


def write_summary(resources: Resources, month: str, summary: Mapping[str, Any]) -> Path:
    """Keep a month's numbers."""
    path = summary_path(resources, month)
    write_atomically(path, json.dumps(summary, indent=1, default=str).encode())
    return path
