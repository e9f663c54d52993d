"""Half-hourly homes (80 smart meters), read as the product reads any file.

The file is not part of the repository; benchmarks that need it are skipped where it is absent.
"""

import os
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.shared.result_head import ROOT
from smartgrid_pipeline.core import meter_data
from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.forecasting.history_frames import history_from_readings
from smartgrid_pipeline.sources.readings import list_meters, read
from smartgrid_pipeline.sources.spec import SourceSpec

NAME = "sgsc80_30min.parquet"
YEAR = np.timedelta64(365, "D")


def half_hourly_file() -> Path | None:
    """SMARTGRID_HOMES_FILE, else the shared data beside the repository; None where there is neither."""
    given = os.environ.get("SMARTGRID_HOMES_FILE")
    place = Path(given) if given else ROOT.parent / "shared" / "data" / NAME
    return place if place.exists() else None


def meter_ids(file: Path) -> tuple[str, ...]:
    """Every home of the file, in order of id."""
    return list_meters(SourceSpec(str(file)))


@lru_cache(maxsize=128)
def home(file: Path, meter_id: str) -> History:
    """One home's history: defects masked, features built, nothing filled."""
    readings = read(SourceSpec(str(file), meter_id=meter_id))
    return history_from_readings(meter_data.to_grid(readings.frame, readings.meter), readings.meter)


def with_a_year(file: Path, count: int, skip: int = 0) -> dict[str, History]:
    """The first homes in order of id that span at least a year, after ``skip`` of them."""
    found: dict[str, History] = {}
    for meter_id in meter_ids(file):
        if len(found) == count + skip:
            break
        history = home(file, meter_id)
        if history.end - history.starts[0] >= YEAR:
            found[meter_id] = history
    return dict(list(found.items())[skip:])


def half_hourly_table(file: Path) -> pd.DataFrame:
    """Mean power (kW) of every home (columns) on one grid of half-hours, NaN where it was not observed."""
    series = {}
    for meter_id in meter_ids(file):
        history = home(file, meter_id)
        power = np.where(history.observed_share > 1 - 1e-6, history.power_kw, np.nan)
        series[meter_id] = pd.Series(power, index=pd.DatetimeIndex(history.starts.astype("datetime64[s]")))
    return pd.DataFrame(series).sort_index().asfreq("30min")
