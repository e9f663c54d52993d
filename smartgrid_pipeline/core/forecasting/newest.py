"""A stored forecaster loaded by name and asked for its newest forecast, without any of mlflow."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from smartgrid_pipeline.core import meter_data
from smartgrid_pipeline.core.features import feature_table
from smartgrid_pipeline.core.forecasting.forecaster import Forecast, Forecaster
from smartgrid_pipeline.core.forecasting.history import history_from_table
from smartgrid_pipeline.core.schema import QUANTILE_COLUMNS, DataError, Meter, ModelError, leads_for

Loaders = Mapping[str, Callable[[Path], Forecaster]]
"""Model name → its ``load``."""

OUTPUT_COLUMNS = ("origin", "lead_start_minutes", "lead_end_minutes", "mean_kw", *QUANTILE_COLUMNS)


def load_forecaster(name: str, directory: Path, loaders: Loaders) -> Forecaster:
    """Load by name. Raises ModelError for a name outside ``loaders``."""
    if name not in loaders:
        raise ModelError(f"No way to load a model named {name!r}; known are {', '.join(sorted(loaders))}.")
    return loaders[name](directory)


def forecast_latest(forecaster: Forecaster, readings: pd.DataFrame, meter: Meter) -> Forecast:
    """Forecast every lead the meter resolves from the end of the last complete working interval.

    ``readings`` is indexed by INTERVAL_START, masked, and may lack rows; seven days or more make every
    feature complete. Raises DataError when there is not one complete interval.
    """
    grid = meter_data.to_grid(readings, meter)
    step = np.timedelta64(meter.step_minutes, "m")
    ends = grid.index.to_numpy().astype("datetime64[m]") + step
    midnight = ends[-1].astype("datetime64[D]").astype("datetime64[m]")
    working = np.timedelta64(meter.working_minutes, "m")
    origin = midnight + (ends[-1] - midnight) // working * working
    complete = grid[ends <= origin]
    if complete.empty:
        raise DataError(
            f"Readings of {len(grid)} rows hold no complete interval of {meter.working_minutes} min; "
            "give at least one, better seven days."
        )
    table = feature_table.table(meter_data.resample(complete, meter), meter)
    return forecaster.predict(
        history_from_table(table, meter), np.array([origin]), leads_for(meter.working_minutes)
    )


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
