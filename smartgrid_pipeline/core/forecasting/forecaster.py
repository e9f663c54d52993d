"""The interface of every forecaster, what it is fitted with and what it returns.

Times are civil-clock times, ``datetime64[m]``. A row of a history that starts at ``s`` is available at
``s + working_minutes``; a forecast with origin ``t`` uses rows available at or before ``t`` and no others.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import pandas as pd

from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.schema import (
    FORECAST_COLUMNS,
    QUANTILE_COLUMNS,
    DataError,
    Floats,
    LeadInterval,
    Times,
)


@dataclass(frozen=True)
class TrainingBudget:
    """How much work a fit may do: steps, trees and training rows, each as many as the model has when None.

    A wall clock is no part of it, so that results repeat. ``threads`` also changes the bits of a fit.
    """

    max_steps: int | None = None
    max_trees: int | None = None
    max_rows: int | None = None
    seed: int = 0
    threads: int = 1


FULL = TrainingBudget()
"""No caps: the steps, trees and rows each model is meant to have."""

TINY = TrainingBudget(max_steps=2, max_trees=4, max_rows=1_000)
"""Enough to run every line of a model in a test, too little for accuracy."""


@dataclass(frozen=True)
class Split:
    """A training window, cut in two: models are fitted on [start, train_end), the rest is the holdout.

    The holdout [train_end, end) is for early stopping, gate, blend weights and recalibration. No target may
    end after its own part does (the embargo); ``History.targets`` drops those that would.
    """

    start: np.datetime64
    train_end: np.datetime64
    end: np.datetime64

    @classmethod
    def before(cls, end: np.datetime64, history: "History", holdout_days: int = 61) -> "Split":
        """All of the history before ``end``; the last ``holdout_days`` of it are the holdout.

        Of a short history the holdout is at most a quarter. Raises DataError when less than 14 days are left
        to train on.
        """
        end = min(end.astype("datetime64[m]"), history.end)
        holdout = min(np.timedelta64(holdout_days * 1440, "m"), (end - history.starts[0]) // 4)
        train_end = (end - holdout).astype("datetime64[D]").astype("datetime64[m]")
        if train_end - history.starts[0] < np.timedelta64(14 * 1440, "m"):
            days = (end - history.starts[0]) / np.timedelta64(1440, "m")
            raise DataError(
                f"Too little history to train on: found {days:.1f} days before {end}; at least 19 are needed."
            )
        return cls(history.starts[0], train_end, end)


@dataclass(frozen=True)
class Forecast:
    """Mean (origins, leads) and quantiles (origins, leads, 9) of the mean power of each lead interval, kW."""

    origins: Times
    leads: tuple[LeadInterval, ...]
    mean_kw: Floats
    quantiles_kw: Floats

    def to_frame(self, card: str, observed_kw: Floats) -> pd.DataFrame:
        """A table with FORECAST_COLUMNS, one row per origin and lead, ordered by both."""
        m = len(self.leads)
        starts = np.array([lead.start_minutes for lead in self.leads], "timedelta64[m]")
        ends = np.array([lead.end_minutes for lead in self.leads], "timedelta64[m]")
        frame = pd.DataFrame(
            {
                "card": card,
                "origin": np.repeat(self.origins.astype("datetime64[s]"), m),
                "interval_start": (self.origins[:, None] + starts[None, :]).ravel().astype("datetime64[s]"),
                "interval_end": (self.origins[:, None] + ends[None, :]).ravel().astype("datetime64[s]"),
                "observed_kw": observed_kw.ravel(),
                "mean_kw": self.mean_kw.ravel(),
            }
        )
        for k, column in enumerate(QUANTILE_COLUMNS):
            frame[column] = self.quantiles_kw[:, :, k].ravel()
        return frame[list(FORECAST_COLUMNS)]


class Forecaster(Protocol):
    """A direct, probabilistic, multi-interval forecaster of one meter.

    After ``fit`` (or ``load``) it does not change. Quantiles are those of QUANTILES, non-decreasing; all
    outputs are finite and ≥ 0 kW for origins inside the history. The same budget and history give the same
    bits. Nothing is pickled: ``save`` writes JSON and npz (see ``learning.storage``).
    """

    name: str

    def fit(self, history: History, split: Split) -> None:
        """Fit on rows before ``split.end``. Raises DataError when too little was observed."""
        ...

    def predict(self, history: History, origins: Times, leads: tuple[LeadInterval, ...]) -> Forecast:
        """Forecast each lead from each origin, using only rows available at that origin.

        Raises ModelError when not fitted, or when fitted on a meter with another step or other channels.
        """
        ...

    def parameters(self) -> dict[str, Any]:
        """Flat settings and sizes, for the tracking run."""
        ...

    def curves(self) -> pd.DataFrame:
        """Training and validation loss per step or round (columns: step, …); empty where there is none."""
        ...

    def save(self, directory: Path) -> None:
        """Write the fitted model into an existing, empty directory."""
        ...

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Read what ``save`` wrote. Raises ModelError when files are missing or do not fit."""
        ...


def sort_and_clip(mean_kw: Floats, quantiles_kw: Floats) -> tuple[Floats, Floats]:
    """Quantiles (…, 9) sorted, means and quantiles at least 0 kW; shapes are kept."""
    return np.maximum(mean_kw, 0).astype(np.float32), np.maximum(np.sort(quantiles_kw, -1), 0).astype(
        np.float32
    )
