"""Nixtla neuralforecast: NHITS, one model for the mean and one for the quantiles, per resolution.

Run by the environment that holds neuralforecast, given the folders of inputs and results. Weights are
fitted once before the test; early stopping watches the last 61 days before it, as for the other models.
"""

import logging
import os
import warnings

import numpy as np
import pandas as pd
import torch
from neuralforecast import NeuralForecast
from neuralforecast.losses.pytorch import MSE, MQLoss
from neuralforecast.models import NHITS
from tables import LEVELS, Job, calendar, next_day, table

LATER_DAYS = 61


def forecasts(job: Job, name: str, minutes: int, ahead: int, window: int, steps: int) -> pd.DataFrame:
    """Means and quantiles of windows of ``ahead`` intervals that follow each other over the test."""
    series = whole_windows(job.series(name, minutes), job.test_from, ahead)
    known = calendar(series.index)
    per_day = 1440 // minutes
    frame = known.assign(
        unique_id="house",
        ds=series.index,
        y=_filled(series, per_day),
        available_mask=series.notna().astype(float),
    ).reset_index(drop=True)
    test_size = int((series.index >= job.test_from).sum())
    common = {
        "h": ahead, "input_size": window, "max_steps": steps, "val_check_steps": 50,
        "early_stop_patience_steps": 4, "futr_exog_list": list(known.columns), "scaler_type": "identity",
        "learning_rate": 1e-3, "windows_batch_size": 128, "inference_windows_batch_size": 512,
        "random_seed": 1, "accelerator": "cpu", "enable_progress_bar": False, "logger": False,
        "enable_checkpointing": False, "enable_model_summary": False,
    }  # fmt: skip
    models = [
        NHITS(loss=MSE(), alias="mean", **common),
        NHITS(loss=MQLoss(quantiles=list(LEVELS)), alias="quantiles", **common),
    ]
    forecaster = NeuralForecast(models=models, freq=f"{minutes}min")
    return forecaster.cross_validation(
        df=frame, n_windows=None, val_size=LATER_DAYS * per_day, test_size=test_size, step_size=ahead,
        refit=False,
    )  # fmt: skip


def whole_windows(series: pd.Series, test_from: pd.Timestamp, ahead: int) -> pd.Series:
    """The series with unknown intervals at its end, so that the last window is whole as well."""
    missing = -int((series.index >= test_from).sum()) % ahead
    index = pd.date_range(series.index[0], periods=len(series) + missing, freq=series.index.freq)
    return series.reindex(index)


def _filled(series: pd.Series, per_day: int) -> pd.Series:
    """Gaps filled from the same time of the latest days that were observed; they carry no loss."""
    filled = series.copy()
    for days in range(1, 15):
        filled = filled.fillna(series.shift(days * per_day))
    return filled.fillna(series.mean())


def rows_of(card: str, found: pd.DataFrame, minutes: int) -> pd.DataFrame:
    """A card's table of what cross_validation found; its cutoff is the last interval before the origin."""
    step = pd.Timedelta(minutes=minutes)
    names = [column for column in found.columns if column.startswith("quantiles")]
    return table(card, found["cutoff"] + step, found["ds"], minutes, found["mean"].to_numpy(),
                 found[names].to_numpy())  # fmt: skip


def main() -> None:
    """T2, T3, T4 and T5 of the test."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    job = Job()
    hourly = rows_of("T4", forecasts(job, "hourly", 60, 24, 7 * 24, 500), 60)
    quarters = rows_of("T3", forecasts(job, "quarter_hourly", 15, 96, 3 * 96, 500), 15)
    next_hour = rows_of("T2", forecasts(job, "hourly", 60, 1, 3 * 24, 800), 60)
    import neuralforecast

    job.notes = {"version": neuralforecast.__version__, "model": "NHITS"}
    job.write([hourly, quarters, next_hour, next_day(hourly)])
    assert np.isfinite(hourly["mean_kw"]).all()


if __name__ == "__main__":
    os.environ.setdefault("NIXTLA_ID_AS_COL", "1")
    main()
