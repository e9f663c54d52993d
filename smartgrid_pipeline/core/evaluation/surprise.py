"""The forecaster's voice: how surprising each interval was, forecast just before."""

import numpy as np
import pandas as pd

from smartgrid_pipeline.core.anomaly.residual import p_values, surprises
from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.forecasting.forecaster import Forecaster
from smartgrid_pipeline.core.schema import INTERVAL_START, leads_for

CALIBRATION_DAYS = 61
"""So many days before the first judged one tell how far forecasts are off when nothing is wrong."""


def residual_p(
    forecaster: Forecaster, history: History, begin: np.datetime64, end: np.datetime64
) -> pd.Series:
    """p-value of the forecast error of every working interval in [begin, end), by its start; NaN where not
    all of it was observed.

    Raises DataError when under 200 intervals of the CALIBRATION_DAYS before ``begin`` were observed.
    """
    first = max(begin - np.timedelta64(CALIBRATION_DAYS, "D"), history.starts[0] + np.timedelta64(120, "m"))
    found = surprise(forecaster, history, first, end)
    healthy = found[: pd.Timestamp(begin) - pd.Timedelta(minutes=1)]
    later = found[pd.Timestamp(begin) :]
    return pd.Series(p_values(healthy.to_numpy(), later.to_numpy()), later.index)


def surprise(forecaster: Forecaster, history: History, begin: np.datetime64, end: np.datetime64) -> pd.Series:
    """Surprise (see ``surprises``) of every working interval in [begin, end): of the forecast of the meter's
    shortest lead that ends with it.
    """
    width = history.meter.working_minutes
    lead = leads_for(width)[:1]
    earlier = np.timedelta64(lead[0].end_minutes - width, "m")
    origins = history.origins(begin - earlier, min(end, history.end) - earlier, width)
    told = forecaster.predict(history, origins, lead).quantiles_kw[:, 0].astype(np.float64)
    values = surprises(told, history.targets(origins, lead)[:, 0].astype(np.float64))
    index = pd.DatetimeIndex((origins + earlier).astype("datetime64[s]"), name=INTERVAL_START)
    return pd.Series(values, index)
