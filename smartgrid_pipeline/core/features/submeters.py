"""What each sub-meter drew, and the remainder that they leave of the total.

A home's power is a sum of loads that are nearly independent, each easier to forecast than their sum. Gaps are
left out of means, not filled. A meter without sub-meters has one load, its total: it has no columns here, nor
has one that reads less often than every five minutes, as other features hold the same.
"""

from functools import lru_cache
from typing import Self

import numpy as np

from smartgrid_pipeline.core.features.appliances import COARSEST_MINUTES, REMAINDER, forward_fill
from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.features.lags import DAY_MINUTES
from smartgrid_pipeline.core.meter_data.growing_array import GrowingArray, RunningSum
from smartgrid_pipeline.core.schema import ACTIVE_POWER, SUB_METERS, Doubles, Floats, Meter, Rows

MEAN_MINUTES = (15, 60, 180, 720, DAY_MINUTES, 2 * DAY_MINUTES, 7 * DAY_MINUTES)
"""Mean power of each load over the last minutes."""

AHEAD_MINUTES = (15, 60)
"""Mean power of each load in so many minutes after this clock time on earlier days."""

SINGLE_DAYS, MEAN_DAYS, MEAN_WEEKS = (1, 2, 7), 7, 4
READINGS = 15
"""Single readings of the remainder."""


def load_names(meter: Meter) -> tuple[str, ...]:
    """The loads of a meter: its sub-meters and the remainder."""
    return (*(sub for sub in SUB_METERS if sub in meter.channels), REMAINDER)


@lru_cache(maxsize=16)
def names(meter: Meter, reading_minutes: int) -> tuple[str, ...]:
    """Names of the columns of ``SubmeterLoads`` for readings so many minutes apart."""
    if reading_minutes > COARSEST_MINUTES or len(load_names(meter)) == 1:
        return ()
    ahead = [f"{day}_{minutes}min" for minutes in AHEAD_MINUTES
             for day in (*(f"day_{d}" for d in SINGLE_DAYS), "mean_7", "weeks_4")]  # fmt: skip
    each = [*(f"mean_{minutes}min" for minutes in MEAN_MINUTES), *ahead]
    columns = [f"load_{load}_{what}" for load in load_names(meter) for what in each]
    return (*columns, *(f"load_{REMAINDER}_reading_{k}" for k in range(READINGS)))


class SubmeterLoads:
    """Running sums (kW) and latest readings of all loads; a reading counts where every channel was
    observed.
    """

    def __init__(self, history: History) -> None:
        self.meter, self.reading_minutes = history.meter, history.reading_minutes
        self.readings_per_row = history.readings_per_row
        self._sums = tuple(RunningSum(np.float64) for _ in load_names(history.meter))
        self._count: RunningSum[np.int64] = RunningSum(np.int64)
        self._latest_kw = tuple(GrowingArray(np.float32) for _ in load_names(history.meter))

    @classmethod
    def transform(cls, history: History) -> Self:
        """Of a whole history."""
        block = cls(history)
        block.update(history)
        return block

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns; none for a meter without sub-meters or a coarse one."""
        return names(self.meter, self.reading_minutes)

    def update(self, history: History, first: int = 0) -> None:
        """Take in rows ``first`` and later."""
        begin = first * self.readings_per_row
        subs = [history.readings(sub)[begin:] for sub in load_names(self.meter)[:-1]]
        remainder = history.readings(ACTIVE_POWER)[begin:] - sum(subs, np.zeros(1, np.float32))
        observed = ~np.isnan(remainder)
        self._count.write(begin, observed)
        for values, sums, latest in zip((*subs, remainder), self._sums, self._latest_kw, strict=True):
            sums.write(begin, np.where(observed, values, 0))
            before = latest.values[begin - 1] if begin else 0.0
            latest.write(begin, forward_fill(np.where(observed, values, np.nan), before))

    def targets(self, first: Rows, width_minutes: int) -> Floats:
        """Mean power (rows, loads) in kW of an interval that begins with each reading, NaN unless all of it
        was observed.
        """
        count, width = self._count.sums, width_minutes // self.reading_minutes
        inside = (first >= 0) & (first + width < len(count))
        first = np.where(inside, first, 0)
        full = count[first + width] - count[first] == width
        means = [(each.sums[first + width] - each.sums[first]) / width for each in self._sums]
        return np.where((inside & full)[:, None], np.stack(means, -1), np.nan).astype(np.float32)

    def latest(self, readings: Rows) -> Floats:
        """The last observed readings (readings, loads) once these readings have arrived, kW."""
        return np.stack([latest.values[readings] for latest in self._latest_kw], -1)

    def at(self, readings: Rows) -> Floats:
        """Columns once these readings have arrived, (readings, columns), as square roots of kW."""
        end = readings + 1
        columns: list[Floats] = []
        for each in self._sums:
            columns += [_root(self._mean(each.sums, end, -minutes, minutes)) for minutes in MEAN_MINUTES]
            for minutes in AHEAD_MINUTES:
                days = [_root(self._mean(each.sums, end, -day * DAY_MINUTES, minutes))
                        for day in range(1, MEAN_DAYS + 1)]  # fmt: skip
                weeks = [_root(self._mean(each.sums, end, -7 * week * DAY_MINUTES, minutes))
                         for week in range(1, MEAN_WEEKS + 1)]  # fmt: skip
                columns += [days[day - 1] for day in SINGLE_DAYS]
                columns += [_mean_of(np.stack(days)), _mean_of(np.stack(weeks))]
        back = np.maximum(readings[:, None] - np.arange(READINGS), 0)
        return np.concatenate([np.stack(columns, -1), _root(self._latest_kw[-1].values[back])], 1)

    def at_rows(self, rows: Rows) -> Floats:
        """Columns at the end of working intervals; NaN outside the history."""
        out = np.full((len(rows), len(self.columns)), np.nan, np.float32)
        inside = (rows >= 0) & (rows < (len(self._count.sums) - 1) // self.readings_per_row)
        if out.shape[1] and inside.any():
            out[inside] = self.at((rows[inside] + 1) * self.readings_per_row - 1)
        return out

    def _mean(self, sums: Doubles, end: Rows, offset_minutes: int, width_minutes: int) -> Floats:
        """Mean of what was observed in an interval that begins so far from each end, NaN if nothing was."""
        count = self._count.sums
        first = end + offset_minutes // self.reading_minutes
        width = width_minutes // self.reading_minutes
        begin, last = np.maximum(first, 0), np.maximum(first + width, 0)
        observed = count[last] - count[begin]
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(observed > 0, (sums[last] - sums[begin]) / observed, np.nan).astype(np.float32)


def _root(values: Floats) -> Floats:
    return np.sqrt(np.maximum(values, 0))


def _mean_of(values: Floats) -> Floats:
    """Mean over the first axis of what is not NaN."""
    observed = ~np.isnan(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (np.where(observed, values, 0).sum(0) / observed.sum(0)).astype(np.float32)
