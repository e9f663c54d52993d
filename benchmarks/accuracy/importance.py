"""Permutation importance of groups of inputs: how much worse forecasts get when one group is spoiled.

Readings are spoiled, not the columns of one model, so that it works with any forecaster: stretches of the
past are exchanged between forecast origins, or the clock is set wrong.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from smartgrid_pipeline.core.evaluation.scoring import backtest, metrics
from smartgrid_pipeline.core.features import feature_table
from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.forecasting.forecaster import Forecast
from smartgrid_pipeline.core.forecasting.history_frames import features_of
from smartgrid_pipeline.core.schema import ACTIVE_POWER, INTERVAL_START, ForecastTask, Times

Rows = npt.NDArray[np.int64]

HOUR, DAY = 60, 1440
REACH_DAYS = 430
"""Days kept before the first origin: more than any forecaster reads."""


@dataclass(frozen=True)
class Stretch:
    """Readings from ``oldest`` to ``newest`` minutes before an origin, exchanged between origins ``days``
    apart, so that no origin's forecast reads another's stretch; ``phases`` sets of such origins are used.
    """

    oldest: int
    newest: int
    days: int
    phases: int


STRETCHES = {
    "the last hour": Stretch(HOUR, 0, 3, 2),
    "the hours before, to a day": Stretch(DAY, HOUR, 10, 3),
    "days and weeks before that": Stretch(28 * DAY, DAY, 30, 3),
}
CLOCKS = {"hour of the day": 12 * HOUR, "weekday and holidays": 3 * DAY, "season": 182 * DAY}
"""Group → by how many minutes the clock is set wrong."""


def permutation_importance(
    forecaster: Any, history: History, cards: tuple[ForecastTask, ...], start: np.datetime64, seed: int = 0
) -> dict[str, dict[str, dict[str, float]]]:
    """Card → group of inputs → by how many per cent CRPS and RMSE grow when it is spoiled (one repeat).

    Origins are those of the cards (which must share theirs with the first) from ``start`` to the history's
    end, at one hour of the day per phase; ``n`` counts scored intervals.
    """
    rng = np.random.default_rng(seed)
    test_days = -(-(history.end - start) // np.timedelta64(1, "D"))
    history = history.last_days(int(test_days) + REACH_DAYS)
    scored = ScoredForecasts(forecaster, history, cards)
    out: dict[str, dict[str, dict[str, float]]] = {card.name: {} for card in cards}
    for group, spoiled in _groups(history, cards, start, rng):
        pairs = [
            (scored.frames(origins), scored.frames(origins, past, shift))
            for origins, past, shift in spoiled()
        ]
        for card in cards:
            usual, found = (pd.concat([pair[k][card.name] for pair in pairs]) for k in (0, 1))
            out[card.name][group] = _growth(usual, found)
    return out


@dataclass(frozen=True)
class ScoredForecasts:
    """Forecasts of one forecaster for some tasks, scored on the true history."""

    forecaster: Any
    history: History
    cards: tuple[ForecastTask, ...]

    def frames(
        self, origins: Times, past: History | None = None, shift_minutes: int = 0
    ) -> dict[str, pd.DataFrame]:
        """Task → scored rows, forecast from ``past`` on a clock that is ``shift_minutes`` ahead."""
        leads = tuple(dict.fromkeys(lead for card in self.cards for lead in card.leads))
        shifted_origins = origins + np.timedelta64(shift_minutes, "m")
        shifted = self.forecaster.predict(past or self.history, shifted_origins, leads)
        forecast = Forecast(origins, leads, shifted.mean_kw, shifted.quantiles_kw)
        out = {}
        for card in self.cards:
            frame = backtest.task_frame(forecast, self.history, card, self.history.end)
            out[card.name] = frame[frame["observed_kw"].notna()]
        return out


Spoiled = Callable[[], Iterator[tuple[Times, History, int]]]
"""Origins, the spoiled history to forecast them from, and by how many minutes its clock is ahead."""


def _groups(
    history: History, cards: tuple[ForecastTask, ...], start: np.datetime64, rng: np.random.Generator
) -> Iterator[tuple[str, Spoiled]]:
    midnights = cards[0].origin_minutes == DAY
    for name, stretch in STRETCHES.items():
        yield name, lambda s=stretch: _stretches(history, s, start, midnights, rng)  # type: ignore[misc]
    sample = np.unique(np.concatenate(list(_phases(history, STRETCHES["the last hour"], start, midnights))))
    if len(history.meter.channels) > 1:
        yield "other channels", lambda: iter([(sample, _other_days(history, rng), 0)])
    if history.within:
        yield "readings inside the intervals", lambda: iter([(sample, _flat_inside(history), 0)])
    for name, minutes in CLOCKS.items():
        yield name, lambda m=minutes: iter([(sample, _on_another_clock(history, m), m)])  # type: ignore[misc]


def _phases(history: History, stretch: Stretch, start: np.datetime64, midnights: bool) -> Iterator[Times]:
    """Sets of origins ``stretch.days`` apart; unless at midnight, each set at another hour."""
    first = start.astype("datetime64[D]") + 1
    for phase in range(stretch.phases):
        hour = 0 if midnights else (7 + 24 * phase // stretch.phases) % 24
        begin = first + phase * stretch.days // stretch.phases + np.timedelta64(hour, "h")
        yield np.arange(begin.astype("datetime64[m]"), history.end, np.timedelta64(stretch.days * DAY, "m"))


def _stretches(
    history: History, stretch: Stretch, start: np.datetime64, midnights: bool, rng: np.random.Generator
) -> Iterator[tuple[Times, History, int]]:
    for origins in _phases(history, stretch, start, midnights):
        yield origins, exchanged(history, origins, stretch.oldest, stretch.newest, rng), 0


def exchanged(
    history: History, origins: Times, oldest: int, newest: int, rng: np.random.Generator
) -> History:
    """Readings ``oldest`` … ``newest`` minutes before each origin replaced by those before another origin."""
    step = history.meter.working_minutes
    offsets = np.arange(-(oldest // step), -(newest // step)) + 1
    rows = history.rows(origins)[:, None] + offsets[None, :]
    cycle_order = rng.permutation(len(rows))
    donors = np.empty_like(rows)
    donors[cycle_order] = rows[np.roll(cycle_order, 1)]  # every origin gets another's
    order = np.arange(len(history.starts))
    inside = (rows >= 0) & (donors >= 0)
    order[rows[inside]] = donors[inside]
    return _rebuilt(history, order, order)


def _other_days(history: History, rng: np.random.Generator) -> History:
    """Every channel but the power as it was on another day."""
    day = DAY // history.meter.working_minutes
    n = len(history.starts) // day * day
    days = rng.permutation(n // day)
    order = np.arange(len(history.starts))
    order[:n] = (days[:, None] * day + np.arange(day)).ravel()
    return _rebuilt(history, np.arange(len(history.starts)), order)


def _flat_inside(history: History) -> History:
    """Every reading inside an interval equal to the interval's mean."""
    within = {}
    for channel, values in history.within.items():
        known = ~np.isnan(values)
        mean = np.where(known, values, 0).sum(1) / np.maximum(known.sum(1), 1)
        within[channel] = np.where(known, mean[:, None], np.nan).astype(np.float32)
    return replace(history, within=within)


def _on_another_clock(history: History, minutes: int) -> History:
    """The same readings on a clock that is ahead by so many minutes."""
    order = np.arange(len(history.starts))
    moved = replace(history, starts=history.starts + np.timedelta64(minutes, "m"))
    return _rebuilt(moved, order, order)


def _rebuilt(history: History, power_rows: Rows, other_rows: Rows) -> History:
    """The history with readings from other rows and the features built from these readings."""
    meter = history.meter
    rows_of = {channel: power_rows if channel == ACTIVE_POWER else other_rows for channel in meter.channels}
    channels = {c: history.channel_means(c)[rows] for c, rows in rows_of.items()}
    index = pd.DatetimeIndex(history.starts.astype("datetime64[s]"), name=INTERVAL_START)
    built = features_of(pd.DataFrame(channels, index=index), meter)
    return replace(
        history,
        power_kw=history.power_kw[power_rows],
        observed_share=history.observed_share[power_rows],
        features=np.ascontiguousarray(built[list(feature_table.names(meter))].to_numpy(np.float32)),
        within={c: values[rows_of[c]] for c, values in history.within.items()},
    )


def _growth(usual: pd.DataFrame, found: pd.DataFrame) -> dict[str, float]:
    """Growth of CRPS and RMSE in per cent on the same rows."""
    crps = [float(metrics.row_loss(frame, "crps").mean()) for frame in (usual, found)]
    rmse = [float(np.sqrt(metrics.row_loss(frame, "squared").mean())) for frame in (usual, found)]
    return {
        "crps_increase_percent": 100 * (crps[1] / crps[0] - 1),
        "rmse_increase_percent": 100 * (rmse[1] / rmse[0] - 1),
        "n": float(len(usual)),
    }
