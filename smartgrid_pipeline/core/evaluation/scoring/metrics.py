"""Metrics of forecasts: every model on the same rows, units in every name.

A table of forecasts has FORECAST_COLUMNS. Rows whose target was not observed (``observed_kw`` NaN) are never
scored. MAPE is reported for comparison with other work and decides nothing, since nights dominate it.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.learning.losses import crps_kw, pinball_kw
from smartgrid_pipeline.core.schema import (
    FORECAST_COLUMNS,
    FORECAST_TASKS,
    QUANTILE_COLUMNS,
    QUANTILES,
    DataError,
    Doubles,
    ForecastTask,
    ModelError,
)

Aligned = dict[str, dict[str, pd.DataFrame]]
"""Task → model → forecasts; all models of a task have the same rows in the same order."""

KEY = ["origin", "interval_start", "interval_end"]
"""Columns that identify a forecast of a task."""

PERSISTENCE, ANALOGUE = "persistence", "analogue_28d"
"""The reference models of the two skill scores."""

MEDIAN_COLUMN = QUANTILE_COLUMNS[QUANTILES.index(0.5)]

PINBALL_COLUMNS = tuple(f"pinball_{column}" for column in QUANTILE_COLUMNS)

FORMULAS = {
    "rmse_kw": "√ mean (ŷ − y)²",
    "mae_kw": "mean |q50 − y|: the median minimises the absolute error, the mean ŷ the squared one",
    "mape_percent": "100 · mean (|q50 − y| / y) over rows with y > 0",
    "wape_percent": "100 · Σ|q50 − y| / Σ y",
    "r2": "1 − Σ(ŷ − y)² / Σ(y − ȳ)², all rows of the task together",
    "mase": "MAE / in-sample MAE of the same interval of the latest day that has ended",
    "crps_kw": "2 · mean pinball loss over the nine quantiles 0.1 … 0.9 (quantile approximation of CRPS)",
    "coverage_80": "share of y within [q10, q90]",
    "width_80_kw": "mean (q90 − q10)",
    "calibration_error": "mean over the nine quantiles of |share of y ≤ q_k − k|",
    "skill_persistence": "1 − RMSE / RMSE of persistence",
    "skill_analogue": "1 − CRPS / CRPS of the 28-day analogue",
    "cvrmse_percent": "100 · RMSE / mean y",
    "peak_hour_hit_rate": "share of days whose highest hour the forecast names (day-ahead tasks)",
}
"""How each metric is computed; shown beside every table. ŷ is the forecast's mean, q50 its median."""

_PEAK_TASKS = ("T3", "T4")


def row_loss(frame: pd.DataFrame, loss: str) -> Doubles:
    """Loss of each row: "crps" (kW), "absolute" (kW) or "squared" (kW²). Raises KeyError for another name."""
    observed = frame["observed_kw"].to_numpy(np.float64)
    if loss == "crps":
        return crps_kw(observed, frame[list(QUANTILE_COLUMNS)].to_numpy(np.float64))
    point = {"absolute": MEDIAN_COLUMN, "squared": "mean_kw"}[loss]
    error = frame[point].to_numpy(np.float64) - observed
    return np.abs(error) if loss == "absolute" else error**2


def mape_percent(observed_kw: Doubles, forecast_kw: Doubles) -> float:
    """Mean absolute percentage error in per cent (never a fraction) over observations above zero."""
    positive = observed_kw > 0
    if not positive.any():
        return float("nan")
    return float(100 * np.mean(np.abs(forecast_kw - observed_kw)[positive] / observed_kw[positive]))


def score(frame: pd.DataFrame, mase_scale_kw: float | None = None) -> dict[str, float]:
    """All metrics (FORMULAS) of one model on one task, from observed rows only; NaN where undefined.

    Skill scores need the reference models and are added by ``table``.
    """
    columns = [*FORMULAS, *PINBALL_COLUMNS, "mape_floor_percent", "n_scored", "n_origins"]
    out = dict.fromkeys([name for name in columns if not name.startswith("skill")], float("nan"))
    out["n_scored"], out["n_origins"] = float(len(frame)), float(frame["origin"].nunique())
    if frame.empty:
        return out
    observed = frame["observed_kw"].to_numpy(np.float64)
    quantiles = frame[list(QUANTILE_COLUMNS)].to_numpy(np.float64)
    error = frame["mean_kw"].to_numpy(np.float64) - observed
    miss = np.abs(frame[MEDIAN_COLUMN].to_numpy(np.float64) - observed)
    pinball = pinball_kw(observed, quantiles)
    out["rmse_kw"] = float(np.sqrt(np.mean(error**2)))
    out["mae_kw"] = float(np.mean(miss))
    out["mape_percent"] = mape_percent(observed, observed + miss)
    out["mape_floor_percent"] = _mape_floor(observed, miss)
    if observed.sum() > 0:
        out["wape_percent"] = float(100 * miss.sum() / observed.sum())
        out["cvrmse_percent"] = float(100 * out["rmse_kw"] / observed.mean())
    if (spread := float(((observed - observed.mean()) ** 2).sum())) > 0:
        out["r2"] = float(1 - (error**2).sum() / spread)
    if mase_scale_kw:
        out["mase"] = out["mae_kw"] / mase_scale_kw
    out["crps_kw"] = float(2 * pinball.mean())
    out |= dict(zip(PINBALL_COLUMNS, pinball.mean(axis=0).tolist(), strict=True))
    out["coverage_80"] = float(np.mean((observed >= quantiles[:, 0]) & (observed <= quantiles[:, -1])))
    out["width_80_kw"] = float(np.mean(quantiles[:, -1] - quantiles[:, 0]))
    out["calibration_error"] = float(np.mean(np.abs(reliability(frame) - np.array(QUANTILES))))
    out["peak_hour_hit_rate"] = _peak_hour_hit_rate(frame)
    return out


def table(
    forecasts_by_model: Mapping[str, pd.DataFrame], mase_scales_kw: Mapping[str, float] | None = None
) -> pd.DataFrame:
    """Metrics of every model on every task, one row each, on the rows that all models share.

    ``mase_scales_kw`` comes from ``mase_scales_kw()``. Skill scores are NaN without their reference model.
    Raises DataError when models have different observations or ``verify`` fails, ModelError when a model has
    no finite forecast for an observed row.
    """
    return table_of(align(forecasts_by_model), mase_scales_kw)


def table_of(aligned: Aligned, mase_scales_kw: Mapping[str, float] | None = None) -> pd.DataFrame:
    """``table`` of forecasts already aligned."""
    rows = []
    for card, frames in aligned.items():
        scores = {model: score(frame, (mase_scales_kw or {}).get(card)) for model, frame in frames.items()}
        for model, metrics in scores.items():
            metrics["skill_persistence"] = _skill(metrics, scores.get(PERSISTENCE), "rmse_kw")
            metrics["skill_analogue"] = _skill(metrics, scores.get(ANALOGUE), "crps_kw")
            rows.append({"card": card, "model": model, **metrics})
    columns = ["card", "model", *FORMULAS, *PINBALL_COLUMNS, "mape_floor_percent", "n_scored", "n_origins"]
    metrics_table = pd.DataFrame(rows, columns=columns).astype({"n_scored": int, "n_origins": int})
    verify(metrics_table)
    return metrics_table


def verify(metrics_table: pd.DataFrame) -> None:
    """Check a metrics table for a fraction printed as per cent. Raises DataError when it fails.

    The formula must give 10.0 % for forecasts 10 % too high, and no MAPE may be below MAE / max(y).
    """
    truth = np.array([0.2, 1.0, 7.0])
    if not np.isclose(ten := mape_percent(truth, 1.1 * truth), 10.0, rtol=1e-9):
        raise DataError(f"mape_percent is not in per cent: found {ten} for forecasts 10 % too high.")
    below = metrics_table["mape_percent"] < metrics_table["mape_floor_percent"] * (1 - 1e-6)
    if below.any():
        worst = metrics_table[below].iloc[0]
        raise DataError(
            f"Impossible MAPE of {worst['model']} on {worst['card']}: found {worst['mape_percent']:.4f} %, "
            f"but MAE / max(y) is {worst['mape_floor_percent']:.4f} % and bounds it from below. A fraction "
            "was probably taken for per cent; multiply it by 100."
        )


def align(forecasts_by_model: Mapping[str, pd.DataFrame]) -> Aligned:
    """Forecasts by task (in the order of FORECAST_TASKS) and model, cut to observed rows that all models
    have.

    A model without any row of a task is left out of that task. Raises as ``table`` does.
    """
    cards = [card.name for card in FORECAST_TASKS]
    found = {name for frame in forecasts_by_model.values() for name in frame["card"].unique()}
    if unknown := sorted(found - set(cards)):
        raise DataError(f"Unknown cards in the forecasts: found {unknown}, known are {cards}.")
    out = {}
    for card in [name for name in cards if name in found]:
        frames = {
            model: _rows_of(frame, card, model)
            for model, frame in forecasts_by_model.items()
            if (frame["card"] == card).any()
        }
        out[card] = _same_rows(frames, card)
    return out


def _rows_of(frame: pd.DataFrame, card: str, model: str) -> pd.DataFrame:
    if missing := sorted(set(FORECAST_COLUMNS) - set(frame)):
        raise DataError(f"Forecasts of {model} lack the columns {missing}.")
    rows = frame[(frame["card"] == card) & frame["observed_kw"].notna()]
    numbers = rows[["mean_kw", *QUANTILE_COLUMNS]].to_numpy(np.float64)
    if (bad := ~np.isfinite(numbers).all(axis=1)).any():
        raise ModelError(
            f"{model} has no finite forecast for {int(bad.sum())} of {len(rows)} observed rows of {card}, "
            f"the first at origin {rows['origin'].iloc[int(np.argmax(bad))]}. None may be left out."
        )
    if (repeated := int(rows.duplicated(KEY).sum())) > 0:
        raise DataError(f"{model} forecasts {repeated} rows of {card} more than once.")
    keys = [rows[name].to_numpy() for name in reversed(KEY)]
    return rows.iloc[np.lexsort(keys)].reset_index(drop=True)


def _same_rows(frames: dict[str, pd.DataFrame], card: str) -> dict[str, pd.DataFrame]:
    first = next(iter(frames.values()))
    if not all(len(frame) == len(first) and _keys(frame).equals(_keys(first)) for frame in frames.values()):
        shared = pd.MultiIndex.from_frame(_keys(first))
        for frame in frames.values():
            shared = shared.intersection(pd.MultiIndex.from_frame(_keys(frame)), sort=True)
        frames = {
            model: frame[pd.MultiIndex.from_frame(_keys(frame)).isin(shared)].reset_index(drop=True)
            for model, frame in frames.items()
        }
    truth = next(iter(frames.values()))["observed_kw"].to_numpy(np.float64)
    for model, frame in frames.items():
        if not np.allclose(frame["observed_kw"].to_numpy(np.float64), truth, rtol=1e-5, atol=1e-6):
            raise DataError(
                f"{model} has other observations than the other models on {card}; score it again."
            )
    return frames


def _keys(frame: pd.DataFrame) -> pd.DataFrame:
    """The key columns at one time resolution; tables from files and from memory may differ in theirs."""
    return frame[KEY].astype("datetime64[s]")


def reliability(frame: pd.DataFrame) -> Doubles:
    """Share of observations at or below each of QUANTILES, (9,); equal to the levels when calibrated."""
    observed = frame["observed_kw"].to_numpy(np.float64)[:, None]
    return (observed <= frame[list(QUANTILE_COLUMNS)].to_numpy(np.float64)).mean(axis=0)


def mase_scales_kw(
    history: History, before: np.datetime64, tasks: tuple[ForecastTask, ...]
) -> dict[str, float]:
    """Scales of MASE (Hyndman & Koehler 2006) by task, from the history before ``before``.

    A scale is the in-sample MAE (kW) of the same interval of the latest day that has ended. Tasks for which
    the history is too short are absent.
    """
    past = history.until(before)
    scales = {}
    for task in tasks:
        origins = past.origins(past.starts[0], past.end, task.origin_minutes)
        error = np.abs(
            past.targets(origins, task.leads) - past.same_time_lags(origins, task.leads, 1)[:, :, 0]
        )
        if np.isfinite(error).any():
            scales[task.name] = float(np.nanmean(error.astype(np.float64)))
    return scales


def _skill(metrics: dict[str, float], reference: dict[str, float] | None, name: str) -> float:
    if reference is None or not reference[name] > 0:
        return float("nan")
    return 1 - metrics[name] / reference[name]


def _mape_floor(observed: Doubles, miss: Doubles) -> float:
    """100 · MAE / max(y) over the rows of MAPE: a lower bound of MAPE, in per cent."""
    positive = observed > 0
    if not positive.any():
        return float("nan")
    return float(100 * miss[positive].mean() / observed.max())


def _peak_hour_hit_rate(frame: pd.DataFrame) -> float:
    """Share of fully observed days whose hour of highest load the forecast has right."""
    card = next(card for card in FORECAST_TASKS if card.name == frame["card"].iloc[0])
    if card.name not in _PEAK_TASKS:
        return float("nan")
    days = frame.groupby("origin", sort=True).filter(lambda day: len(day) == len(card.leads))
    if days.empty:
        return float("nan")
    shape = (-1, 24, len(card.leads) // 24)
    observed = days["observed_kw"].to_numpy(np.float64).reshape(shape).mean(axis=2)
    forecast = days["mean_kw"].to_numpy(np.float64).reshape(shape).mean(axis=2)
    return float(np.mean(observed.argmax(axis=1) == forecast.argmax(axis=1)))
