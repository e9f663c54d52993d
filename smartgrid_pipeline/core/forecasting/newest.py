"""The newest forecast: from recent readings to every lead interval after the last complete one; no mlflow."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from smartgrid_pipeline.core import meter_data
from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.forecasting.forecaster import Forecast, Forecaster
from smartgrid_pipeline.core.forecasting.history_frames import build_feature_table, history_from_table
from smartgrid_pipeline.core.schema import QUANTILE_COLUMNS, DataError, Meter, ModelError, leads_for

if TYPE_CHECKING:
    from smartgrid_pipeline.core.forecasting.fallback import FallbackForecast

Loaders = Mapping[str, Callable[[Path], Forecaster]]
"""Model name → its ``load``."""

OUTPUT_COLUMNS = ("origin", "lead_start_minutes", "lead_end_minutes", "mean_kw", *QUANTILE_COLUMNS)

WINDOW_DAYS = 480
"""Readings behind a newest forecast: a year ago, the weeks around that, and what fills their gaps."""


def load_forecaster(name: str, directory: Path, loaders: Loaders) -> Forecaster:
    """Load by name. Raises ModelError for a name outside ``loaders``."""
    if name not in loaders:
        raise ModelError(f"No way to load a model named {name!r}; known are {', '.join(sorted(loaders))}.")
    return loaders[name](directory)


def newest_forecast(
    champion: Forecaster | None, fitted_on: Meter | None, recorded: pd.DataFrame, meter: Meter
) -> "FallbackForecast":
    """Forecast every lead the meter resolves from the end of the last complete working interval.

    ``recorded`` are readings as they came, indexed by INTERVAL_START; defects are left out. Uses the best
    tier of the fallback chain that they allow, down to the default profile when no interval is complete.
    ``fitted_on`` is the champion's meter, whose calendar and channels are used. Raises DataError when
    ``recorded`` is empty.
    """
    from smartgrid_pipeline.core.forecasting import fallback  # needs torch; a logged ridge model does not

    if fitted_on is not None:
        shared = tuple(channel for channel in fitted_on.channels if channel in meter.channels)
        meter = replace(fitted_on, step_minutes=meter.step_minutes, channels=shared)
    grid = meter_data.to_grid(recorded[list(meter.channels)], meter)
    recent = grid[grid.index >= grid.index[-1] - pd.Timedelta(days=WINDOW_DAYS)]
    clean = meter_data.mask(recent, meter_data.defect_types(recent))
    origin = newest_origin(clean, meter)
    complete = _before(clean, origin, meter)
    history = _history(_unobserved(origin, meter) if complete.empty else complete, meter)
    leads = leads_for(meter.working_minutes)
    return fallback.predict_with_fallback(champion, fitted_on, history, np.array([origin]), leads)


def model_forecast(forecaster: Forecaster, readings: pd.DataFrame, meter: Meter) -> Forecast:
    """What one model forecasts from the same origin, with no fallback: the answer of a logged model.

    ``readings`` is indexed by INTERVAL_START, masked, and may lack rows; seven days or more make every
    feature complete. Raises DataError when there is not one complete interval.
    """
    grid = meter_data.to_grid(readings, meter)
    origin = newest_origin(grid, meter)
    complete = _before(grid, origin, meter)
    if complete.empty:
        raise DataError(
            f"Readings of {len(grid)} rows hold no complete interval of {meter.working_minutes} min; "
            "give at least one, better seven days."
        )
    return forecaster.predict(_history(complete, meter), np.array([origin]), leads_for(meter.working_minutes))


def newest_origin(grid: pd.DataFrame, meter: Meter) -> np.datetime64:
    """End of the last working interval that a grid of readings covers to its end."""
    end = grid.index[-1].to_datetime64().astype("datetime64[m]") + np.timedelta64(meter.step_minutes, "m")
    midnight = end.astype("datetime64[D]").astype("datetime64[m]")
    working = np.timedelta64(meter.working_minutes, "m")
    return midnight + (end - midnight) // working * working


def _before(grid: pd.DataFrame, origin: np.datetime64, meter: Meter) -> pd.DataFrame:
    """Readings that ended at or before the origin."""
    ends = grid.index.to_numpy().astype("datetime64[m]") + np.timedelta64(meter.step_minutes, "m")
    return grid[ends <= origin]


def _unobserved(origin: np.datetime64, meter: Meter) -> pd.DataFrame:
    """One working interval before the origin in which nothing was observed."""
    step = pd.Timedelta(minutes=meter.step_minutes)
    first = pd.Timestamp(origin) - pd.Timedelta(minutes=meter.working_minutes)
    index = pd.date_range(first, pd.Timestamp(origin) - step, freq=step)
    nothing = pd.DataFrame(np.nan, index=index, columns=list(meter.channels))
    return meter_data.to_grid(nothing, meter)


def _history(grid: pd.DataFrame, meter: Meter) -> History:
    return history_from_table(build_feature_table(meter_data.resample(grid, meter), meter), meter)


def to_frame(forecast: Forecast) -> pd.DataFrame:
    """One forecast origin as a frame of OUTPUT_COLUMNS, a row per lead interval."""
    frame = pd.DataFrame(
        {
            "origin": forecast.origins.astype("datetime64[us]").repeat(len(forecast.leads)),
            "lead_start_minutes": [lead.start_minutes for lead in forecast.leads],
            "lead_end_minutes": [lead.end_minutes for lead in forecast.leads],
            "mean_kw": forecast.mean_kw[0].astype(np.float64),
        }
    )
    for k, column in enumerate(QUANTILE_COLUMNS):
        frame[column] = forecast.quantiles_kw[0, :, k].astype(np.float64)
    return frame
