"""Arrays that grow as readings arrive, and running sums kept in them."""

from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

T = TypeVar("T", bound=np.generic)


class GrowingArray(Generic[T]):
    """An array whose first axis grows at its end.

    Writing n values takes time in proportion to n on average, however long the array is: the buffer grows by
    half when it is full.
    """

    def __init__(self, dtype: type[T], width: tuple[int, ...] = ()) -> None:
        self._buffer: npt.NDArray[T] = np.empty((0, *width), dtype)
        self._length = 0

    def __len__(self) -> int:
        return self._length

    @property
    def values(self) -> npt.NDArray[T]:
        """All values written so far, a view (length, *width)."""
        return self._buffer[: self._length]

    def write(self, first: int, values: npt.NDArray[Any]) -> None:
        """Replace everything from position ``first`` on by ``values``. Raises IndexError for a gap."""
        if not 0 <= first <= self._length:
            raise IndexError(f"Cannot write at {first}: only {self._length} values come before.")
        end = first + len(values)
        if end > len(self._buffer):
            size = max(end, len(self._buffer) + len(self._buffer) // 2)
            grown = np.empty((size, *self._buffer.shape[1:]), self._buffer.dtype)
            grown[:first] = self._buffer[:first]
            self._buffer = grown
        self._buffer[first:end] = values
        self._length = end


class RunningSum(Generic[T]):
    """Running sums of a series: ``sums`` (n + 1,), with ``sums[b] - sums[a]`` the sum of rows a … b − 1.

    Sums are taken one after the other, so they have the same bits in whatever chunks the series is written.
    """

    def __init__(self, dtype: type[T]) -> None:
        self._sums: GrowingArray[T] = GrowingArray(dtype)
        self._sums.write(0, np.zeros(1, dtype))

    @property
    def sums(self) -> npt.NDArray[T]:
        """Sum of all rows before each row, (n + 1,)."""
        return self._sums.values

    def write(self, first: int, values: npt.NDArray[Any]) -> None:
        """Replace rows ``first`` and later by ``values`` (NaN is not allowed: it would spread)."""
        dtype = self.sums.dtype
        start = self.sums[first : first + 1]
        total = np.cumsum(np.concatenate([start, values.astype(dtype, copy=False)]), dtype=dtype)
        self._sums.write(first + 1, total[1:])
