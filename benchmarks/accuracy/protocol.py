"""The test: which tasks from which origins, one fit before it, recalibration at the start of each month."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from smartgrid_pipeline.core.evaluation.scoring import backtest
from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.forecasting.forecaster import Forecast, Split
from smartgrid_pipeline.core.forecasting.monthly_policy import ONE_FIT
from smartgrid_pipeline.core.schema import ForecastTask, LeadInterval, Times, tasks_for

Predict = Callable[[History, Times, tuple[LeadInterval, ...]], dict[str, Forecast]]
"""History, origins and leads → forecasts by row of the result table."""


@dataclass(frozen=True)
class Window:
    """A card over a span of origins, [start, end of the test), under the name it has in the results."""

    name: str
    card: str
    start: np.datetime64


@dataclass(frozen=True)
class Protocol:
    """Fit on everything before ``fit_before``; score each window until ``end``, which no interval exceeds."""

    year: int
    fit_before: np.datetime64
    end: np.datetime64
    windows: tuple[Window, ...]

    @classmethod
    def of_year(cls, year: int, history: History, until: np.datetime64 | None = None) -> Self:
        """The test of a civil year: day ahead in quarters of an hour from late November before it."""
        fit_before = {2010: "2009-11-26", 2009: "2008-11-27"}[year]
        first, spring = np.datetime64(f"{year}-01-01", "m"), np.datetime64(f"{year}-04-01", "m")
        november = np.datetime64(fit_before, "m")
        windows = (
            Window("T1", "T1", first),
            Window("T1_path", "T1_path", first),
            Window("T2", "T2", first),
            Window("T3", "T3", november),
            Window("T4", "T4", spring),
            Window("T4_year", "T4", first),
            Window("T5", "T5", first),
            Window("T5_week", "T5_week", first),
        )
        possible = {card.name for card in tasks_for(history.meter.working_minutes)}
        end = min(np.datetime64(f"{year + 1}-01-01", "m"), history.end)
        end = min(end, until) if until is not None else end
        windows = tuple(w for w in windows if w.card in possible and w.start < end)
        return cls(year, november, end, windows)

    def only(self, cards: list[str] | None) -> "Protocol":
        """The same test of some cards."""
        windows = tuple(w for w in self.windows if cards is None or w.card in cards)
        return Protocol(self.year, self.fit_before, self.end, windows)

    def split(self, history: History) -> Split:
        """The training window."""
        return Split.before(self.fit_before, history)

    def months(self) -> list[tuple[np.datetime64, np.datetime64]]:
        """First and last (exclusive) minute of each civil month of the test, the first from its first day."""
        first = min(window.start for window in self.windows)
        names = np.arange(first.astype("datetime64[M]"), self.end.astype("datetime64[M]") + 1)
        bounds = [(m.astype("datetime64[m]"), (m + 1).astype("datetime64[m]")) for m in names]
        return [(max(a, first), min(b, self.end)) for a, b in bounds if a < self.end]

    def cards(self, history: History, start: np.datetime64) -> tuple[ForecastTask, ...]:
        """The tasks forecast in the month that begins at ``start``."""
        names = {window.card for window in self.windows if window.start <= start}
        return tuple(card for card in tasks_for(history.meter.working_minutes) if card.name in names)

    def key(self) -> str:
        """What identifies the test in file names."""
        cards = "-".join(dict.fromkeys(window.card for window in self.windows))
        return f"{self.year}-{str(self.end)[:10]}-{cards}"


def predictor(forecaster: Any) -> Predict:
    """One row of the table from any forecaster; several from a mixture, which forecasts its ablations too."""
    if not hasattr(forecaster, "predict_all"):
        return lambda history, origins, leads: {forecaster.name: forecaster.predict(history, origins, leads)}

    def predict(history: History, origins: Times, leads: tuple[LeadInterval, ...]) -> dict[str, Forecast]:
        rows = forecaster.predict_all(history, origins, leads)
        return {name: row for name, row in rows.items() if name not in forecaster.expert_names}

    return predict


def rolling(forecaster: Any, history: History, protocol: Protocol) -> dict[str, pd.DataFrame]:
    """Forecasts with FORECAST_COLUMNS of every row of the forecaster, over all months of the test."""
    history = history.until(protocol.end)
    frames: dict[str, list[pd.DataFrame]] = {}
    current = forecaster
    for start, end in protocol.months():
        current = ONE_FIT.apply(current, history, protocol.fit_before, start)
        for name, parts in _month(predictor(current), history, protocol, start, end).items():
            frames.setdefault(name, []).extend(parts)
    return {name: pd.concat(parts, ignore_index=True) for name, parts in frames.items()}


def _month(
    predict: Predict, history: History, protocol: Protocol, start: np.datetime64, end: np.datetime64
) -> dict[str, list[pd.DataFrame]]:
    cards = protocol.cards(history, start)
    frames: dict[str, list[pd.DataFrame]] = {}
    for every in sorted({card.origin_minutes for card in cards}):
        group = [card for card in cards if card.origin_minutes == every]
        leads = tuple(dict.fromkeys(lead for card in group for lead in card.leads))
        for batch in backtest.batches(history.origins(start, end, every), len(leads)):
            for name, forecast in predict(history, batch, leads).items():
                parts = [backtest.task_frame(forecast, history, card, protocol.end) for card in group]
                frames.setdefault(name, []).extend(part for part in parts if len(part))
    return frames
