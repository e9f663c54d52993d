"""The ``explanations`` of the result file: why the fitted mixture forecasts as it does on the test span.

Weights of the gate and of the attention expert, ablations, spoiled inputs, an oracle gate and the experts'
error correlations.
"""

import json
from dataclasses import asdict
from typing import Any

import numpy as np

from benchmarks.accuracy import ablations, importance, jobs, weight_facts
from benchmarks.accuracy.jobs import Job
from benchmarks.accuracy.protocol import Protocol
from benchmarks.accuracy.summary import Runs
from benchmarks.shared import fingerprint
from smartgrid_pipeline.core.evaluation.audits import mixture as mixture_audit
from smartgrid_pipeline.core.evaluation.scoring import metrics
from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.forecasting.leads import is_short
from smartgrid_pipeline.core.forecasting.mixture.mixture import MixtureOfExperts
from smartgrid_pipeline.core.schema import EXPERT_NAMES, ForecastTask, Times, tasks_for

HORIZONS = {"near": ("T1", "T2"), "far": ("T3", "T4", "T5", "T5_week")}
"""Key in the result file → the tasks of that horizon, which share their origins."""

CODE = ("benchmarks.accuracy.ablations", "benchmarks.accuracy.importance", "benchmarks.accuracy.weight_facts")
DRILL_EVERY = 3
"""Failures are drilled from every third of the origins: each takes twelve variants of the mixture."""


def of_job(job: Job, history: History, runs: Runs) -> dict[str, Any]:
    """Explanations of a finished mixture; what needs its forecasts anew is kept beside them."""
    protocol = job.protocol(history)
    path = job.folder / f"explanations-{protocol.key()}-{fingerprint.of_modules(*CODE)}.json"
    if not path.exists():
        mixture = jobs.load(job)
        assert isinstance(mixture, MixtureOfExperts)
        path.write_text(json.dumps(of_mixture(mixture, history, protocol)))
    return json.loads(path.read_text()) | of_forecasts(protocol, runs, job.seed)


def of_mixture(mixture: MixtureOfExperts, history: History, protocol: Protocol) -> dict[str, Any]:
    """Gate weights, failing experts, weights of past days and importances, from origins of the test span."""
    history = history.until(protocol.end)
    start = max(window.start for window in protocol.windows if window.name != "T4")
    gate_weights: dict[str, Any] = {}
    drill: list[dict[str, Any]] = []
    importances: dict[str, Any] = {}
    for horizon, names in HORIZONS.items():
        tasks = tuple(task for task in tasks_for(history.meter.working_minutes) if task.name in names)
        if not tasks:
            continue
        origins = _origins(history, tasks, start, protocol.end)
        leads = tuple(dict.fromkeys(lead for task in tasks for lead in task.leads))
        cached = ablations.with_cached_experts(mixture, history, origins, leads)
        gate_weights[horizon] = weight_facts.gate_weight_facts(
            cached.expert_weights(history, origins, leads), origins, leads, mixture.expert_names
        )
        drill += ablations.failure_drill(cached, history, origins[::DRILL_EVERY], tasks, protocol.end)
        importances |= importance.permutation_importance(mixture, history, tasks, start)
    return {
        "shares": gate_weights,
        "drill": drill,
        "leave_one_out": [row for row in drill if row["failure"] == "silent"],
        "importance": importances,
        "matched_days": _day_weights(mixture, history, start, protocol.end),
    }


def _origins(
    history: History, tasks: tuple[ForecastTask, ...], start: np.datetime64, end: np.datetime64
) -> Times:
    """All midnights, or every seventh hour, so that each hour of the day has its turn."""
    every = tasks[-1].origin_minutes
    origins = history.origins(start, end - np.timedelta64(1440, "m"), every)
    return origins if every == 1440 else origins[::7]


def _day_weights(
    mixture: MixtureOfExperts, history: History, start: np.datetime64, end: np.datetime64
) -> dict[str, Any] | None:
    """Weights of past days in the attention expert's forecast of the next day; None without that expert."""
    expert = next((each for each in mixture.experts if each.name == "attention"), None)
    task = next((t for t in tasks_for(history.meter.working_minutes) if t.name == "T4"), None)
    if expert is None or task is None:
        return None
    origins = history.origins(start, end - np.timedelta64(1440, "m"), task.origin_minutes)
    leads = tuple(lead for lead in task.leads if not is_short(lead))
    weights = weight_facts.day_weights(expert, history, origins, leads)
    return None if weights is None else weight_facts.day_weight_facts(weights, origins)


def of_forecasts(protocol: Protocol, runs: Runs, seed: int) -> dict[str, Any]:
    """What follows from the kept forecasts alone: oracle gates and error correlations, by window."""
    names = (*EXPERT_NAMES, jobs.MIXTURE)
    one_seed = {name: runs[name][seed] for name in names if seed in runs.get(name, {})}
    oracle, correlation, everything = {}, {}, {}
    for window in protocol.windows:
        rows = {
            name: frame[(frame["card"] == window.card) & (frame["origin"].to_numpy() >= window.start)]
            for name, frame in one_seed.items()
        }
        if len(rows) < len(names) or any(frame.empty for frame in rows.values()):
            continue
        aligned = metrics.align(rows)
        everything |= aligned
        oracle[window.name] = ablations.oracle(aligned[window.card], EXPERT_NAMES, jobs.MIXTURE)
        correlation[window.name] = mixture_audit.error_correlation(aligned, window.card).to_dict()
    collapse = asdict(mixture_audit.collapse_finding(everything))
    return {"oracle": oracle, "error_correlation": correlation, "collapse": collapse}
