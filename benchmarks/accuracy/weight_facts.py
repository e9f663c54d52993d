"""Where weight goes: the gate's over its experts, and the attention expert's over past days."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from smartgrid_pipeline.core.evaluation.audits.mixture import collapse_alarms, entropy
from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.schema import Floats, LeadInterval, Times

SEASONS = ("winter", "spring", "summer", "autumn")
LEAD_EDGES_MINUTES = (0, 5, 15, 60, 180, 360, 720, 1440, 10_080)


def gate_weight_facts(
    weights: Floats, origins: Times, leads: tuple[LeadInterval, ...], names: Sequence[str]
) -> dict[str, Any]:
    """Mean weight of each expert: overall, by hour and season of the target, and by end of the lead.

    ``weights`` (origins, leads, experts). Entropy is 1 when all experts have the same weight; ``alarms``
    name a collapse onto one expert.
    """
    starts = np.array([lead.start_minutes for lead in leads], "timedelta64[m]")
    target = (origins[:, None] + starts[None, :]).ravel()
    ends = np.tile([lead.end_minutes for lead in leads], len(origins))
    month = target.astype("datetime64[M]").astype(int) % 12
    season = pd.Categorical.from_codes((month + 1) % 12 // 3, SEASONS)
    flat = pd.DataFrame(weights.reshape(-1, weights.shape[-1]), columns=list(names))
    edges = pd.cut(
        ends, list(LEAD_EDGES_MINUTES), labels=[f"≤ {edge} min" for edge in LEAD_EDGES_MINUTES[1:]]
    )
    return {
        "mean": _means(flat),
        "by_hour": _means_by(flat, (target - target.astype("datetime64[D]")).astype(int) // 60),
        "by_season": _means_by(flat, season),
        "by_lead": _means_by(flat, edges),
        "entropy": float(entropy(weights).mean()),
        "alarms": collapse_alarms(weights, names),
    }


def _means(frame: pd.DataFrame) -> dict[str, float]:
    return {str(name): float(value) for name, value in frame.mean().items()}


def _means_by(frame: pd.DataFrame, group: Any) -> dict[str, dict[str, float]]:
    return {str(key): _means(rows) for key, rows in frame.groupby(group, observed=True)}


def day_weights(
    expert: Any, history: History, origins: Times, leads: tuple[LeadInterval, ...]
) -> npt.NDArray[np.float32] | None:
    """Weight of each past day in the attention expert's forecast, (origins, leads, days), latest day first.

    Mean over its heads; None when the expert attends to no past days for these leads.
    """
    import torch
    from torch.nn.modules.module import register_module_forward_hook

    from smartgrid_pipeline.core.forecasting.experts.networks import DayAttention

    found: list[npt.NDArray[np.float32]] = []

    def record(module: torch.nn.Module, inputs: Any, _: Any) -> None:
        if isinstance(module, DayAttention):
            with torch.no_grad():
                found.append(module.weights(*inputs[:2]).mean(2).numpy())

    hook = register_module_forward_hook(record)
    try:
        expert.predict(history, origins, leads)
    finally:
        hook.remove()
    if not found or sum(len(part) for part in found) != len(origins):
        return None
    return np.concatenate(found)[..., ::-1]


def day_weight_facts(weights: npt.NDArray[np.float32], origins: Times) -> dict[str, Any]:
    """Mean weight by days back, the effective number of days (exp of the entropy), and the weight on days of
    the same weekday and of the same day type (working day or weekend), from (origins, leads, days).
    """
    days = weights.mean(1)  # (origins, days)
    back = np.arange(1, days.shape[1] + 1)
    weekday = (origins.astype("datetime64[D]").astype(int) + 3) % 7
    same_weekday = back[None, :] % 7 == 0
    weekend = (weekday[:, None] - back[None, :]) % 7 >= 5
    same_type = weekend == (weekday[:, None] >= 5)
    return {
        "mean_weight_by_days_back": {str(k): float(w) for k, w in zip(back, days.mean(0), strict=True)},
        "effective_days": float(np.exp(-(days * np.log(np.maximum(days, 1e-12))).sum(1)).mean()),
        "weight_on_same_weekday": float(days[:, same_weekday[0]].sum(1).mean()),
        "share_of_days_that_are_same_weekday": float(same_weekday.mean()),
        "weight_on_same_kind_of_day": float((days * same_type).sum(1).mean()),
        "share_of_days_of_same_kind": float(same_type.mean()),
    }
