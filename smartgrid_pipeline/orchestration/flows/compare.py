"""From a month's candidates to a decision: score them on the same rows, gather evidence, apply the rule."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from smartgrid_pipeline.core.evaluation.promotion import candidate_outcome, rule
from smartgrid_pipeline.core.evaluation.scoring import backtest, comparison
from smartgrid_pipeline.core.evaluation.scoring.metrics import ANALOGUE, mase_scales_kw, score
from smartgrid_pipeline.core.schema import MODEL_NAMES, Finding, ForecastTask, Verdict, tasks_for
from smartgrid_pipeline.orchestration.flows.train import find_training
from smartgrid_pipeline.orchestration.flows.training_context import TrainingContext, month_times
from smartgrid_pipeline.orchestration.months import in_months, months_of
from smartgrid_pipeline.orchestration.resources import Resources
from smartgrid_pipeline.registry import about_run

if TYPE_CHECKING:
    from smartgrid_pipeline.core.evaluation.scoring.comparison import Evaluation
    from smartgrid_pipeline.registry import Champion, TrackedRun

ABLATIONS = ("equal_weights", "best_expert")
"""Rows of the comparison that are no candidates: the mixture with fixed weights."""

ELIGIBLE_MODELS = (*MODEL_NAMES, "lightgbm")
"""Models that may become champion. The simple references are what a champion has to beat."""

CANDIDATE_AUDITS = ("forecasts", "leakage")
"""Suites of the two audits that every candidate needs."""

Forecasts = Mapping[str, pd.DataFrame]
"""Model name → its forecasts (``schema.FORECAST_COLUMNS``) of every month so far."""

Runs = Mapping[str, "TrackedRun"]
"""Candidate name → its training run."""


@dataclass(frozen=True)
class Comparison:
    """A month's candidates scored on the same rows, and the decision that follows.

    ``scores`` are of the month, ``all_months`` of every month so far (None in the first). ``evidence`` holds
    all verdicts that the decision rests on; those about a candidate name its run. ``champion`` is the one
    before the decision. ``validation`` is the composite CRPS on the holdout, by which the challenger was
    chosen.
    """

    month: str
    scores: "Evaluation"
    all_months: "Evaluation | None"
    runs: dict[str, "TrackedRun"]
    evidence: tuple[Verdict, ...]
    challenger: str
    decision: Verdict
    champion: "Champion | None"
    validation: Mapping[str, float]

    @property
    def candidate_outcomes(self) -> tuple[candidate_outcome.CandidateOutcome, ...]:
        """Why each candidate is, or is not, champion of the month."""
        return candidate_outcome.explain(
            self.scores.composite, self.validation, self.challenger, self.decision, self.evidence
        )

    @property
    def table(self) -> pd.DataFrame:
        """Metrics of the month: one row per forecast task and model, with the candidate's run id."""
        runs = {name: run.run_id for name, run in self.runs.items()}
        return self.scores.metrics.assign(run_id=self.scores.metrics["model"].map(runs).fillna(""))

    @property
    def failed_audits(self) -> list[Verdict]:
        """Failed audits of candidates; such a candidate cannot be promoted."""
        return [v for v in self.evidence if v.suite in CANDIDATE_AUDITS and not v.passed]

    @property
    def completeness(self) -> Verdict:
        """Whether every candidate was scored on every task and audited, and none failed the leakage audit.

        One leaking candidate makes the whole comparison worthless. Impossible forecasts are a warning here:
        they keep their own candidate from being promoted, and no other.
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
        audits = ", ".join(f"{suite} {words[passed.get(suite)]}" for suite in CANDIDATE_AUDITS)
        complete = scored == cards and "forecasts" in passed and passed.get("leakage", False)
        found = f"{scored} of {cards} cards scored, audits: {audits}"
        demanded = "scored on every card, both audits made, leakage passed"
        findings = [Finding(name, complete, found, demanded)]
        if passed.get("forecasts") is False:
            findings.append(Finding(f"forecasts of {name}", False, "audit failed", "audit passed", "warning"))
        return findings


def split_models(tables: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Forecasts by model from the tables of the assets; a table with the column ``model`` holds several."""
    found: dict[str, pd.DataFrame] = {}
    for asset, table in tables.items():
        if "model" not in table:
            found[asset] = table
            continue
        found |= {str(name): rows.drop(columns="model") for name, rows in table.groupby("model", sort=False)}
    return found


def compare(resources: Resources, context: TrainingContext, forecasts: Forecasts) -> Comparison:
    """Score every model on the month and on all months, choose the challenger and apply the promotion rule.

    Raises RegistryError when a candidate has no finished training of this month.
    """
    month, meter = context.month, context.history.meter
    runs = {name: find_training(resources, context, name) for name in forecasts if name not in ABLATIONS}
    scales = mase_scales_kw(context.history, context.split.end, tasks_for(meter.working_minutes))
    of_month = {name: table[in_months(table, [month])] for name, table in forecasts.items()}
    scores = comparison.evaluate(of_month, scales)
    all_months = comparison.evaluate(forecasts, scales) if _cover_several_months(forecasts) else None
    eligible = {name: run for name, run in runs.items() if name in ELIGIBLE_MODELS}
    validation = validation_losses(eligible, runs[ANALOGUE])
    challenger = rule.choose_challenger(validation)
    champion, problem = current_champion(resources)
    rival = None
    if champion is not None:
        rival, problem = _champion_forecasts(resources, context, champion, runs, of_month)
    verdicts = stored_verdicts(resources, context, runs)
    evidence_of_challenger = _promotion_evidence(context, of_month, challenger, champion, rival, verdicts)
    decision = rule.decide(replace(evidence_of_challenger, champion_problem=problem))
    evidence = (
        *(verdict for verdict in verdicts if verdict.suite in rule.DATA_SUITES),
        *(about for name, run in runs.items() for about in _audits_of(verdicts, name, run)),
        about_run(decision, runs[challenger].run_id),
    )
    return Comparison(month, scores, all_months, runs, evidence, challenger, decision, champion, validation)


def current_champion(resources: Resources) -> "tuple[Champion | None, str]":
    """The champion, and why it is unknown although there was a promotion: "" when nothing is wrong."""
    from smartgrid_pipeline.registry import ModelGone

    try:
        return resources.registry.champion(), ""
    except ModelGone as error:
        return None, str(error)


def validation_losses(eligible: Runs, reference: "TrackedRun") -> dict[str, float]:
    """Composite CRPS of each eligible model on the holdout before the month; the 28-day analogue is 1."""
    keys = [f"validation.{card}.crps_kw" for card in comparison.COMPOSITE_TASKS]
    base = {key: reference.metrics[key] for key in keys if key in reference.metrics}
    return {
        name: float(np.mean([run.metrics.get(key, np.nan) / value for key, value in base.items()]))
        for name, run in eligible.items()
    }


def stored_verdicts(resources: Resources, context: TrainingContext, runs: Runs) -> tuple[Verdict, ...]:
    """Every stored verdict about the training months, the month itself and the candidates."""
    months = [*context.training_data.months, context.month]
    data = [v for suite in rule.DATA_SUITES for v in resources.verdicts.read(suite, months)]
    audits = [
        verdict
        for name, run in runs.items()
        for verdict in resources.registry.evidence(run.run_id)
        if verdict.subject == name
    ]
    return (*data, *audits)


def _promotion_evidence(
    context: TrainingContext,
    of_month: Forecasts,
    challenger: str,
    champion: "Champion | None",
    rival: pd.DataFrame | None,
    verdicts: tuple[Verdict, ...],
) -> rule.PromotionEvidence:
    """All that the promotion rule is applied to; ``rival`` are the champion's forecasts of the month."""
    cards = tasks_for(context.history.meter.working_minutes)
    metrics, origins = _scores_by_card(of_month[challenger], cards)
    reference, own = of_month[ANALOGUE], of_month[challenger]
    return rule.PromotionEvidence(
        challenger=challenger,
        month=context.month,
        training_months=context.training_data.months,
        verdicts=verdicts,
        cards=cards,
        scored_origins=origins,
        metrics=metrics,
        versus_reference=comparison.paired_composite(own, reference, reference),
        champion=f"{champion.model} of {champion.month}" if champion else None,
        versus_champion=None if rival is None else comparison.paired_composite(own, rival, reference),
        calibration_error=_mean_calibration_error(metrics),
        champion_calibration_error=None
        if rival is None
        else _mean_calibration_error(_scores_by_card(rival, cards)[0]),
    )


def _champion_forecasts(
    resources: Resources, context: TrainingContext, champion: "Champion", runs: Runs, of_month: Forecasts
) -> tuple[pd.DataFrame | None, str]:
    """The champion's forecasts at this month's own origins; its stored metrics are of another month.

    Without forecasts the reason is returned with None: the model was saved by an older version of this
    software, or its files are missing or damaged.
    """
    from smartgrid_pipeline.registry import ModelUnusable

    same_run = next((name for name, run in runs.items() if run.run_id == champion.run_id), None)
    if same_run is not None:
        return of_month[same_run], ""
    try:
        forecaster = resources.registry.load(champion.run_id)
    except ModelUnusable as error:
        return None, str(error)
    return backtest.forecast_tasks(forecaster, context.history, *month_times(context.month)), ""


def _scores_by_card(
    forecasts: pd.DataFrame, cards: tuple[ForecastTask, ...]
) -> tuple[dict[str, dict[str, float]], dict[str, int]]:
    """Metrics and the number of scored origins of each task that the rule decides by."""
    scored = forecasts[forecasts["observed_kw"].notna()]
    metrics = {card.name: score(scored[scored["card"] == card.name]) for card in rule.deciding_tasks(cards)}
    return metrics, {name: int(values["n_origins"]) for name, values in metrics.items()}


def _mean_calibration_error(metrics: Mapping[str, Mapping[str, float]]) -> float:
    return float(np.mean([values["calibration_error"] for values in metrics.values()]))


def _audits_of(verdicts: tuple[Verdict, ...], name: str, run: "TrackedRun") -> list[Verdict]:
    """The audits of one candidate, stamped with its run."""
    return [
        about_run(verdict, run.run_id)
        for verdict in verdicts
        if verdict.subject == name and verdict.suite in CANDIDATE_AUDITS
    ]


def _cover_several_months(forecasts: Forecasts) -> bool:
    return len({month for table in forecasts.values() for month in np.unique(months_of(table))}) > 1
