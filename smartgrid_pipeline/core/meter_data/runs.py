"""Runs of a flag: where consecutive flagged rows begin and end."""

import numpy as np
import numpy.typing as npt

Flags = npt.NDArray[np.bool_]


def runs(flags: Flags) -> list[tuple[int, int]]:
    """First row, and row after the last, of every run of flagged rows, in order."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return [(int(start), int(end)) for start, end in zip(edges[::2], edges[1::2], strict=True)]
