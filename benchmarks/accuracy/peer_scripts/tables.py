"""What the peers' scripts share: inputs, and forecasts as the benchmark's tables; NumPy and pandas only."""

import json
import resource
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
QUANTILE_COLUMNS = [f"q{round(100 * level):02d}_kw" for level in LEVELS]


class Job:
    """The folders of inputs and results, the dates of the test, and a clock."""

    def __init__(self) -> None:
        self.inputs, self.folder = Path(sys.argv[1]), Path(sys.argv[2])
        dates = json.loads((self.inputs / "protocol.json").read_text())
        self.test_from, self.end = pd.Timestamp(dates["test_from"]), pd.Timestamp(dates["end"])
        self.began = time.monotonic()
        self.notes: dict[str, object] = {}

    def series(self, name: str, minutes: int) -> pd.Series:
        """Mean power (kW) by start of the interval, on a complete grid; NaN where it was not observed."""
        frame = pd.read_parquet(self.inputs / f"{name}.parquet")
        series = frame.set_index("start")["power_kw"].astype(float)
        return series.asfreq(f"{minutes}min")

    def write(self, tables: list[pd.DataFrame]) -> None:
        """Keep forecasts and facts; the facts last, as the sign that all is there."""
        table = pd.concat(tables, ignore_index=True)
        table = table[table["interval_end"] <= self.end]
        table.to_parquet(self.folder / "forecasts.parquet", index=False)
        usage = resource.getrusage(resource.RUSAGE_SELF)
        cost = {
            "wall_seconds": time.monotonic() - self.began,
            "cpu_seconds": usage.ru_utime + usage.ru_stime,
            "peak_memory_mb": usage.ru_maxrss / 1024,
        }
        (self.folder / "facts.json").write_text(json.dumps({"forecast": cost, **self.notes}, indent=1))


def table(
    card: str,
    origins: pd.DatetimeIndex,
    starts: pd.DatetimeIndex,
    minutes: int,
    mean: np.ndarray,
    quantiles: np.ndarray,
) -> pd.DataFrame:
    """Rows of a card from flat arrays (n,), (n,), (n,) and (n, 9) in kW."""
    quantiles = np.maximum(np.sort(quantiles, -1), 0)
    frame = pd.DataFrame(
        {
            "card": card,
            "origin": np.asarray(origins, "datetime64[s]"),
            "interval_start": np.asarray(starts, "datetime64[s]"),
            "interval_end": np.asarray(starts, "datetime64[s]") + np.timedelta64(60 * minutes, "s"),
            "observed_kw": np.nan,
            "mean_kw": np.maximum(mean, 0),
        }
    )
    frame[QUANTILE_COLUMNS] = quantiles
    return frame


def next_day(day_ahead: pd.DataFrame) -> pd.DataFrame:
    """The day's mean from its 24 hours: quantiles are those of hours that move together."""
    columns = ["mean_kw", *QUANTILE_COLUMNS]
    days = day_ahead.groupby("origin").filter(lambda day: len(day) == 24)
    means = days.groupby("origin", as_index=False)[columns].mean()
    return table("T5", means["origin"], means["origin"], 1440, means["mean_kw"].to_numpy(),
                 means[QUANTILE_COLUMNS].to_numpy())  # fmt: skip


def calendar(index: pd.DatetimeIndex) -> pd.DataFrame:
    """What the civil calendar says of each interval, known ahead."""
    day = index.dayofyear.to_numpy() / 365.25
    hour = (index.hour + index.minute / 60).to_numpy() / 24
    week = index.dayofweek.to_numpy() / 7
    waves = {"hour": hour, "week": week, "year": day}
    columns = {f"{name}_sin": np.sin(2 * np.pi * phase) for name, phase in waves.items()}
    columns |= {f"{name}_cos": np.cos(2 * np.pi * phase) for name, phase in waves.items()}
    columns["weekend"] = (index.dayofweek >= 5).astype(float)
    return pd.DataFrame(columns, index=index)
