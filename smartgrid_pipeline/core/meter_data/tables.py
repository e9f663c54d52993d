"""Flagged rows as a table of defects: one row each, in order of time."""

import numpy as np
import pandas as pd

DEFECT_COLUMNS = ("start", "end", "kind", "minutes", "channels")
"""Defects table: first and last interval start (civil clock, both inclusive), kind, length, channels hit."""


def defect_table(kinds: pd.Series, step: int, channels: tuple[str, ...]) -> pd.DataFrame:
    """Merge flagged rows into one row per defect (DEFECT_COLUMNS), in order of time."""
    codes, names = pd.factorize(kinds.to_numpy())
    edges = np.flatnonzero(np.diff(codes)) + 1
    firsts = np.concatenate([[0], edges]).astype(int) if len(codes) else np.array([], int)
    lasts = np.concatenate([edges, [len(codes)]]).astype(int) - 1 if len(codes) else firsts
    rows = [
        (kinds.index[a], kinds.index[b], names[codes[a]], int(b - a + 1) * step, ",".join(channels))
        for a, b in zip(firsts, lasts, strict=True)
        if names[codes[a]]
    ]
    return pd.DataFrame(rows, columns=list(DEFECT_COLUMNS))


def merge_defects(tables: list[pd.DataFrame], step: int) -> pd.DataFrame:
    """Join month tables: a defect that runs over a month's end becomes one row again."""
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
