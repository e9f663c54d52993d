"""The mixture without one of its experts, with one that fails, and with a gate that knew the best of them."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from smartgrid_pipeline.core.evaluation.scoring import backtest, metrics
from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.forecasting.forecaster import Forecast
from smartgrid_pipeline.core.forecasting.mixture.mixture import MixtureOfExperts
from smartgrid_pipeline.core.schema import ForecastTask, LeadInterval, Times

FAILURES_KW = {"silent": np.nan, "stuck at 0 kW": 0.0, "stuck at 10 kW": 10.0}
"""Failure of an expert → the forecast (kW) it then makes for everything."""


@dataclass(frozen=True)
class CachedExpert:
    """An expert whose forecasts were made once; variants of a mixture reuse them at no cost."""

    name: str
    forecast: Forecast

    def predict(self, history: History, origins: Times, leads: tuple[LeadInterval, ...]) -> Forecast:
        """The kept forecast at some of its own sorted ``origins`` and ``leads``; ``history`` is not read.

        Raises ValueError for a lead that was not kept.
        """
        rows = np.searchsorted(self.forecast.origins, origins)
        columns = np.array([self.forecast.leads.index(lead) for lead in leads])
        kept = np.ix_(rows, columns)
        return Forecast(origins, leads, self.forecast.mean_kw[kept], self.forecast.quantiles_kw[kept])

    def failing_at(self, kw: float) -> "CachedExpert":
        """The same expert with ``kw`` in place of its mean and of every quantile."""
        mean, quantiles = (
            np.full_like(kept, kw) for kept in (self.forecast.mean_kw, self.forecast.quantiles_kw)
        )
        return CachedExpert(self.name, Forecast(self.forecast.origins, self.forecast.leads, mean, quantiles))


def with_cached_experts(
    mixture: MixtureOfExperts, history: History, origins: Times, leads: tuple[LeadInterval, ...]
) -> MixtureOfExperts:
    """The mixture with each expert's forecasts from sorted ``origins`` made once and kept.

    The result forecasts from these origins and leads only.
    """
    experts = [
        CachedExpert(expert.name, expert.predict(history, origins, leads)) for expert in mixture.experts
    ]
    return _with_experts(mixture, experts)


def with_failing_expert(mixture: MixtureOfExperts, name: str, kw: float) -> MixtureOfExperts:
    """A mixture of cached experts in which one forecasts ``kw`` always; NaN leaves it out of the gate."""
    experts: list[CachedExpert] = mixture.experts  # type: ignore[assignment]
    return _with_experts(mixture, [e.failing_at(kw) if e.name == name else e for e in experts])


def _with_experts(mixture: MixtureOfExperts, experts: Sequence[Any]) -> MixtureOfExperts:
    """The same gate over other experts of the same names."""
    other = copy.copy(mixture)
    other.experts = list(experts)
    return other


def losses(
    forecaster: Any, history: History, origins: Times, tasks: tuple[ForecastTask, ...], last: np.datetime64
) -> dict[str, dict[str, float]]:
    """CRPS and RMSE (kW) of each task from ``origins``, on observed intervals that end by ``last``."""
    leads = tuple(dict.fromkeys(lead for task in tasks for lead in task.leads))
    forecast = forecaster.predict(history, origins, leads)
    out = {}
    for task in tasks:
        frame = backtest.task_frame(forecast, history, task, last)
        scores = metrics.score(frame[frame["observed_kw"].notna()])
        out[task.name] = {key: scores[key] for key in ("crps_kw", "rmse_kw")}
    return out


def failure_drill(
    mixture: MixtureOfExperts, history: History, origins: Times, tasks: tuple[ForecastTask, ...],
    last: np.datetime64,
) -> list[dict[str, Any]]:  # fmt: skip
    """Every expert of a mixture of cached experts failing in every way; one row per expert, failure, task.

    ``worse_percent`` is the growth of the task's CRPS. A silent expert is one left out: the gate divides its
    weight among the others.
    """
    usual = losses(mixture, history, origins, tasks, last)
    rows = []
    for name in mixture.expert_names:
        for failure, kw in FAILURES_KW.items():
            found = losses(with_failing_expert(mixture, name, kw), history, origins, tasks, last)
            rows += [
                {
                    "expert": name, "failure": failure, "card": task,
                    "answered": bool(np.isfinite(found[task]["crps_kw"])),
                    "crps_kw": found[task]["crps_kw"],
                    "worse_percent": 100 * (found[task]["crps_kw"] / usual[task]["crps_kw"] - 1),
                }
                for task in usual
            ]  # fmt: skip
    return rows


def oracle(frames: dict[str, pd.DataFrame], experts: Sequence[str], mixture: str) -> dict[str, float]:
    """CRPS (kW) of a gate that knew the best expert of each row, or of each origin, from aligned frames.

    It is a lower bound for every gate that picks one of these experts.
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
