"""What a forecaster is, and what it may see: the past of one meter, cut at the forecast origin.

Civil clock throughout, as ``datetime64[m]``. A row of a history that starts at ``s`` is available at
``s + working_minutes``; a forecast with origin ``t`` uses rows available at or before ``t`` and no others.
"""

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from smartgrid_pipeline.core import features, meter_data
from smartgrid_pipeline.core.features import names as feature_names
from smartgrid_pipeline.core.meter_data import within_columns
from smartgrid_pipeline.core.schema import (
    ACTIVE_POWER,
    CHANNELS,
    FORECAST_COLUMNS,
    OBSERVED_SHARE,
    QUANTILE_COLUMNS,
    DataError,
    LeadInterval,
    Meter,
)

Floats = npt.NDArray[np.float32]
Times = npt.NDArray[np.datetime64]


@dataclass(frozen=True)
class Budget:
    """How much work a fit may do; None leaves a cap to the model. Never wall clocks: results must repeat."""

    max_steps: int | None = None
    max_trees: int | None = None
    max_rows: int | None = None
    seed: int = 0
    threads: int = 1


FULL = Budget()
"""As much work as a model finds worth doing."""

TINY = Budget(max_steps=2, max_trees=4, max_rows=1_000)
"""Enough to run every line of a model in a test, not enough to learn."""


@dataclass(frozen=True)
class Split:
    """Training window: weights from [start, fit_end); gate, early stopping, calibration from [fit_end, end).

    No target of a block may end after that block does (the embargo); ``History.targets`` sees to it.
    """

    start: np.datetime64
    fit_end: np.datetime64
    end: np.datetime64

    @classmethod
    def before(cls, end: np.datetime64, history: "History", later_days: int = 61) -> "Split":
        """Everything in the history before ``end``; its last ``later_days`` are the later block.

        A short history gives at most a quarter of itself to the later block. Raises DataError when less than
        14 days are left to fit on.
        """
        end = min(end.astype("datetime64[m]"), history.end)
        later = min(np.timedelta64(later_days * 1440, "m"), (end - history.starts[0]) // 4)
        fit_end = (end - later).astype("datetime64[D]").astype("datetime64[m]")
        if fit_end - history.starts[0] < np.timedelta64(14 * 1440, "m"):
            days = (end - history.starts[0]) / np.timedelta64(1440, "m")
            raise DataError(
                f"Too little history to train on: found {days:.1f} days before {end}; at least 19 are needed."
            )
        return cls(history.starts[0], fit_end, end)


@dataclass(frozen=True)
class History:
    """One meter's feature table as contiguous arrays on a regular civil grid of ``n`` working intervals.

    ``power_kw`` (n,) mean of the observed minutes, NaN where none was; ``observed_share`` (n,);
    ``features`` (n, len(feature_names)) float32; ``within`` maps a channel to its readings inside the
    interval, (n, readings per interval) float32, for meters finer than the working interval.
    """

    meter: Meter
    starts: Times
    power_kw: Floats
    observed_share: Floats
    features: Floats
    within: dict[str, Floats] = field(default_factory=dict)

    @classmethod
    def from_table(cls, table: pd.DataFrame, meter: Meter) -> "History":
        """Take a feature table (as ``feature_table`` stores it). Raises DataError when it is not regular."""
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
            if (columns := within_columns(channel, per_interval)) and columns[0] in table
        }
        return cls(
            meter,
            starts,
            table[ACTIVE_POWER].to_numpy(np.float32),
            table[OBSERVED_SHARE].to_numpy(np.float32),
            np.ascontiguousarray(table[list(feature_names(meter))].to_numpy(np.float32)),
            within,
        )

    @property
    def step(self) -> np.timedelta64:
        """Length of the working interval."""
        return np.timedelta64(self.meter.working_minutes, "m")

    @property
    def end(self) -> np.datetime64:
        """When the last row became available: the latest possible origin."""
        return self.starts[-1] + self.step

    @classmethod
    def of_readings(cls, recorded: pd.DataFrame, meter: Meter) -> "History":
        """From readings as recorded, on the grid: defects left out, features built, nothing filled."""
        clean = meter_data.mask(recorded, meter_data.defect_kinds(recorded))
        return cls.from_table(features.table(meter_data.resample(clean, meter), meter), meter)

    def until(self, origin: np.datetime64) -> "History":
        """The past at ``origin``: the one place where a history is cut."""
        n = int(np.clip((origin.astype("datetime64[m]") - self.starts[0]) // self.step, 0, len(self.starts)))
        return replace(
            self,
            starts=self.starts[:n],
            power_kw=self.power_kw[:n],
            observed_share=self.observed_share[:n],
            features=self.features[:n],
            within={channel: values[:n] for channel, values in self.within.items()},
        )

    def origins(self, start: np.datetime64, end: np.datetime64, every_minutes: int) -> Times:
        """Origins t, start ≤ t < end, at multiples of ``every_minutes`` from midnight, inside the history."""
        step = np.timedelta64(every_minutes, "m")
        first = max(start.astype("datetime64[m]"), self.starts[0] + self.step)
        midnight = first.astype("datetime64[D]").astype("datetime64[m]")
        first = midnight - (midnight - first) // step * step  # rounded up
        last = min(end.astype("datetime64[m]"), self.end + np.timedelta64(1, "m"))
        return np.arange(first, last, step, dtype="datetime64[m]")

    def rows(self, origins: Times) -> npt.NDArray[np.int64]:
        """Row available exactly at each origin (−1 and below, or n and above: outside the history)."""
        return ((origins.astype("datetime64[m]") - self.starts[0]) // self.step).astype(np.int64) - 1

    @property
    def readings_per_row(self) -> int:
        """How many readings are known of a working interval."""
        return self.within[ACTIVE_POWER].shape[1] if ACTIVE_POWER in self.within else 1

    def readings(self, channel: str) -> Floats:
        """A channel as finely as it is known, (n × readings_per_row,); NaN where nothing was observed."""
        if ACTIVE_POWER in self.within:
            return self.within[channel].reshape(-1)
        return self.power_kw if channel == ACTIVE_POWER else self.features[:, self.column(channel)]

    @cached_property
    def derived(self) -> dict[str, Any]:
        """Views that models make of this history and share: a cache that lives as long as the history."""
        return {}

    def column(self, feature: str) -> int:
        """Position of a feature in ``features``."""
        return feature_names(self.meter).index(feature)

    @cached_property
    def _sums(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """Running sums (n + 1,): observed energy in kW × share, observed share, and fully observed rows."""
        share = np.where(np.isnan(self.power_kw), 0.0, self.observed_share.astype(np.float64))
        energy = np.where(share > 0, self.power_kw.astype(np.float64), 0.0) * share
        full = (share > 1 - 1e-6).astype(np.int64)
        return tuple(np.concatenate([[0], np.cumsum(values)]) for values in (energy, share, full))  # type: ignore[return-value]

    def interval_means(
        self, first_rows: npt.NDArray[np.int64], width_minutes: int, *, complete: bool = False
    ) -> Floats:
        """Mean power (kW) of the ``width_minutes`` that begin at each row; any shape in, the same shape out.

        NaN outside the history, where less than half was observed, or, with ``complete``, where any minute
        was not.
        """
        energy, share, full = self._sums
        width, n = width_minutes // self.meter.working_minutes, len(self.starts)
        inside = (first_rows >= 0) & (first_rows + width <= n)
        a = np.where(inside, first_rows, 0)
        b = np.where(inside, first_rows + width, 0)
        observed = share[b] - share[a]
        good = inside & ((full[b] - full[a] == width) if complete else (observed >= width / 2))
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(good, (energy[b] - energy[a]) / observed, np.nan).astype(np.float32)

    def targets(
        self, origins: Times, leads: tuple[LeadInterval, ...], before: np.datetime64 | None = None
    ) -> Floats:
        """What really happened, (origins, leads) kW: NaN unless every minute was observed.

        With ``before``, intervals that end after it are NaN too (the embargo between blocks).
        """
        rows = self.rows(origins)
        out = np.full((len(origins), len(leads)), np.nan, np.float32)
        for j, lead in enumerate(leads):
            first = rows + 1 + lead.start_minutes // self.meter.working_minutes
            out[:, j] = self.interval_means(first, lead.width_minutes, complete=True)
            if before is not None:
                out[origins + np.timedelta64(lead.end_minutes, "m") > before, j] = np.nan
        return out

    def analogues(self, origins: Times, leads: tuple[LeadInterval, ...], days: int) -> Floats:
        """The same lead interval on the past days, (origins, leads, days) kW, latest day first.

        Day k is the interval k civil days earlier; k begins where that interval has ended at the origin
        (1 for leads up to a day, 7 for the next week). NaN where less than half was observed.
        """
        rows = self.rows(origins)
        day = 1440 // self.meter.working_minutes
        out = np.empty((len(origins), len(leads), days), np.float32)
        for j, lead in enumerate(leads):
            nearest = -(-lead.end_minutes // 1440)
            first = rows + 1 + lead.start_minutes // self.meter.working_minutes
            back = (nearest + np.arange(days)) * day
            out[:, j, :] = self.interval_means(first[:, None] - back[None, :], lead.width_minutes)
        return out


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

    After ``fit`` (or ``load``) it is immutable. Quantiles are QUANTILES, non-decreasing; all outputs finite
    and ≥ 0 kW wherever the origin lies inside the history. The same budget seed and history give the same
    bits. Nothing is pickled: ``save`` writes JSON, safetensors, skops, npz or LightGBM text.
    """

    name: str

    def fit(self, history: History, split: Split) -> None:
        """Learn from rows before ``split.end``. Raises DataError when there is too little to learn from."""
        ...

    def predict(self, history: History, origins: Times, leads: tuple[LeadInterval, ...]) -> Forecast:
        """Forecast each lead from each origin, using only rows available at that origin.

        Raises ModelError when not fitted, or when the meter's channels differ from those of the fit.
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


def finish(mean_kw: Floats, quantiles_kw: Floats) -> tuple[Floats, Floats]:
    """Make raw outputs a legal forecast: quantiles sorted, nothing below 0 kW. Shapes are kept."""
    return np.maximum(mean_kw, 0).astype(np.float32), np.maximum(np.sort(quantiles_kw, -1), 0).astype(
        np.float32
    )
