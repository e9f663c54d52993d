"""How a home is judged: fit before its last quarter, forecast each of its days from midnight."""

import time
from dataclasses import replace
from typing import Any

import numpy as np

from smartgrid_pipeline.core.evaluation.scoring.backtest import forecast_cards
from smartgrid_pipeline.core.evaluation.scoring.metrics import score
from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.forecasting.analog_ensemble.model import AnalogEnsemble
from smartgrid_pipeline.core.forecasting.catalogue import create
from smartgrid_pipeline.core.forecasting.fallback import predict_with_fallback
from smartgrid_pipeline.core.forecasting.forecaster import FULL, Forecaster, Split
from smartgrid_pipeline.core.schema import FORECAST_TASKS

CARD = next(card for card in FORECAST_TASKS if card.name == "T4")
ANALOGUE, OURS = "analogue_28d", AnalogEnsemble.name
QUARTER_DAYS = 91

SHOWN = ("crps_kw", "coverage_80", "rmse_kw", "cvrmse_percent")


def make(name: str) -> Forecaster:
    """A model by name; the learned analogue is no candidate of its own and has no entry in the catalogue."""
    return AnalogEnsemble(FULL) if name == OURS else create(name, FULL)


def quarter(history: History, part: str) -> np.datetime64:
    """Where the test begins: 91 days before the end, or a fourth of the record."""
    days = np.timedelta64(QUARTER_DAYS, "D")
    length = days if part == "last_91_days" else (history.end - history.starts[0]) / 4
    return (history.end - length).astype("datetime64[D]").astype("datetime64[m]")


def judge(
    history: History, test: np.datetime64, names: tuple[str, ...], learn_days: int | None = None
) -> dict[str, dict[str, float]]:
    """Scores of each model on T4 from ``test`` to the end; with ``learn_days`` nothing older is known."""
    if learn_days is not None:
        history = since(history, test - np.timedelta64(learn_days, "D"))
    past, out = history.until(test), {}
    for name in names:
        model, begun = make(name), time.process_time()
        model.fit(past, Split.before(test, past))
        frame = forecast_cards(model, history, test, history.end, (CARD,))
        scores = score(frame[frame["observed_kw"].notna()])
        out[name] = {key: scores[key] for key in SHOWN} | {"cpu_seconds": time.process_time() - begun}
    return out


def judge_cold(history: History, test: np.datetime64, hours: float) -> dict[str, Any]:
    """Fallback forecasts of every fourth midnight when only the last hours before each are known."""
    origins = history.origins(test, history.end - np.timedelta64(1440, "m"), 4 * 1440)
    tiers, crps = [], []
    for origin in origins:
        known = last_hours(history, origin, hours)
        found = predict_with_fallback(None, None, known, np.array([origin]), CARD.leads)
        tiers += found.tier_names()
        frame = found.forecast.to_frame(CARD.name, history.targets(np.array([origin]), CARD.leads))
        crps.append(score(frame[frame["observed_kw"].notna()])["crps_kw"])
    kinds = sorted(set(tiers), key=tiers.count)
    return {"tier": kinds[-1], "crps_kw": float(np.nanmean(crps))}


def since(history: History, start: np.datetime64) -> History:
    """A history that begins later."""
    return _rows(history, int(np.searchsorted(history.starts, start)))


def last_hours(history: History, origin: np.datetime64, hours: float) -> History:
    """Nothing but the last hours before an origin; with none, one row in which nothing was observed."""
    past = history.until(origin)
    if hours:
        return _rows(past, len(past.starts) - round(hours * 60 / past.meter.working_minutes))
    one = _rows(past, len(past.starts) - 1)
    return replace(one, power_kw=np.full(1, np.nan, np.float32), observed_share=np.zeros(1, np.float32))


def _rows(history: History, first: int) -> History:
    return replace(
        history,
        starts=history.starts[first:],
        power_kw=history.power_kw[first:],
        observed_share=history.observed_share[first:],
        features=history.features[first:],
        within={channel: values[first:] for channel, values in history.within.items()},
    )
