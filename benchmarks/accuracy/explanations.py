"""Explanations of the fitted mixture on the test: what the page's second half and the JSON tell."""

from typing import Any

import numpy as np
import pandas as pd

from benchmarks.accuracy import tasks
from benchmarks.accuracy.protocol import Protocol
from benchmarks.accuracy.tasks import Task
from smartgrid_pipeline.core.evaluation import explanations, gate, importance, metrics
from smartgrid_pipeline.core.models.forecaster import History, Times
from smartgrid_pipeline.core.models.mixture_of_experts import MixtureOfExperts
from smartgrid_pipeline.core.schema import EXPERT_NAMES, Card, cards_for

NEAR, FAR = ("T1", "T2"), ("T3", "T4", "T5", "T5_week")


def of_mixture(
    mixture: MixtureOfExperts,
    history: History,
    protocol: Protocol,
    runs: dict[str, dict[int | None, pd.DataFrame]],
    seed: int,
) -> dict[str, Any]:
    """Shares, drill, oracle, error correlations, matched days and importances, from the judged span."""
    history = history.until(protocol.end)
    start = max(window.start for window in protocol.windows if window.name != "T4")
    shares, drill, inputs = {}, [], {}
    for kind, names in (("near", NEAR), ("far", FAR)):
        cards = tuple(card for card in cards_for(history.meter.working_minutes) if card.name in names)
        if not cards:
            continue
        origins = _origins(history, cards, start, protocol.end)
        leads = tuple(dict.fromkeys(lead for card in cards for lead in card.leads))
        known = explanations.rehearsed(mixture, history, origins, leads)
        shares[kind] = explanations.share_facts(
            known.shares(history, origins, leads), origins, leads, mixture.expert_names
        )
        drill += explanations.drill(known, history, origins, cards, protocol.end)
        inputs |= importance.permutation_importance(mixture, history, cards, start)
    return {
        "shares": shares,
        "drill": drill,
        "leave_one_out": [row for row in drill if row["failure"] == "silent"],
        "importance": inputs,
        "matched_days": _matches(mixture, history, start, protocol.end),
        **_from_forecasts(protocol, runs, seed),
    }


def of_task(task: Task, history: History, runs: dict[str, Any]) -> dict[str, Any]:
    """Explanations of a finished mixture."""
    mixture = tasks.load(task)
    assert isinstance(mixture, MixtureOfExperts)
    return of_mixture(mixture, history, task.protocol(history), runs, task.seed)


def _origins(history: History, cards: tuple[Card, ...], start: np.datetime64, end: np.datetime64) -> Times:
    """All midnights, or every seventh hour, so that each hour of the day has its turn."""
    every = cards[-1].origin_minutes
    origins = history.origins(start, end - np.timedelta64(1440, "m"), every)
    return origins if every == 1440 else origins[::7]


def _matches(
    mixture: MixtureOfExperts, history: History, start: np.datetime64, end: np.datetime64
) -> dict[str, Any] | None:
    """Which past days the attention expert matches to the hours of the next day."""
    expert = next((each for each in mixture.experts if each.name == "attention"), None)
    card = next((c for c in cards_for(history.meter.working_minutes) if c.name == "T4"), None)
    if expert is None or card is None:
        return None
    origins = history.origins(start, end - np.timedelta64(1440, "m"), card.origin_minutes)
    leads = tuple(lead for lead in card.leads if lead.end_minutes > 60)
    weights = explanations.matched_days(expert, history, origins, leads)
    return None if weights is None else explanations.match_facts(weights, origins)


def _from_forecasts(protocol: Protocol, runs: dict[str, Any], seed: int) -> dict[str, Any]:
    """What follows from the kept forecasts alone: oracle gates and error correlations, by window."""
    names = (*EXPERT_NAMES, tasks.MIXTURE)
    one_seed = {name: runs[name][seed] for name in names if seed in runs.get(name, {})}
    oracle, correlation = {}, {}
    for window in protocol.windows:
        rows = {
            name: frame[(frame["card"] == window.card) & (frame["origin"].to_numpy() >= window.start)]
            for name, frame in one_seed.items()
        }
        if len(rows) < len(names) or any(frame.empty for frame in rows.values()):
            continue
        aligned = metrics.align(rows)
        oracle[window.name] = explanations.oracle(aligned[window.card], EXPERT_NAMES, tasks.MIXTURE)
        correlation[window.name] = gate.error_correlation(aligned, window.card).to_dict()
    return {"oracle": oracle, "error_correlation": correlation}
