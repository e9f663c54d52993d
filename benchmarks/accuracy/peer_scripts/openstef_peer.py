"""OpenSTEF 3.4: its training pipeline with XGBoost quantiles, and with plain XGBoost for the mean.

Run by the environment that holds openstef, given the folders of inputs and results. Models are fitted
once before the test. A lag is given to a lead only if it lies before the origin, as in operation; features
are OpenSTEF's own (lags to 14 days, calendar, French holidays, daylight). There is no weather in these data.
"""

import random
import re
import warnings

import numpy as np
import openstef
import pandas as pd
from openstef.data_classes.model_specifications import ModelSpecificationDataClass
from openstef.data_classes.prediction_job import PredictionJobDataClass
from openstef.enums import BiddingZone
from openstef.feature_engineering.apply_features import apply_features
from openstef.pipeline.train_model import train_model_pipeline_core
from tables import LEVELS, Job, next_day, table

DAY = 1440


def prediction_job(model: str, minutes: int) -> PredictionJobDataClass:
    """The house as OpenSTEF describes a task."""
    return PredictionJobDataClass(
        id="house", name="house", model=model, forecast_type="demand", resolution_minutes=minutes,
        lat=48.77, lon=2.29, electricity_bidding_zone=BiddingZone.FR, quantiles=list(LEVELS),
    )  # fmt: skip


def forecasts(
    job: Job, card: str, series: pd.Series, minutes: int, leads: int, train_hours: list[float]
) -> pd.DataFrame:
    """A card's table: ``leads`` intervals from every origin that is as far from the next as they reach."""
    load = series.to_frame("load").astype(float)
    load.index = load.index.tz_localize("UTC")  # the civil clock, taken as it is
    past = load[: pd.Timestamp(job.test_from, tz="UTC") - pd.Timedelta(minutes=minutes)]
    models = {}
    for kind in ("xgb", "xgb_quantile"):
        random.seed(1)
        np.random.seed(1)  # noqa: NPY002  the pipeline draws from the global generator
        specs = ModelSpecificationDataClass(id="house")
        models[kind] = train_model_pipeline_core(
            prediction_job(kind, minutes), specs, past.copy(), horizons=train_hours
        )[0]
    known = apply_features(load.copy(), pj=prediction_job("xgb", minutes), horizon=minutes / 60)
    columns = list(models["xgb"].feature_names)
    known = known.reindex(columns=columns).astype(float)
    lags = np.array([lag_minutes(name) for name in columns])
    starts = series.index[series.index >= job.test_from]
    origins = starts[0] + (starts - starts[0]) // (leads * pd.Timedelta(minutes=minutes)) * (
        leads * pd.Timedelta(minutes=minutes)
    )
    ends = ((starts - origins).total_seconds() / 60 + minutes).to_numpy()
    inputs = known.loc[starts.tz_localize("UTC")].copy()
    inputs = inputs.mask((lags[None, :] > 0) & (lags[None, :] < ends[:, None]))
    quantiles = np.stack([models["xgb_quantile"].predict(inputs, quantile=q) for q in LEVELS], 1)
    return table(card, origins, starts, minutes, models["xgb"].predict(inputs), quantiles)


def lag_minutes(name: str) -> int:
    """Lag (minutes) of a lag feature; 0 for every other feature."""
    found = re.fullmatch(r"T-(\d+)(min|d)", name)
    return int(found[1]) * (DAY if found[2] == "d" else 1) if found else 0


def main() -> None:
    """T2, T3, T4 and T5 of the test."""
    warnings.filterwarnings("ignore")
    job = Job()
    hours, quarters = job.series("hourly", 60), job.series("quarter_hourly", 15)
    hourly = forecasts(job, "T4", hours, 60, 24, [1.0, 4.0, 8.0, 12.0, 16.0, 20.0, 24.0])
    next_hour = forecasts(job, "T2", hours, 60, 1, [1.0])
    quarterly = forecasts(job, "T3", quarters, 15, 96, [1.0, 12.0, 24.0])
    job.notes = {"version": "3.4", "model": "XGBoost quantiles", "package": openstef.__name__}
    job.write([hourly, quarterly, next_hour, next_day(hourly)])


if __name__ == "__main__":
    main()
