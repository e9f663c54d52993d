"""A forecaster as an MLflow model: recent readings in, the forecast of the latest origin out; no pickle."""

import json
import warnings
from collections.abc import Callable
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema

from smartgrid_pipeline.core.forecasting.forecaster import Forecaster
from smartgrid_pipeline.core.forecasting.newest import Loaders, load_forecaster, model_forecast, to_frame
from smartgrid_pipeline.core.schema import (
    CHANNELS,
    INTERVAL_START,
    QUANTILE_COLUMNS,
    Meter,
)
from smartgrid_pipeline.registry.types import ABOUT, FILES, Example, read_about

with warnings.catch_warnings():  # one of mlflow's own type hints warns about itself when imported
    warnings.filterwarnings("ignore", message=".*Any type hint is inferred", category=UserWarning)
    from mlflow.pyfunc import PythonModel, PythonModelContext, save_model

REQUIREMENTS = (
    "mlflow",
    "numpy",
    "pandas",
    "scikit-learn",
    "lightgbm",
    "torch",
    "holidays",
    "vacances-scolaires-france",
)
EXAMPLE_DAYS = 1


def to_input(readings: pd.DataFrame, meter: Meter) -> pd.DataFrame:
    """Readings in the input format of a logged model: INTERVAL_START as a column, then
    the meter's channels.
    """
    channels = [channel for channel in CHANNELS if channel in meter.channels]
    frame = readings[channels].astype(np.float64)
    frame.insert(0, INTERVAL_START, readings.index.to_numpy().astype("datetime64[us]"))
    return frame.reset_index(drop=True)


class ForecastModel(PythonModel):
    """The model that MLflow loads: a forecaster found by its name among ``loaders``, called at the latest
    origin.
    """

    def __init__(self, loaders: Callable[[], Loaders]) -> None:
        self._loaders = loaders

    def load_context(self, context: PythonModelContext) -> None:
        """Load the forecaster from the model's own files. Raises ModelError when
        ``loaders`` lacks its name.
        """
        name, self.meter = read_about(Path(context.artifacts[ABOUT]))
        self.forecaster = load_forecaster(name, Path(context.artifacts[FILES]), self._loaders())

    def predict(self, context: PythonModelContext, model_input: pd.DataFrame) -> pd.DataFrame:
        """Forecast from readings in the format of ``to_input``; returns a frame of OUTPUT_COLUMNS."""
        readings = model_input.set_index(pd.DatetimeIndex(model_input[INTERVAL_START], name=INTERVAL_START))
        return to_frame(model_forecast(self.forecaster, readings.drop(columns=INTERVAL_START), self.meter))


def signature(meter: Meter) -> ModelSignature:
    """Columns that a meter's logged model takes and returns."""
    channels = [channel for channel in CHANNELS if channel in meter.channels]
    inputs = [
        ColSpec(DataType.datetime, INTERVAL_START),
        *(ColSpec(DataType.double, channel) for channel in channels),
    ]
    outputs = [
        ColSpec(DataType.datetime, "origin"),
        ColSpec(DataType.long, "lead_start_minutes"),
        ColSpec(DataType.long, "lead_end_minutes"),
        *(ColSpec(DataType.double, column) for column in ("mean_kw", *QUANTILE_COLUMNS)),
    ]
    return ModelSignature(inputs=Schema(inputs), outputs=Schema(outputs))


def requirements() -> list[str]:
    """The packages a logged model needs, pinned to what trained it (without local build labels)."""
    return [f"{name}=={metadata.version(name).split('+')[0]}" for name in REQUIREMENTS]


def write(
    directory: Path, forecaster: Forecaster, name: str, example: Example, code: Path, entry: Any
) -> None:
    """Write a complete MLflow model into the new folder ``directory``; ``entry`` is its Model record."""
    scratch, meter, readings = directory.parent, example.meter, example.readings
    files, about = scratch / FILES, scratch / ABOUT
    files.mkdir()
    forecaster.save(files)
    about.write_text(json.dumps({"model": name, "meter": asdict(meter)}, indent=1))
    days = pd.Timedelta(days=EXAMPLE_DAYS)
    save_model(
        path=str(directory),
        python_model=str(code),
        artifacts={FILES: str(files), ABOUT: str(about)},
        signature=signature(meter),
        input_example=to_input(readings[readings.index > readings.index[-1] - days], meter),
        pip_requirements=requirements(),
        mlflow_model=entry,
    )
