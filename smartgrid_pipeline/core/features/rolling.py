"""Statistics of windows that end at a row and reach back from it; none uses a later row.

All functions take a whole series or any part of it that begins early enough: a value depends on its own
window only, so a series computed in parts has the same bits as one computed at once.
"""

import numpy as np
import numpy.typing as npt

from smartgrid_pipeline.core.meter_data.growing_array import GrowingArray, RunningSum
from smartgrid_pipeline.core.schema import Doubles, Floats

_BLOCK = 8_192  # windows at a time, so that memory stays bounded


def mean_of_observed(values: npt.NDArray[np.floating]) -> Floats:
    """Mean over the last axis of what is not NaN; NaN where nothing is (``np.nanmean`` warns there)."""
    observed = ~np.isnan(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (np.where(observed, values, 0).sum(-1, dtype=np.float64) / observed.sum(-1)).astype(np.float32)


def median_of_observed(values: Floats) -> Floats:
    """Median over the last axis of what is not NaN; NaN where nothing is."""
    ordered = np.sort(values, -1)  # NaN last
    count = (~np.isnan(values)).sum(-1, keepdims=True)
    low = np.take_along_axis(ordered, np.maximum(count - 1, 0) // 2, -1)
    high = np.take_along_axis(ordered, np.minimum(count // 2, values.shape[-1] - 1), -1)
    return ((low + high) / 2)[..., 0].astype(np.float32)


def window_statistics(values: Doubles, width: int, first: int = 0) -> dict[str, Doubles]:
    """Mean, standard deviation, highest and lowest of the last ``width`` values of rows ``first`` and later.

    Each array is (n − first,). NaN unless the whole window lies in the series and half of it was observed.
    """
    start = max(0, first - width + 1)
    windows = (
        np.lib.stride_tricks.sliding_window_view(values[start:], width)
        if len(values) - start >= width
        else np.empty((0, width))
    )
    statistics = {name: np.full(len(values) - first, np.nan) for name in ("mean", "sd", "max", "min")}
    offset = start + width - 1 - first  # position of the first whole window
    for begin in range(0, len(windows), _BLOCK):
        block = windows[begin : begin + _BLOCK]
        at = slice(offset + begin, offset + begin + len(block))
        for name, found in _of_windows(block).items():
            statistics[name][at] = found
    return statistics


def _of_windows(windows: Doubles) -> dict[str, Doubles]:
    """Statistics of each row of (windows, width), each (windows,)."""
    observed = ~np.isnan(windows)
    count = observed.sum(1)
    enough = count >= max(1, windows.shape[1] / 2)
    filled = np.where(observed, windows, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = filled.sum(1) / count
        deviation = np.where(observed, windows - mean[:, None], 0.0)
        sd = np.sqrt((deviation**2).sum(1) / count)
    highest = np.where(observed, windows, -np.inf).max(1)
    lowest = np.where(observed, windows, np.inf).min(1)
    found = {"mean": mean, "sd": sd, "max": highest, "min": lowest}
    return {name: np.where(enough, each, np.nan) for name, each in found.items()}


def lowest_within(values: npt.NDArray[np.floating], width: int, first: int = 0) -> npt.NDArray[np.floating]:
    """Lowest of the last ``width`` values (fewer at the start) of rows ``first`` and later, (n − first,).

    Windows are cut into blocks of ``width``: the lowest of a window is that of the end of one block and the
    beginning of the next (van Herk 1992), so the cost does not depend on the width.
    """
    start = max(0, first - width + 1)
    part = values[start:]
    if not len(part):
        return part[:0]
    size = -(-(len(part) + width - 1) // width) * width
    padded = np.full(size, np.inf, values.dtype)
    padded[width - 1 : width - 1 + len(part)] = part
    blocks = padded.reshape(-1, width)
    ahead = np.minimum.accumulate(blocks, 1).reshape(-1)
    back = np.minimum.accumulate(blocks[:, ::-1], 1)[:, ::-1].reshape(-1)
    lowest = np.minimum(back[: len(part)], ahead[width - 1 : width - 1 + len(part)])
    return lowest[first - start :]


def highest_within(values: npt.NDArray[np.floating], width: int, first: int = 0) -> npt.NDArray[np.floating]:
    """Highest of the last ``width`` values (fewer at the start) of rows ``first`` and later, (n − first,)."""
    start = max(0, first - width + 1)
    return -lowest_within(-values[start:], width, first - start)


def rolling_sum(values: Doubles, width: int) -> Doubles:
    """Sum of the last ``width`` values (fewer at the start), (n,); NaN counts as 0."""
    total = np.concatenate([[0.0], np.cumsum(np.nan_to_num(values))])
    first = np.maximum(np.arange(1, len(values) + 1) - width, 0)
    return total[1:] - total[first]


def rolling_mean(values: Doubles, width: int) -> Doubles:
    """Mean of the observed among the last ``width`` values, (n,); NaN unless half of them were observed."""
    count = rolling_sum((~np.isnan(values)).astype(float), width)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(count >= max(1, width / 2), rolling_sum(values, width) / count, np.nan)


def rolling_min(values: Doubles, width: int) -> Doubles:
    """Lowest observed among the last ``width`` values, (n,); NaN where none was."""
    lowest = lowest_within(np.where(np.isnan(values), np.inf, values), width)
    return np.where(np.isinf(lowest), np.nan, lowest)


def rolling_max(values: Doubles, width: int) -> Doubles:
    """Highest observed among the last ``width`` values, (n,); NaN where none was."""
    return -rolling_min(-values, width)


class RollingSeries:
    """A series with gaps and the running sums behind its rolling means; rows are written in order."""

    def __init__(self) -> None:
        self._values: GrowingArray[np.float64] = GrowingArray(np.float64)
        self._total: RunningSum[np.float64] = RunningSum(np.float64)
        self._count: RunningSum[np.float64] = RunningSum(np.float64)

    @property
    def values(self) -> Doubles:
        """The series (n,), NaN where nothing was observed."""
        return self._values.values

    def write(self, first: int, values: Doubles) -> Doubles:
        """Replace rows ``first`` and later; returns ``values``."""
        self._values.write(first, values)
        self._total.write(first, np.nan_to_num(values))
        self._count.write(first, ~np.isnan(values))
        return values

    def mean(self, width: int, first: int) -> Doubles:
        """Mean of the observed among the last ``width`` rows of rows ``first`` and later, NaN unless half of
        them were observed.
        """
        ends = np.arange(first, len(self._values)) + 1
        begins = np.maximum(ends - width, 0)
        total, count = (each.sums[ends] - each.sums[begins] for each in (self._total, self._count))
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(count >= max(1, width / 2), total / count, np.nan)

    def lowest(self, width: int, first: int) -> Doubles:
        """Lowest observed among the last ``width`` rows of rows ``first`` and later; NaN where none was."""
        start = max(0, first - width + 1)
        part = self.values[start:]
        found = lowest_within(np.where(np.isnan(part), np.inf, part), width, first - start)
        return np.where(np.isinf(found), np.nan, found)

    def lag(self, rows: int, first: int) -> Doubles:
        """The values ``rows`` before rows ``first`` and later, NaN before the start."""
        at = np.arange(first, len(self._values)) - rows
        return np.where(at >= 0, self.values[np.maximum(at, 0)], np.nan)
