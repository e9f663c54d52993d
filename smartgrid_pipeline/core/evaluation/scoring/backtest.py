"""Backtest: forecasts of every task over a span of time, with the observations beside them."""

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
"""Most forecasts (origins × leads) per call of a forecaster; bounds memory over any span."""


def forecast_tasks(
    forecaster: Forecaster,
    history: History,
    start: np.datetime64,
    end: np.datetime64,
    tasks: tuple[ForecastTask, ...] | None = None,
) -> pd.DataFrame:
    """Forecasts (FORECAST_COLUMNS) from all origins of each task in [start, end).

    Intervals that end after ``end`` or after the history's end are left out, so that a month is scored on its
    own readings. ``observed_kw`` is NaN unless every minute was observed. ``tasks`` defaults to all tasks of
    the meter; tasks with the same origins share one call of the forecaster. Raises DataError when the span
    holds no origin.
    """
    tasks = tasks_for(history.meter.working_minutes) if tasks is None else tasks
    last = min(end.astype("datetime64[m]"), history.end)
    frames = []
    for every in sorted({task.origin_minutes for task in tasks}):
        group = [task for task in tasks if task.origin_minutes == every]
        leads = tuple(dict.fromkeys(lead for task in group for lead in task.leads))
        origins = history.origins(start, last, every)
        for batch in batches(origins, len(leads)):
            forecast = forecaster.predict(history, batch, leads)
            frames += [task_frame(forecast, history, task, last) for task in group]
    if not any(len(frame) for frame in frames):
        raise DataError(
            f"Nothing to forecast between {start} and {end}: the history holds "
            f"{history.starts[0]} to {history.end}. Materialise that month first."
        )
    joined = pd.concat([frame for frame in frames if len(frame)], ignore_index=True)
    order = {task.name: i for i, task in enumerate(tasks)}
    return joined.sort_values("card", key=lambda names: names.map(order), kind="stable", ignore_index=True)[
        list(FORECAST_COLUMNS)
    ]


def batches(origins: Times, n_leads: int) -> list[Times]:
    """Origins in groups of at most BATCH_FORECASTS forecasts."""
    size = max(1, BATCH_FORECASTS // n_leads)
    return [origins[i : i + size] for i in range(0, len(origins), size)]


def task_frame(forecast: Forecast, history: History, task: ForecastTask, last: np.datetime64) -> pd.DataFrame:
    """The rows of one task from a forecast of several, without intervals that end after ``last``."""
    column_of: dict[LeadInterval, int] = {lead: j for j, lead in enumerate(forecast.leads)}
    columns = [column_of[lead] for lead in task.leads]
    part = Forecast(
        forecast.origins, task.leads, forecast.mean_kw[:, columns], forecast.quantiles_kw[:, columns]
    )
    frame = part.to_frame(task.name, history.targets(forecast.origins, task.leads))
    return frame[frame["interval_end"].to_numpy() <= last]
