"""Why the mixture forecasts as it does: shares of its experts, what each is worth, what happens without."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from smartgrid_pipeline.core.evaluation.scoring import backtest, metrics
from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.forecasting.forecaster import Forecast
from smartgrid_pipeline.core.forecasting.mixture.gating import collapse_alarms, entropy
from smartgrid_pipeline.core.forecasting.mixture.mixture import MixtureOfExperts
from smartgrid_pipeline.core.schema import Floats, ForecastTask, LeadInterval, Times

SEASONS = ("winter", "spring", "summer", "autumn")
LEAD_EDGES_MINUTES = (0, 5, 15, 60, 180, 360, 720, 1440, 10_080)
FAILURES = {"silent": np.nan, "stuck at 0 kW": 0.0, "stuck at 10 kW": 10.0}
"""Ways in which an expert fails, and what it then says."""


# --- experts asked once -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Rehearsed:
    """An expert that repeats what it said once, so that variants of the mixture cost nothing."""

    name: str
    forecast: Forecast

    def predict(self, history: History, origins: Times, leads: tuple[LeadInterval, ...]) -> Forecast:
        """Some rows and columns of what it said; both must be among those it was asked."""
        rows = np.searchsorted(self.forecast.origins, origins)
        columns = np.array([self.forecast.leads.index(lead) for lead in leads])
        kept = np.ix_(rows, columns)
        return Forecast(origins, leads, self.forecast.mean_kw[kept], self.forecast.quantiles_kw[kept])


def rehearsed(
    mixture: MixtureOfExperts, history: History, origins: Times, leads: tuple[LeadInterval, ...]
) -> MixtureOfExperts:
    """The mixture with every expert asked once, from sorted origins; it answers for these only."""
    said = [Rehearsed(expert.name, expert.predict(history, origins, leads)) for expert in mixture.experts]
    return with_experts(mixture, said)


def with_experts(mixture: MixtureOfExperts, experts: Sequence[Any]) -> MixtureOfExperts:
    """The same gate over other experts of the same names."""
    other = copy.copy(mixture)
    other.experts = list(experts)
    return other


def failing(mixture: MixtureOfExperts, name: str, says_kw: float) -> MixtureOfExperts:
    """A rehearsed mixture one expert of which says the same number always, or NaN."""

    def broken(expert: Rehearsed) -> Rehearsed:
        said = expert.forecast
        mean, quantiles = (np.full_like(a, says_kw) for a in (said.mean_kw, said.quantiles_kw))
        return Rehearsed(expert.name, Forecast(said.origins, said.leads, mean, quantiles))

    return with_experts(mixture, [broken(e) if e.name == name else e for e in mixture.experts])  # type: ignore[arg-type]


# --- what each expert is worth ----------------------------------------------------------------------


def losses(
    forecaster: Any, history: History, origins: Times, cards: tuple[ForecastTask, ...], last: np.datetime64
) -> dict[str, dict[str, float]]:
    """CRPS and RMSE (kW) of each card from the origins, on observed intervals that end by ``last``."""
    leads = tuple(dict.fromkeys(lead for card in cards for lead in card.leads))
    forecast = forecaster.predict(history, origins, leads)
    out = {}
    for card in cards:
        frame = backtest.card_frame(forecast, history, card, last)
        scores = metrics.score(frame[frame["observed_kw"].notna()])
        out[card.name] = {key: scores[key] for key in ("crps_kw", "rmse_kw")}
    return out


def drill(
    mixture: MixtureOfExperts,
    history: History,
    origins: Times,
    cards: tuple[ForecastTask, ...],
    last: np.datetime64,
) -> list[dict[str, Any]]:
    """Every expert of a rehearsed mixture failing in every way: by how much each card's CRPS grows, per cent.

    A silent expert is one left out: the gate shares its weight among the others.
    """
    usual = losses(mixture, history, origins, cards, last)
    rows = []
    for name in mixture.expert_names:
        for failure, says_kw in FAILURES.items():
            found = losses(failing(mixture, name, says_kw), history, origins, cards, last)
            rows += [
                {
                    "expert": name, "failure": failure, "card": card,
                    "answered": bool(np.isfinite(found[card]["crps_kw"])),
                    "crps_kw": found[card]["crps_kw"],
                    "worse_percent": 100 * (found[card]["crps_kw"] / usual[card]["crps_kw"] - 1),
                }
                for card in usual
            ]  # fmt: skip
    return rows


def oracle(frames: dict[str, pd.DataFrame], experts: Sequence[str], mixture: str) -> dict[str, float]:
    """The CRPS (kW) of a gate that knew the best expert of each row, or of each origin; aligned frames.

    No gate over these experts that picks one can do better, and none that sees only the past comes near.
    """
    rows = np.stack([metrics.row_loss(frames[name], "crps") for name in experts])
    origins = pd.factorize(frames[mixture]["origin"])[0]
    by_origin = np.stack([np.bincount(origins, weights=loss) for loss in rows])
    return {
        "mixture_crps_kw": float(metrics.row_loss(frames[mixture], "crps").mean()),
        "best_expert_crps_kw": float(rows.mean(1).min()),
        "oracle_by_row_crps_kw": float(rows.min(0).mean()),
        "oracle_by_origin_crps_kw": float(by_origin.min(0).sum() / rows.shape[1]),
    }


# --- shares -----------------------------------------------------------------------------------------


def share_facts(
    shares: Floats, origins: Times, leads: tuple[LeadInterval, ...], names: Sequence[str]
) -> dict[str, Any]:
    """Mean share of each expert, over all, by hour and season of the target and by end of the lead.

    ``shares`` (origins, leads, experts). Entropy is 1 when all are used alike; alarms tell a collapse.
    """
    starts = np.array([lead.start_minutes for lead in leads], "timedelta64[m]")
    target = (origins[:, None] + starts[None, :]).ravel()
    ends = np.tile([lead.end_minutes for lead in leads], len(origins))
    month = target.astype("datetime64[M]").astype(int) % 12
    season = pd.Categorical.from_codes((month + 1) % 12 // 3, SEASONS)
    flat = pd.DataFrame(shares.reshape(-1, shares.shape[-1]), columns=list(names))
    edges = pd.cut(
        ends, list(LEAD_EDGES_MINUTES), labels=[f"≤ {edge} min" for edge in LEAD_EDGES_MINUTES[1:]]
    )
    return {
        "mean": _means(flat),
        "by_hour": _grouped(flat, (target - target.astype("datetime64[D]")).astype(int) // 60),
        "by_season": _grouped(flat, season),
        "by_lead": _grouped(flat, edges),
        "entropy": float(entropy(shares).mean()),
        "alarms": collapse_alarms(shares, names),
    }


def _means(frame: pd.DataFrame) -> dict[str, float]:
    return {str(name): float(value) for name, value in frame.mean().items()}


def _grouped(frame: pd.DataFrame, by: Any) -> dict[str, dict[str, float]]:
    return {str(key): _means(rows) for key, rows in frame.groupby(by, observed=True)}


# --- matched days -----------------------------------------------------------------------------------


def matched_days(
    expert: Any, history: History, origins: Times, leads: tuple[LeadInterval, ...]
) -> npt.NDArray[np.float32] | None:
    """Weight the attention expert gives each past day, (origins, leads, days), the latest day first.

    Mean over its heads; None when it has no day-matching network for these leads.
    """
    import torch
    from torch.nn.modules.module import register_module_forward_hook

    from smartgrid_pipeline.core.forecasting.experts.networks import DayAttention

    found: list[npt.NDArray[np.float32]] = []

    def note(module: torch.nn.Module, inputs: Any, _: Any) -> None:
        if isinstance(module, DayAttention):
            with torch.no_grad():
                found.append(module.weights(*inputs[:2]).mean(2).numpy())

    hook = register_module_forward_hook(note)
    try:
        expert.predict(history, origins, leads)
    finally:
        hook.remove()
    if not found or sum(len(part) for part in found) != len(origins):
        return None
    return np.concatenate(found)[..., ::-1]


def match_facts(weights: npt.NDArray[np.float32], origins: Times) -> dict[str, Any]:
    """Mean weight by days back, how sharp the choice is, and how often the same weekday is preferred."""
    days = weights.mean(1)  # (origins, days)
    back = np.arange(1, days.shape[1] + 1)
    weekday = (origins.astype("datetime64[D]").astype(int) + 3) % 7
    same = back[None, :] % 7 == 0
    weekend = (weekday[:, None] - back[None, :]) % 7 >= 5
    alike = weekend == (weekday[:, None] >= 5)
    return {
        "mean_weight_by_days_back": {str(k): float(w) for k, w in zip(back, days.mean(0), strict=True)},
        "effective_days": float(np.exp(-(days * np.log(np.maximum(days, 1e-12))).sum(1)).mean()),
        "weight_on_same_weekday": float(days[:, same[0]].sum(1).mean()),
        "share_of_days_that_are_same_weekday": float(same.mean()),
        "weight_on_same_kind_of_day": float((days * alike).sum(1).mean()),
        "share_of_days_of_same_kind": float(alike.mean()),
    }
