"""The test of a home: fit before its last quarter, forecast each of the days after it from midnight."""

import time
from typing import Any

import numpy as np

from smartgrid_pipeline.core.evaluation.scoring.backtest import forecast_tasks
from smartgrid_pipeline.core.evaluation.scoring.metrics import score
from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.forecasting.analog_ensemble.model import AnalogEnsemble
from smartgrid_pipeline.core.forecasting.catalogue import create
from smartgrid_pipeline.core.forecasting.fallback import predict_with_fallback
from smartgrid_pipeline.core.forecasting.forecaster import FULL, Forecaster, Split
from smartgrid_pipeline.core.schema import FORECAST_TASKS

DAY_AHEAD = next(task for task in FORECAST_TASKS if task.name == "T4")
ANALOGUE, OURS = "analogue_28d", AnalogEnsemble.name
QUARTER_DAYS = 91

KEPT_METRICS = ("crps_kw", "coverage_80", "rmse_kw", "cvrmse_percent")


def make(name: str) -> Forecaster:
    """A model by name. The analog ensemble is no candidate of its own, so the catalogue does not have it."""
    return AnalogEnsemble(FULL) if name == OURS else create(name, FULL)


def quarter(history: History, part: str) -> np.datetime64:
    """Where the test begins: 91 days before the end, or a fourth of the record."""
    days = np.timedelta64(QUARTER_DAYS, "D")
    length = days if part == "last_91_days" else (history.end - history.starts[0]) / 4
    return (history.end - length).astype("datetime64[D]").astype("datetime64[m]")


def score_models(
    history: History, test: np.datetime64, names: tuple[str, ...], learn_days: int | None = None
) -> dict[str, dict[str, float]]:
    """Model → its scores on T4 from ``test`` to the end, and the CPU seconds of its fit and forecasts.

    With ``learn_days`` the history begins so many days before ``test``.
    """
    if learn_days is not None:
        first = int(np.searchsorted(history.starts, test - np.timedelta64(learn_days, "D")))
        history = history.part(first, len(history.starts))
    past, out = history.until(test), {}
    for name in names:
        model, begun = make(name), time.process_time()
        model.fit(past, Split.before(test, past))
        frame = forecast_tasks(model, history, test, history.end, (DAY_AHEAD,))
        scores = score(frame[frame["observed_kw"].notna()])
        out[name] = {key: scores[key] for key in KEPT_METRICS} | {"cpu_seconds": time.process_time() - begun}
    return out


def score_cold_start(history: History, test: np.datetime64, hours: float) -> dict[str, Any]:
    """The most frequent tier and the mean CRPS (kW) of fallback forecasts from every fourth midnight.

    Only the last ``hours`` before each midnight are available to them.
    """
    origins = history.origins(test, history.end - np.timedelta64(1440, "m"), 4 * 1440)
    tiers, crps = [], []
    for origin in origins:
        known = last_hours(history, origin, hours)
        found = predict_with_fallback(None, None, known, np.array([origin]), DAY_AHEAD.leads)
        tiers += found.tier_names()
        frame = found.forecast.to_frame(DAY_AHEAD.name, history.targets(np.array([origin]), DAY_AHEAD.leads))
        crps.append(score(frame[frame["observed_kw"].notna()])["crps_kw"])
    most_frequent = max(sorted(set(tiers)), key=tiers.count)
    return {"tier": most_frequent, "crps_kw": float(np.nanmean(crps))}


def last_hours(history: History, origin: np.datetime64, hours: float) -> History:
    """The last hours before an origin; with 0 hours one row in which nothing was observed."""
    past = history.until(origin)
    rows = len(past.starts)
    if hours:
        return past.part(max(0, rows - round(hours * 60 / past.meter.working_minutes)), rows)
    return past.part(rows - 2, rows - 1).with_missing_rows(1).part(1, 2)
