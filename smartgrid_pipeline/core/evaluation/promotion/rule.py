"""The rule of promotion: evidence in, verdict out. Missing evidence is a failed finding."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from smartgrid_pipeline.core.evaluation.scoring.comparison import COMPOSITE_TASKS, SIGNIFICANCE, PairedTest
from smartgrid_pipeline.core.schema import Finding, ForecastTask, PromotionRefused, Verdict

SUITE = "promotion"

DATA_SUITES = ("readings", "features")
"""Suites demanded of every month of the training window and of the evaluated month (subject: the month)."""

REQUIRED_METRICS = ("rmse_kw", "mae_kw", "wape_percent", "r2", "crps_kw", "coverage_80", "width_80_kw")
"""Metrics that the challenger must have, finite, on every deciding task."""

MIN_SCORED_DAYS = 14
"""Days of scored origins that a task needs at least."""

NON_INFERIORITY_PERCENT = 0.5


@dataclass(frozen=True)
class PromotionEvidence:
    """The evidence on which a challenger is promoted or refused.

    ``verdicts`` hold the data verdicts (suites of DATA_SUITES, subject = month) and those of the challenger's
    forecasts (suite "forecasts") and leakage audit (suite "leakage"), which name the challenger in their
    subject. ``cards`` are the meter's tasks; ``metrics`` and ``scored_origins`` are by task name;
    ``calibration_error`` is the mean over the deciding tasks. The tests compare the challenger's composite
    loss with that of the 28-day analogue and of the champion, scored again on the same origins. ``champion``
    is None when there is none yet. ``champion_problem`` says why the champion cannot be loaded, "" when it
    can. A champion that cannot be loaded is not compared, which is a warning.
    """

    challenger: str
    month: str
    training_months: tuple[str, ...]
    verdicts: tuple[Verdict, ...]
    cards: tuple[ForecastTask, ...]
    scored_origins: Mapping[str, int] = field(default_factory=dict)
    metrics: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    versus_reference: PairedTest | None = None
    champion: str | None = None
    versus_champion: PairedTest | None = None
    calibration_error: float | None = None
    champion_calibration_error: float | None = None
    champion_problem: str = ""


def decide(evidence: PromotionEvidence) -> Verdict:
    """May the challenger become champion? Passed only when every finding passed."""
    findings = (
        *_data_findings(evidence),
        _verdict_finding(evidence, "forecasts", evidence.challenger),
        _verdict_finding(evidence, "leakage", evidence.challenger),
        *_score_findings(evidence),
        _reference_finding(evidence.versus_reference),
        _champion_finding(evidence),
    )
    return Verdict(SUITE, f"{evidence.challenger} on {evidence.month}", findings)


def choose_challenger(validation_crps: Mapping[str, float]) -> str:
    """The candidate with the lowest CRPS on the block before the evaluated month; ties go by name.

    The evaluated month does not enter, so that its test stays out of sample. Raises PromotionRefused when
    there is no candidate, or one has no finite score.
    """
    bad = sorted(name for name, crps in validation_crps.items() if not np.isfinite(crps))
    if bad or not validation_crps:
        raise PromotionRefused(
            f"No challenger can be chosen: found {len(validation_crps)} candidates, without a finite "
            f"validation CRPS {bad or 'none'}. Train the missing ones again, or leave them out knowingly."
        )
    return min(validation_crps, key=lambda name: (validation_crps[name], name))


def deciding_tasks(tasks: tuple[ForecastTask, ...]) -> tuple[ForecastTask, ...]:
    """Those of a meter's tasks that decide a promotion."""
    return tuple(task for task in tasks if task.name in COMPOSITE_TASKS)


def _data_findings(evidence: PromotionEvidence) -> tuple[Finding, ...]:
    """One finding per data suite: every month present and passed."""
    months = (*evidence.training_months, evidence.month)
    findings = []
    for suite in DATA_SUITES:
        passed = {v.subject for v in evidence.verdicts if v.suite == suite and v.passed}
        failed = {v.subject for v in evidence.verdicts if v.suite == suite and not v.passed}
        good = [month for month in months if month in passed and month not in failed]
        bad = [month for month in months if month not in good]
        found = f"{len(good)} of {len(months)} months passed" + (f"; not {', '.join(bad[:6])}" if bad else "")
        demanded = f"all {len(months)} months, training window and evaluated month"
        findings.append(
            Finding(f"quality of the {suite}", not bad and bool(evidence.training_months), found, demanded)
        )
    return tuple(findings)


def _verdict_finding(evidence: PromotionEvidence, suite: str, subject: str) -> Finding:
    matching = [v for v in evidence.verdicts if v.suite == suite and subject in v.subject.split()]
    passed = bool(matching) and all(v.passed for v in matching)
    found = "no verdict" if not matching else "passed" if passed else matching[-1].summary()
    return Finding(f"{suite} of the challenger", passed, found, f"a passed {suite} verdict of {subject}")


def _score_findings(evidence: PromotionEvidence) -> tuple[Finding, ...]:
    """Whether every deciding task has enough scored origins and all metrics."""
    findings = []
    for task in (deciding := deciding_tasks(evidence.cards)):
        least = MIN_SCORED_DAYS * 1440 // task.origin_minutes
        n = evidence.scored_origins.get(task.name, 0)
        findings.append(Finding(f"scored origins on {task.name}", n >= least, str(n), f"at least {least}"))
        values = evidence.metrics.get(task.name, {})
        missing = [name for name in REQUIRED_METRICS if not np.isfinite(values.get(name, np.nan))]
        found = f"missing {', '.join(missing)}" if missing else f"{len(REQUIRED_METRICS)} present"
        findings.append(Finding(f"metrics on {task.name}", not missing, found, "every metric, finite"))
    names = ", ".join(task.name for task in deciding) or "none"
    return (*findings, Finding("deciding cards", bool(deciding), names, f"at least one of {COMPOSITE_TASKS}"))


def _test_text(test: PairedTest) -> str:
    return (
        f"{test.mean_difference_percent:+.2f} % composite CRPS "
        f"({test.low_percent:+.2f} … {test.high_percent:+.2f}), p = {test.p:.4f}, {test.n_days} days"
    )


def _reference_finding(test: PairedTest | None) -> Finding:
    demanded = f"lower CRPS than the 28-day analogue, p < {SIGNIFICANCE}"
    if test is None:
        return Finding("beats the seasonal analogue", False, "no test", demanded)
    return Finding("beats the seasonal analogue", test.better, _test_text(test), demanded)


def _champion_finding(evidence: PromotionEvidence) -> Finding:
    rule = "beats or equals the champion"
    demanded = (
        f"lower CRPS with p < {SIGNIFICANCE}, or at most +{NON_INFERIORITY_PERCENT} % (upper bound) with a "
        "lower calibration error"
    )
    test = evidence.versus_champion
    if evidence.champion_problem:
        name = f"the champion {evidence.champion}" if evidence.champion else "the champion"
        problem = evidence.champion_problem.rstrip(".")
        found = f"{name} cannot be loaded: {problem}; it was not compared"
        return Finding(rule, False, found, demanded, "warning")
    if evidence.champion is None:
        found = "no champion yet" if test is None else "a test against a champion that is not named"
        return Finding(rule, test is None, found, "nothing of the first champion but to beat the analogue")
    if test is None:
        return Finding(rule, False, f"no test against {evidence.champion}", demanded)
    own, its = evidence.calibration_error, evidence.champion_calibration_error
    calibrated = own is not None and its is not None and bool(own < its)
    passed = test.better or (test.high_percent < NON_INFERIORITY_PERCENT and calibrated)
    found = f"{_test_text(test)}; calibration error {_number(own)} against {_number(its)}"
    return Finding(rule, passed, found, demanded)


def _number(value: float | None) -> str:
    return "missing" if value is None else f"{value:.4f}"
