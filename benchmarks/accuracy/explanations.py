"""Explanations of the fitted mixture on the test: what the page's second half and the JSON tell."""

import json
from dataclasses import asdict
from typing import Any

import numpy as np

from benchmarks.accuracy import ablations, importance, jobs
from benchmarks.accuracy.jobs import Job
from benchmarks.accuracy.protocol import Protocol
from benchmarks.accuracy.summary import Runs
from benchmarks.shared import fingerprint
from smartgrid_pipeline.core.evaluation.audits import mixture as gate
from smartgrid_pipeline.core.evaluation.scoring import metrics
from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.forecasting.leads import is_short
from smartgrid_pipeline.core.forecasting.mixture.mixture import MixtureOfExperts
from smartgrid_pipeline.core.schema import EXPERT_NAMES, ForecastTask, Times, tasks_for

NEAR, FAR = ("T1", "T2"), ("T3", "T4", "T5", "T5_week")
ASKING = ("benchmarks.accuracy.ablations", "benchmarks.accuracy.importance")
DRILL_EVERY = 3
"""Failures are drilled on every third of the origins: twelve variants are asked on each."""


def of_job(job: Job, history: History, runs: Runs) -> dict[str, Any]:
    """Explanations of a finished mixture; what needs asking it is kept beside its forecasts."""
    protocol = job.protocol(history)
    path = job.folder / f"explanations-{protocol.key()}-{fingerprint.of_modules(*ASKING)}.json"
    if not path.exists():
        mixture = jobs.load(job)
        assert isinstance(mixture, MixtureOfExperts)
        path.write_text(json.dumps(of_mixture(mixture, history, protocol)))
    return json.loads(path.read_text()) | of_forecasts(protocol, runs, job.seed)


def of_mixture(mixture: MixtureOfExperts, history: History, protocol: Protocol) -> dict[str, Any]:
    """Shares, failures, matched days and importances, from origins of the judged span."""
    history = history.until(protocol.end)
    start = max(window.start for window in protocol.windows if window.name != "T4")
    shares: dict[str, Any] = {}
    drill: list[dict[str, Any]] = []
    inputs: dict[str, Any] = {}
    for kind, names in (("near", NEAR), ("far", FAR)):
        cards = tuple(card for card in tasks_for(history.meter.working_minutes) if card.name in names)
        if not cards:
            continue
        origins = _origins(history, cards, start, protocol.end)
        leads = tuple(dict.fromkeys(lead for card in cards for lead in card.leads))
        known = ablations.rehearsed(mixture, history, origins, leads)
        shares[kind] = ablations.share_facts(
            known.shares(history, origins, leads), origins, leads, mixture.expert_names
        )
        drill += ablations.drill(known, history, origins[::DRILL_EVERY], cards, protocol.end)
        inputs |= importance.permutation_importance(mixture, history, cards, start)
    return {
        "shares": shares,
        "drill": drill,
        "leave_one_out": [row for row in drill if row["failure"] == "silent"],
        "importance": inputs,
        "matched_days": _matches(mixture, history, start, protocol.end),
    }


def _origins(
    history: History, cards: tuple[ForecastTask, ...], start: np.datetime64, end: np.datetime64
) -> Times:
    """All midnights, or every seventh hour, so that each hour of the day has its turn."""
    every = cards[-1].origin_minutes
    origins = history.origins(start, end - np.timedelta64(1440, "m"), every)
    return origins if every == 1440 else origins[::7]


def _matches(
    mixture: MixtureOfExperts, history: History, start: np.datetime64, end: np.datetime64
) -> dict[str, Any] | None:
    """Which past days the attention expert matches to the hours of the next day."""
    expert = next((each for each in mixture.experts if each.name == "attention"), None)
    card = next((c for c in tasks_for(history.meter.working_minutes) if c.name == "T4"), None)
    if expert is None or card is None:
        return None
    origins = history.origins(start, end - np.timedelta64(1440, "m"), card.origin_minutes)
    leads = tuple(lead for lead in card.leads if not is_short(lead))
    weights = ablations.matched_days(expert, history, origins, leads)
    return None if weights is None else ablations.match_facts(weights, origins)


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
        correlation[window.name] = gate.error_correlation(aligned, window.card).to_dict()
    collapse = asdict(gate.collapse_finding(everything))
    return {"oracle": oracle, "error_correlation": correlation, "collapse": collapse}
