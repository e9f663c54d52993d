"""Defect types of rows → a table of defects: one row per defect, in order of time."""

import numpy as np
import pandas as pd

DEFECT_COLUMNS = ("start", "end", "kind", "minutes", "channels")
"""First and last interval start (civil clock, both inclusive), defect type, length, channels concerned."""


def defect_table(types: pd.Series, step: int, channels: tuple[str, ...]) -> pd.DataFrame:
    """One row per run of equal defect types (DEFECT_COLUMNS); rows are ``step`` minutes apart."""
    codes, names = pd.factorize(types.to_numpy())
    edges = np.flatnonzero(np.diff(codes)) + 1
    firsts = np.concatenate([[0], edges]).astype(int) if len(codes) else np.array([], int)
    lasts = np.concatenate([edges, [len(codes)]]).astype(int) - 1 if len(codes) else firsts
    rows = [
        (types.index[a], types.index[b], names[codes[a]], int(b - a + 1) * step, ",".join(channels))
        for a, b in zip(firsts, lasts, strict=True)
        if names[codes[a]]
    ]
    return pd.DataFrame(rows, columns=list(DEFECT_COLUMNS))


def merge_defects(tables: list[pd.DataFrame], step: int) -> pd.DataFrame:
    """Join the defect tables of months; a defect that runs over a month's end becomes one row again."""
    joined = pd.concat(tables).sort_values("start").drop_duplicates(["start", "kind"]).reset_index(drop=True)
    if joined.empty:
        return joined
    gap = joined["start"] - joined["end"].shift()
    new = (gap != pd.Timedelta(minutes=step)) | (joined["kind"] != joined["kind"].shift())
    return (
        joined.groupby(new.cumsum())
        .agg({"start": "first", "end": "last", "kind": "first", "minutes": "sum", "channels": "first"})
        .reset_index(drop=True)[list(DEFECT_COLUMNS)]
    )
