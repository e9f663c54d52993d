"""Forecasts of a span of time on every card, batched, with what really happened beside them."""

import numpy as np
import pandas as pd

from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.forecasting.forecaster import Forecast, Forecaster
from smartgrid_pipeline.core.schema import (
    FORECAST_COLUMNS,
    DataError,
    ForecastTask,
    LeadInterval,
    Times,
    tasks_for,
)

BATCH_FORECASTS = 131_072
"""Origins × leads asked of a forecaster at once; bounds memory whatever the span."""


def forecast_tasks(
    forecaster: Forecaster,
    history: History,
    start: np.datetime64,
    end: np.datetime64,
    cards: tuple[ForecastTask, ...] | None = None,
) -> pd.DataFrame:
    """Forecasts with FORECAST_COLUMNS from all origins of each card in [start, end).

    Only intervals that end at or before both ``end`` and the history's end are kept: a month is judged on
    itself. ``observed_kw`` is NaN unless every minute was observed. ``cards`` defaults to all the meter
    allows. Cards with the same origins share one call. Raises DataError when the span holds no origin.
    """
    cards = tasks_for(history.meter.working_minutes) if cards is None else cards
    last = min(end.astype("datetime64[m]"), history.end)
    frames = []
    for every in sorted({card.origin_minutes for card in cards}):
        group = [card for card in cards if card.origin_minutes == every]
        leads = tuple(dict.fromkeys(lead for card in group for lead in card.leads))
        origins = history.origins(start, last, every)
        for batch in batches(origins, len(leads)):
            forecast = forecaster.predict(history, batch, leads)
            frames += [task_frame(forecast, history, card, last) for card in group]
    if not any(len(frame) for frame in frames):
        raise DataError(
            f"Nothing to forecast between {start} and {end}: the history holds "
            f"{history.starts[0]} to {history.end}. Materialise that month first."
        )
    joined = pd.concat([frame for frame in frames if len(frame)], ignore_index=True)
    order = {card.name: i for i, card in enumerate(cards)}
    return joined.sort_values("card", key=lambda names: names.map(order), kind="stable", ignore_index=True)[
        list(FORECAST_COLUMNS)
    ]


def batches(origins: Times, n_leads: int) -> list[Times]:
    """Origins in groups that are asked at once."""
    size = max(1, BATCH_FORECASTS // n_leads)
    return [origins[i : i + size] for i in range(0, len(origins), size)]


def task_frame(forecast: Forecast, history: History, card: ForecastTask, last: np.datetime64) -> pd.DataFrame:
    """The rows of one card out of a forecast of several, without intervals that end after ``last``."""
    column_of: dict[LeadInterval, int] = {lead: j for j, lead in enumerate(forecast.leads)}
    columns = [column_of[lead] for lead in card.leads]
    part = Forecast(
        forecast.origins, card.leads, forecast.mean_kw[:, columns], forecast.quantiles_kw[:, columns]
    )
    frame = part.to_frame(card.name, history.targets(forecast.origins, card.leads))
    return frame[frame["interval_end"].to_numpy() <= last]
