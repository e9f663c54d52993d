"""The champion's surprise as a voice among the alarms: on days it was not trained on, if there is one."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from smartgrid_pipeline.core.evaluation.surprise import CALIBRATION_DAYS, residual_p
from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.features.minute_series import REACH_DAYS
from smartgrid_pipeline.core.forecasting.history import history_from_readings
from smartgrid_pipeline.core.schema import DataError, ModelError, RegistryError
from smartgrid_pipeline.orchestration.workbench import Resources

CONTEXT_DAYS = REACH_DAYS + CALIBRATION_DAYS + 31
"""Days before the first judged one that a champion looks back on from there and from its calibration."""


@dataclass(frozen=True)
class Surprise:
    """p-values of forecast errors by interval start, None where nobody forecasts; who did, or why nobody."""

    p_values: pd.Series | None
    told_by: str


def of_champion(
    workbench: Resources, grid: pd.DataFrame, begin: np.datetime64, end: np.datetime64
) -> Surprise:
    """How surprising readings of the workbench's meter, as recorded, are to the champion in [begin, end)."""
    now = workbench.registry.champion()
    if now is None:
        return Surprise(None, "nobody: there is no champion yet")
    name = f"{now.model} of {now.month}"
    begin = max(begin, workbench.registry.run(now.run_id).data.end.astype("datetime64[m]"))
    if begin >= end:
        return Surprise(None, f"nobody: {name} was trained on these days")
    if absent := set(workbench.meter.channels) - set(grid.columns):
        return Surprise(None, f"nobody: {name} needs {', '.join(sorted(absent))}")
    try:
        history = _history(workbench, grid, begin, end)
        forecaster = workbench.registry.load(now.run_id)
        return Surprise(residual_p(forecaster, history, begin, end), name)
    except (DataError, ModelError, RegistryError) as error:
        return Surprise(None, f"nobody: {name} gave no forecast ({error})")


def _history(workbench: Resources, grid: pd.DataFrame, begin: np.datetime64, end: np.datetime64) -> History:
    """What the champion looks back on, and the days themselves."""
    first = pd.Timestamp(begin) - pd.Timedelta(days=CONTEXT_DAYS)
    near = grid[(grid.index >= first.floor("D")) & (grid.index < pd.Timestamp(end))]
    return history_from_readings(near, workbench.meter)
