"""From forecasts to the figures of the result file: the same rows for every model, means over seeds."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.accuracy.protocol import Protocol, Window
from benchmarks.accuracy.targets import value_of
from smartgrid_pipeline.core.evaluation.scoring import comparison, metrics
from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.schema import FORECAST_TASKS

Runs = Mapping[str, Mapping[int | None, pd.DataFrame]]
"""Row of the table → seed (None where nothing is drawn) → forecasts with FORECAST_COLUMNS of all cards."""

FIGURES = (
    "rmse_kw", "mae_kw", "mape_percent", "wape_percent", "r2", "mase", "crps_kw", "coverage_80",
    "width_80_kw", "calibration_error", "skill_persistence", "skill_analogue", "cvrmse_percent",
    "peak_hour_hit_rate",
)  # fmt: skip
ONLY_DAY_AHEAD = ("cvrmse_percent",)
LOSSES = ("crps", "absolute", "squared")
MIXTURE = "mixture_of_experts"
RIVALS = ("lightgbm", "best_expert", "equal_weights", "analogue_28d")


def of_window(
    window: Window, runs: Runs, protocol: Protocol, history: History, peers: Sequence[str]
) -> dict[str, Any]:
    """Counts, figures of every model and tests of one window."""
    aligned = _aligned(window, runs)
    if not aligned:
        return {}
    card = next(card for card in FORECAST_TASKS if card.name == window.card)
    scales = metrics.mase_scales_kw(history, protocol.fit_before, (card,))
    return {
        "title": card.title,
        "from": str(window.start),
        "until": str(protocol.end),
        "n_scored": len(next(iter(aligned.values()))),
        "n_origins": int(next(iter(aligned.values()))["origin"].nunique()),
        "models": _figures(window, aligned, scales),
        "tests": _tests(window, aligned, [*RIVALS, *peers]),
    }


def _aligned(window: Window, runs: Runs) -> dict[tuple[str, int | None], pd.DataFrame]:
    """(row, seed) → its forecasts of the window, on the rows that all share."""
    flat = {}
    for name, by_seed in runs.items():
        for seed, frame in by_seed.items():
            rows = frame[(frame["card"] == window.card) & (frame["origin"].to_numpy() >= window.start)]
            if len(rows):
                flat[f"{name}#{'' if seed is None else seed}"] = rows
    found = metrics.align(flat).get(window.card, {}) if flat else {}
    out: dict[tuple[str, int | None], pd.DataFrame] = {}
    for key, frame in found.items():
        name, seed_text = key.split("#")
        out[name, int(seed_text) if seed_text else None] = frame
    return out


def _figures(
    window: Window, aligned: dict[tuple[str, int | None], pd.DataFrame], scales: Mapping[str, float]
) -> dict[str, Any]:
    """Row of the table → its figures; of several seeds their mean and standard deviation."""
    references = {
        name: metrics.score(frame, scales.get(window.card))
        for (name, _), frame in aligned.items()
        if name in (metrics.PERSISTENCE, metrics.ANALOGUE)
    }
    by_name: dict[str, list[dict[str, Any]]] = {}
    seeded = {name for name, seed in aligned if seed is not None}
    for (name, _), frame in aligned.items():
        scores: dict[str, Any] = metrics.score(frame, scales.get(window.card))
        scores["skill_persistence"] = _skill(scores, references.get(metrics.PERSISTENCE), "rmse_kw")
        scores["skill_analogue"] = _skill(scores, references.get(metrics.ANALOGUE), "crps_kw")
        if window.card == "T4":
            scores |= _coverage_by_month(frame)
        by_name.setdefault(name, []).append(scores)
        metrics.verify(pd.DataFrame([{"card": window.card, "model": name, **scores}]))
    return {name: _over_seeds(window, rows, name in seeded) for name, rows in by_name.items()}


def _skill(scores: dict[str, Any], reference: dict[str, float] | None, name: str) -> float:
    return float("nan") if reference is None else 1 - scores[name] / reference[name]


def _coverage_by_month(frame: pd.DataFrame) -> dict[str, Any]:
    """Coverage of the 80 % interval in each civil month of origins, and the month furthest from 80 %."""
    inside = (frame["observed_kw"] >= frame["q10_kw"]) & (frame["observed_kw"] <= frame["q90_kw"])
    months = inside.groupby(frame["origin"].dt.strftime("%Y-%m")).mean()
    worst = float(months.iloc[int((months - 0.8).abs().argmax())])
    return {"coverage_80_by_month": months.to_dict(), "coverage_80_worst_month": worst}


def _over_seeds(window: Window, rows: list[dict[str, Any]], seeded: bool) -> dict[str, Any]:
    wanted = [name for name in FIGURES if window.card == "T4" or name not in ONLY_DAY_AHEAD]
    out = {name: _figure([row[name] for row in rows], seeded) for name in wanted}
    pinball = [[row[column] for column in metrics.PINBALL_COLUMNS] for row in rows]
    out["pinball_kw"] = np.mean(pinball, axis=0).tolist()
    if "coverage_80_by_month" in rows[0]:
        worst = [row["coverage_80_worst_month"] for row in rows]  # low and high ones: no mean of them
        out["coverage_80_worst_month"] = max(worst, key=lambda coverage: abs(coverage - 0.8))
        months = rows[0]["coverage_80_by_month"]
        out["coverage_80_by_month"] = {
            month: float(np.mean([row["coverage_80_by_month"][month] for row in rows])) for month in months
        }
    return out


def _figure(values: list[float], seeded: bool) -> Any:
    """A plain number, or mean and sd over seeds (sd None from one seed); None where undefined."""
    if not np.isfinite(values).all():
        return None
    if not seeded:
        return float(values[0])
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {"mean": float(np.mean(values)), "sd": sd, "n": len(values)}


def _tests(
    window: Window, aligned: dict[tuple[str, int | None], pd.DataFrame], rivals: Sequence[str]
) -> list[dict[str, Any]]:
    """The mixture against each rival on each loss, seeds averaged before pairing."""
    frames: dict[str, list[pd.DataFrame]] = {}
    for (name, _), frame in aligned.items():
        frames.setdefault(name, []).append(frame)
    if MIXTURE not in frames:
        return []
    tests = []
    for rival in rivals:
        for loss in LOSSES if rival in frames else ():
            test = comparison.paired_over_seeds(frames[MIXTURE], frames[rival], window.card, loss)
            tests.append(
                {
                    "a": MIXTURE, "b": rival, "loss": loss, "statistic": test.dm_statistic, "p": test.dm_p,
                    "difference_percent": test.mean_difference_percent, "low_percent": test.low_percent,
                    "high_percent": test.high_percent, "bootstrap_p": test.p, "n_days": test.n_days,
                    "block_days": test.block_days,
                }
            )  # fmt: skip
    return tests


def best_of(models: Mapping[str, Mapping[str, Any]], names: Sequence[str], metric: str = "crps_kw") -> str:
    """The model with the lowest figure among those named; "" when none was run."""
    found = {
        n: value_of(models[n][metric]) for n in names if n in models and models[n].get(metric) is not None
    }
    return min(found, key=lambda name: found[name]) if found else ""
