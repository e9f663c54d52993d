"""Whether the month's models are ready for production, as findings; what was not measured has not passed."""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from smartgrid_pipeline.core.evaluation.audits.mixture import MIXTURE
from smartgrid_pipeline.core.evaluation.scoring.comparison import Evaluation
from smartgrid_pipeline.core.evaluation.style import label
from smartgrid_pipeline.core.schema import EXPERT_NAMES, MODEL_NAMES, Finding, Verdict

LATENCY_MS, MEMORY_MB = 45.0, 500.0
SIZE_MB = {
    **dict.fromkeys(("ridge", "random_forest", "extra_trees"), 7.22),
    **dict.fromkeys((*EXPERT_NAMES, MIXTURE), 3.28),
}
"""Largest size (MB) of each model's files."""

MARGINS = (("T1", "persistence", "rmse_kw", 15.0), ("T3", "analogue_7d", "rmse_kw", 4.0))
"""Task, reference, metric, and by how many per cent the best of the eight models must be lower."""

MONTH_COVERAGE = (0.75, 0.85)


def check(
    scores: Evaluation,
    challenger: str | None,
    verdicts: Iterable[Verdict],
    runs: Mapping[str, str],
    costs: pd.DataFrame | None,
) -> tuple[Finding, ...]:
    """All findings, from the month's scores, the audits, the tracking runs by model, and the costs."""
    return (
        _complete(scores),
        _tracked(runs),
        *_audits(list(verdicts)),
        *_margins(scores),
        _mixture(scores),
        *_coverage(scores, challenger),
        *_costs(costs),
    )


def best_model(scores: Evaluation, card: str, metric: str) -> tuple[str, float] | None:
    """The best of MODEL_NAMES on a task and its value of a metric (lower is better); None
    when none was scored.
    """
    values = {model: scores.value(card, model, metric) for model in MODEL_NAMES}
    finite = {model: value for model, value in values.items() if np.isfinite(value)}
    return min(finite.items(), key=lambda pair: pair[1]) if finite else None


def gain_percent(scores: Evaluation, card: str, reference: str, metric: str) -> tuple[str, float] | None:
    """The best of the eight models and by how many per cent it is below a reference; None when either is
    missing.
    """
    best, base = best_model(scores, card, metric), scores.value(card, reference, metric)
    if best is None or not base > 0:
        return None
    return best[0], 100 * (1 - best[1] / base)


def _complete(scores: Evaluation) -> Finding:
    wanted = [(card, model) for card in scores.cards for model in MODEL_NAMES]
    lacking = [
        f"{label(model)} on {card}"
        for card, model in wanted
        if not np.isfinite(scores.value(card, model, "crps_kw"))
    ]
    found = f"{len(wanted) - len(lacking)} of {len(wanted)} scored" + (
        f"; not {', '.join(lacking[:4])}" if lacking else ""
    )
    return Finding(
        "all eight models on every card", bool(wanted) and not lacking, found, "every model, every card"
    )


def _tracked(runs: Mapping[str, str]) -> Finding:
    lacking = [model for model in MODEL_NAMES if not runs.get(model)]
    found = f"{len(MODEL_NAMES) - len(lacking)} of {len(MODEL_NAMES)}" + (
        f"; not {', '.join(map(label, lacking))}" if lacking else ""
    )
    return Finding("a tracking run behind each model", not lacking, found, "all eight")


def _audits(verdicts: list[Verdict]) -> tuple[Finding, ...]:
    findings = []
    for suite in ("readings", "features", "forecasts", "leakage"):
        ours = [verdict for verdict in verdicts if verdict.suite == suite]
        failed = [verdict.subject for verdict in ours if not verdict.passed]
        found = f"{len(ours) - len(failed)} of {len(ours)} passed" + (
            f"; not {', '.join(failed[:4])}" if failed else ""
        )
        findings.append(
            Finding(f"audits of {suite}", bool(ours) and not failed, found, "at least one, all passed")
        )
    return tuple(findings)


def _margins(scores: Evaluation) -> tuple[Finding, ...]:
    findings = []
    for card, reference, metric, least in MARGINS:
        if card in scores.cards:
            gain = gain_percent(scores, card, reference, metric)
            found = f"{label(gain[0])}, {gain[1]:.1f} % lower" if gain else "not scored"
            rule = f"RMSE of the best of the eight against {label(reference).lower()} on {card}"
            findings.append(
                Finding(rule, bool(gain and gain[1] >= least), found, f"at least {least:.0f} % lower")
            )
    return tuple(findings)


def _mixture(scores: Evaluation) -> Finding:
    composite = scores.composite
    rivals = [name for name in ("equal_weights", "best_expert") if name in composite]
    rivals = rivals if "best_expert" in rivals else [*rivals, *(e for e in EXPERT_NAMES if e in composite)]
    rule, demanded = (
        "the mixture beats equal weights and the best single expert",
        "lower composite CRPS than each",
    )
    if MIXTURE not in composite or not rivals:
        return Finding(rule, False, "not scored", demanded, "warning")
    rival = min(rivals, key=lambda name: composite[name])
    found = f"{composite[MIXTURE]:.4f} against {composite[rival]:.4f} of {label(rival)}"
    return Finding(rule, bool(composite[MIXTURE] < composite[rival]), found, demanded, "warning")


def _coverage(scores: Evaluation, challenger: str | None) -> tuple[Finding, ...]:
    low, high = MONTH_COVERAGE
    demanded = f"{100 * low:.0f} … {100 * high:.0f} %"
    findings = []
    for card in [card for card in ("T1", "T2", "T3", "T4") if card in scores.cards]:
        share = scores.value(card, challenger, "coverage_80") if challenger else float("nan")
        found = f"{100 * share:.1f} %" if np.isfinite(share) else "not scored"
        rule = f"80 % interval of the challenger on {card}"
        findings.append(Finding(rule, bool(low <= share <= high), found, demanded, "warning"))
    return tuple(findings)


def _costs(costs: pd.DataFrame | None) -> tuple[Finding, ...]:
    """Latency, memory and size: the model nearest to (or furthest over) its limit, and all models over it."""
    words = {
        "latency_ms": "latency of one forecast",
        "memory_mb": "memory of a process that only forecasts",
        "size_mb": "size on disk",
    }
    measured = pd.DataFrame(index=list(MODEL_NAMES), columns=list(words), dtype=float)
    if costs is not None:
        measured.update(costs.set_index("model")[list(words)])
    limits = pd.DataFrame({"latency_ms": LATENCY_MS, "memory_mb": MEMORY_MB, "size_mb": pd.Series(SIZE_MB)})
    findings = []
    for column, what in words.items():
        share = (measured[column] / limits[column]).reindex(MODEL_NAMES)
        found = "not measured"
        if share.notna().any():
            worst, unit = str(share.idxmax()), column.rsplit("_", 1)[1].replace("mb", "MB")
            value, limit = measured.loc[worst, column], limits.loc[worst, column]
            found = f"nearest to its limit: {label(worst)}, {value:.2f} of {limit:g} {unit}"
            bad = [label(model) for model in MODEL_NAMES if not share[model] <= 1]
            found += f"; over it or not measured: {', '.join(bad)}" if bad else ""
        good = bool((share <= 1).all())
        findings.append(Finding(f"{what}, each of the eight", good, found, "within its limit"))
    return tuple(findings)
