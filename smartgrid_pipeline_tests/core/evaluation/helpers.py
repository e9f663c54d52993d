"""Small forecasters and forecast tables whose scores can be worked out by hand."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.forecasting.forecaster import Forecast, Split, sort_and_clip
from smartgrid_pipeline.core.schema import FORECAST_TASKS, QUANTILES, Floats, LeadInterval, Times

Rule = Callable[[History, Times, tuple[LeadInterval, ...]], Floats]


@dataclass
class RuleForecaster:
    """Forecasts the mean by a rule, the quantiles by a fixed spread (kW) around it."""

    name: str
    rule: Rule
    spread_kw: float = 0.5

    def fit(self, history: History, split: Split) -> None:
        """Nothing to learn."""

    def predict(self, history: History, origins: Times, leads: tuple[LeadInterval, ...]) -> Forecast:
        mean = np.nan_to_num(self.rule(history, origins, leads), nan=0.5).astype(np.float32)
        offsets = self.spread_kw * (np.array(QUANTILES, np.float32) - 0.5)
        return Forecast(origins, leads, *sort_and_clip(mean, mean[:, :, None] + offsets))

    def parameters(self) -> dict[str, Any]:
        return {}

    def curves(self) -> pd.DataFrame:
        return pd.DataFrame()

    def save(self, directory: Path) -> None:
        (directory / "rule.txt").write_text(self.name)

    @classmethod
    def load(cls, directory: Path) -> Self:
        return cls((directory / "rule.txt").read_text(), persistence)


class HeavyForecaster(RuleForecaster):
    """Holds on to some memory from its loading on."""

    MEGABYTES = 200

    @classmethod
    def load(cls, directory: Path) -> Self:
        model = super().load(directory)
        model.ballast = np.ones(cls.MEGABYTES * 125_000)  # type: ignore[attr-defined]
        return model


def persistence(history: History, origins: Times, leads: tuple[LeadInterval, ...]) -> Floats:
    """The last value for every lead."""
    return np.repeat(history.power_kw[history.rows(origins)][:, None], len(leads), axis=1)


def yesterday(history: History, origins: Times, leads: tuple[LeadInterval, ...]) -> Floats:
    """The same interval of the latest day that has ended."""
    return history.same_time_lags(origins, leads, 1)[:, :, 0]


def peeking(history: History, origins: Times, leads: tuple[LeadInterval, ...]) -> Floats:
    """What will really happen: the leak every audit must find."""
    return history.targets(origins, leads)


def forecasts(
    observed: np.ndarray,
    mean: np.ndarray,
    card: str = "T2",
    spread_kw: float = 1.0,
    start: str = "2010-03-01",
) -> pd.DataFrame:
    """A forecast table of a card from flat arrays in its order of rows; quantiles spread around the mean."""
    known = next(each for each in FORECAST_TASKS if each.name == card)
    n_leads = len(known.leads)
    step = np.timedelta64(known.origin_minutes, "m")
    origins = np.datetime64(start, "m") + step * np.arange(len(observed) // n_leads)
    quantiles = np.asarray(mean, float)[:, None] + spread_kw * (np.array(QUANTILES) - 0.5)
    shape = (len(origins), n_leads)
    forecast = Forecast(
        origins,
        known.leads,
        np.asarray(mean, float).reshape(shape),
        quantiles.reshape(*shape, len(QUANTILES)),
    )
    return forecast.to_frame(card, np.asarray(observed, float).reshape(shape))


def noisy(
    observed: np.ndarray, sd_kw: float, seed: int, card: str = "T2", spread_kw: float = 1.0
) -> pd.DataFrame:
    """Forecasts of the truth plus seeded noise."""
    rng = np.random.default_rng(seed)
    return forecasts(observed, observed + rng.normal(0, sd_kw, len(observed)), card, spread_kw)


def truth(rows: int, seed: int = 0) -> np.ndarray:
    """A positive load with a daily rhythm at hourly steps."""
    rng = np.random.default_rng(seed)
    return 1.5 + np.sin(np.arange(rows) / 24 * 2 * np.pi) + rng.gamma(2.0, 0.1, rows)


def month_of_models(models: dict[str, float], days: int = 20) -> dict[str, pd.DataFrame]:
    """Forecasts on T2 and T4 of models that err by a given sd (kW) around one truth."""
    hourly = truth(24 * days)
    out = {}
    for i, (name, sd) in enumerate(models.items()):
        parts = [noisy(hourly, sd, 7 * i + j, card) for j, card in enumerate(("T2", "T4"))]
        out[name] = pd.concat(parts, ignore_index=True)
    return out
