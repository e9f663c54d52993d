"""From frames to a ``History``: the feature table of an asset, or readings as recorded."""

import numpy as np
import pandas as pd

from smartgrid_pipeline.core import meter_data
from smartgrid_pipeline.core.features import feature_table
from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.schema import ACTIVE_POWER, CHANNELS, OBSERVED_SHARE, DataError, Meter


def history_from_table(table: pd.DataFrame, meter: Meter) -> History:
    """The history a feature table holds (as asset ``feature_table`` stores it).

    Raises DataError when the table is empty or not regular.
    """
    if table.empty:
        raise DataError("The feature table is empty; materialise feature_table first.")
    starts = table.index.to_numpy().astype("datetime64[m]")
    step = np.timedelta64(meter.working_minutes, "m")
    if len(starts) > 1 and not (np.diff(starts) == step).all():
        at = starts[1:][np.diff(starts) != step][0]
        raise DataError(f"The feature table is not a regular grid of {step}: it breaks before {at}.")
    per_interval = meter.working_minutes // meter.step_minutes
    within = {
        channel: np.ascontiguousarray(table[columns].to_numpy(np.float32))
        for channel in CHANNELS
        if (columns := meter_data.within_columns(channel, per_interval)) and columns[0] in table
    }
    return History(
        meter,
        starts,
        table[ACTIVE_POWER].to_numpy(np.float32),
        table[OBSERVED_SHARE].to_numpy(np.float32),
        np.ascontiguousarray(table[list(feature_table.names(meter))].to_numpy(np.float32)),
        within,
    )


def history_from_readings(recorded: pd.DataFrame, meter: Meter) -> History:
    """The history of readings as recorded, on the meter's grid: defects left out, features built, nothing
    filled.
    """
    clean = meter_data.mask(recorded, meter_data.defect_kinds(recorded))
    return history_from_table(feature_table.table(meter_data.resample(clean, meter), meter), meter)
