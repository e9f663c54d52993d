"""The civil months of a frame's rows, and frames joined from stored months: one Parquet file each."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

Months = npt.NDArray[np.datetime64]
"""Civil months, datetime64[M]."""


def bounds(month: str) -> tuple[pd.Timestamp, pd.Timestamp]:
    """Start of a month and start of the next, civil clock."""
    start = pd.Timestamp(f"{month}-01")
    return start, start + pd.offsets.MonthBegin(1)


def months_of(frame: pd.DataFrame) -> Months:
    """The civil month of each row: of a time index, else of the column ``month``, ``start`` or ``origin``."""
    if isinstance(frame.index, pd.DatetimeIndex):
        times = frame.index.to_numpy()
    elif "month" in frame:
        times = frame["month"].to_numpy(dtype="datetime64[M]")
    else:
        times = frame["start" if "start" in frame else "origin"].to_numpy()
    return times.astype("datetime64[M]")


def in_months(frame: pd.DataFrame, months: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Mask of the rows that lie in one of the months ("2010-10")."""
    return np.isin(months_of(frame), np.array(list(months), "datetime64[M]"))


def load_months(directory: Path, asset: str, months: Sequence[str]) -> pd.DataFrame | None:
    """The stored months of an asset, joined in the order given; None when none of them is stored."""
    paths = [directory / asset / f"{month}.parquet" for month in months]
    parts = [pd.read_parquet(path) for path in paths if path.exists()]
    if not parts:
        return None
    filled = [part for part in parts if len(part)] or parts[:1]
    return pd.concat(filled)
