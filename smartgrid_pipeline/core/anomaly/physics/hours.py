"""Hourly sums of what the physics monitors look at, and the trailing references they are held against.

All windows are finite: a value depends on the REFERENCE_DAYS + LAG_DAYS before it and on nothing older.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from smartgrid_pipeline.core.anomaly.interval_array import Array, Times, rolling_max, rolling_sum
from smartgrid_pipeline.core.schema import DataError

REFERENCE_DAYS = 60
LAG_DAYS = 8
"""A reference is the median day of REFERENCE_DAYS that ended LAG_DAYS ago: a fresh fault is not in it."""

Learned = dict[str, Array]


@dataclass(frozen=True)
class HourlyAggregates:
    """Sums per civil hour: ``sums`` maps a name to (hours,); ``slots`` is the supply voltage against its last
    hour on the working intervals of those hours, empty without a voltmeter.
    """

    first_hour: np.datetime64
    working_minutes: int
    step_minutes: int
    sums: dict[str, Array]
    slots: Array
    learned: Learned
    from_row: int = 0
    """Costly monitors may leave out the hours before this one: nobody asks for them."""

    @property
    def n(self) -> int:
        """Number of hours begun."""
        return len(self.sums["readings"])

    def total(self, name: str, hours: int) -> Array:
        """Sum over the last ``hours`` hours."""
        return rolling_sum(self.sums[name], hours)

    def mean(self, name: str, count: str, hours: int, fewest_minutes: float) -> Array:
        """Mean over the last ``hours`` hours, NaN with fewer than so many minutes of readings behind it."""
        n = self.total(count, hours)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(n * self.step_minutes >= fewest_minutes, self.total(name, hours) / n, np.nan)

    @property
    def _end_of_first_day(self) -> int:
        return 23 - int((self.first_hour - self.first_hour.astype("datetime64[D]")).astype(int))

    @property
    def hour_of_day(self) -> npt.NDArray[np.int64]:
        """Civil hour of the day, 0 … 23."""
        return (23 - self._end_of_first_day + np.arange(self.n)) % 24

    def reference_day(self) -> npt.NDArray[np.int64]:
        """For every hour the last day of its reference; negative where there is none yet."""
        return (np.arange(self.n) - self._end_of_first_day + 23) // 24 - 1 - LAG_DAYS

    def reference(self, values: Array, fallback: float, reference_days: int = REFERENCE_DAYS) -> Array:
        """Median of the values at the ends of the reference days, ``fallback`` where too few are known."""
        days = values[self._end_of_first_day :: 24]
        if len(days) == 0:
            return np.full(self.n, fallback)
        padded = np.concatenate([np.full(reference_days - 1, np.nan), days])
        windows = np.lib.stride_tricks.sliding_window_view(padded, reference_days)
        middle = np.full(len(days), fallback)
        enough = (~np.isnan(windows)).sum(1) >= min(20, reference_days // 2)
        if enough.any():
            middle[enough] = np.nanmedian(windows[enough], axis=1)
        day = self.reference_day()
        return np.where(day >= 0, middle[np.clip(day, 0, len(days) - 1)], fallback)

    def last_days(self, sums: Array) -> Array:
        """Sums over the reference days; row 0 for hours that have none yet, else ``reference_day() + 1``."""
        ends = np.cumsum(sums, axis=0)[self._end_of_first_day :: 24]
        before = np.concatenate([np.zeros((REFERENCE_DAYS, sums.shape[1])), ends])[: len(ends)]
        return np.concatenate([np.zeros((1, sums.shape[1])), ends - before])

    def reference_most(self, values: Array, fallback: float) -> Array:
        """Highest value on the reference days, ``fallback`` where under 20 are known."""
        last = self._end_of_first_day
        days = rolling_max(values, 24)[last::24]
        if len(days) == 0:
            return np.full(self.n, fallback)
        known = rolling_sum((~np.isnan(days)).astype(float), REFERENCE_DAYS)
        most = np.where(known >= 20, rolling_max(days, REFERENCE_DAYS), fallback)
        day = self.reference_day()
        return np.where(day >= 0, most[np.clip(day, 0, len(days) - 1)], fallback)

    def to_intervals(self, values: Array, intervals: Times) -> Array:
        """An hour's value on working intervals: from the one that completes the hour until the next."""
        ends = intervals + np.timedelta64(self.working_minutes, "m")
        hour = ((ends - self.first_hour.astype("datetime64[m]")) // np.timedelta64(60, "m")).astype(int) - 1
        return np.where(hour >= 0, values[np.clip(hour, 0, self.n - 1)], np.nan)

    def after(self, earlier: "HourlyAggregates", warm_hours: int = 3) -> "HourlyAggregates":
        """These hours preceded by those of an earlier state, which also gives the first ``warm_hours``: ours
        lack what came before them.
        """
        rows = int((self.first_hour - earlier.first_hour).astype(int)) + warm_hours
        if rows < warm_hours or rows > earlier.n:
            raise DataError(
                f"The earlier state covers {earlier.n} hours from {earlier.first_hour}; it does not reach "
                f"{self.first_hour} plus {warm_hours} h."
            )
        start = max(0, rows - 24 * (REFERENCE_DAYS + LAG_DAYS + 9))
        per = 60 // self.working_minutes
        sums = {
            name: np.concatenate([earlier.sums[name][start:rows], values[warm_hours:]])
            for name, values in self.sums.items()
        }
        slots = np.concatenate([earlier.slots[start * per : rows * per], self.slots[warm_hours * per :]])
        return replace(
            self, first_hour=earlier.first_hour + np.timedelta64(start, "h"), sums=sums, slots=slots
        )
