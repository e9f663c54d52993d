"""Small files and tables that tests of sources read."""

from pathlib import Path

import numpy as np
import pandas as pd

HOMES = Path(__file__).parents[3] / "shared" / "data" / "sgsc80_30min.parquet"


def write(path: Path, header: str, times: object, values: object) -> str:
    lines = [f"{time},{value}" for time, value in zip(times, values, strict=True)]  # type: ignore[call-overload]
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return str(path)


def half_hours(periods: int = 400, start: str = "2012-01-01") -> pd.DatetimeIndex:
    return pd.date_range(start, periods=periods, freq="30min")


def made_values(count: int = 400) -> np.ndarray:
    return np.round(np.random.default_rng(0).gamma(2, 0.2, count), 3)


def two_homes() -> pd.DataFrame:
    one = pd.DataFrame({"meter_id": "one", "timestamp": half_hours(), "kwh": made_values()})
    return pd.concat([one, one.assign(meter_id="two", kwh=one["kwh"] * 2)])
