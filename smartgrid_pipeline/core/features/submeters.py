"""What each circuit drew: the sub-meters one by one, and what they leave over of the total.

A home's power is a sum of things that hardly know of each other, each easier to forecast than their sum.
Gaps are left out of means, not filled. A meter without sub-meters has one circuit, its total. It has no
columns here, nor has one that reads less often than every five minutes: the other inputs say the same.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import numpy as np

from smartgrid_pipeline.core.features.appliances import COARSEST_MINUTES, REST, held
from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.schema import ACTIVE_POWER, SUB_METERS, Doubles, Floats, Meter, Rows

DAY = 1440
LEVEL_MINUTES = (15, 60, 180, 720, DAY, 2 * DAY, 7 * DAY)
"""Mean power of each circuit over the last minutes."""

AHEAD_MINUTES = (15, 60)
"""What followed this clock time on earlier days is told for so many minutes."""

SINGLE_DAYS, MEAN_DAYS, MEAN_WEEKS = (1, 2, 7), 7, 4
READINGS = 15
"""Single readings of what the sub-meters leave over."""


def names_of(meter: Meter) -> tuple[str, ...]:
    """The circuits of a meter: its sub-meters and the rest."""
    return (*(sub for sub in SUB_METERS if sub in meter.channels), REST)


@lru_cache(maxsize=16)
def names(meter: Meter, step_minutes: int) -> tuple[str, ...]:
    """Names of the columns of ``SubmeterLoads.at`` for readings ``step_minutes`` apart."""
    if step_minutes > COARSEST_MINUTES or len(names_of(meter)) == 1:
        return ()
    ahead = [f"{day}_{minutes}min" for minutes in AHEAD_MINUTES
             for day in (*(f"day_{d}" for d in SINGLE_DAYS), "mean_7", "weeks_4")]  # fmt: skip
    each = [*(f"mean_{minutes}min" for minutes in LEVEL_MINUTES), *ahead]
    columns = [f"circuit_{circuit}_{what}" for circuit in names_of(meter) for what in each]
    return (*columns, *(f"circuit_{REST}_reading_{k}" for k in range(READINGS)))


@dataclass(frozen=True)
class SubmeterLoads:
    """All circuits of a meter, ready to be asked about any reading.

    ``sums`` (circuits, n + 1) are running sums of power in kW, ``count`` (n + 1,) of what was observed,
    ``latest_kw`` (circuits, n) the readings with the last one held through gaps.
    """

    step_minutes: int
    sums: tuple[Doubles, ...]
    count: Rows
    latest_kw: tuple[Floats, ...]

    @classmethod
    def of(cls, power_kw: Floats, subs_kw: tuple[Floats, ...], step_minutes: int) -> Self:
        """From readings (n,) on a regular grid, NaN where there is none."""
        rest = power_kw - sum(subs_kw, np.zeros(1, np.float32))
        seen = ~np.isnan(rest)
        powers = [np.where(seen, values, 0) for values in (*subs_kw, rest)]
        return cls(
            step_minutes,
            tuple(np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)]) for values in powers),
            np.concatenate([[0], np.cumsum(seen)]).astype(np.int64),
            tuple(held(np.where(seen, values, np.nan)) for values in (*subs_kw, rest)),
        )

    def targets(self, first: Rows, width_minutes: int) -> Floats:
        """Mean power (rows, circuits) of an interval that begins with each row, NaN unless all of it was
        observed.
        """
        width = width_minutes // self.step_minutes
        inside = (first >= 0) & (first + width < len(self.count))
        first = np.where(inside, first, 0)
        full = self.count[first + width] - self.count[first] == width
        means = [(sums[first + width] - sums[first]) / width for sums in self.sums]
        return np.where((inside & full)[:, None], np.stack(means, -1), np.nan).astype(np.float32)

    def latest(self, rows: Rows) -> Floats:
        """The latest readings (rows, circuits) once these rows have been read, kW."""
        return np.stack([values[rows] for values in self.latest_kw], -1)

    def at(self, rows: Rows) -> Floats:
        """What is known once these rows have been read, (rows, len(names(meter, step_minutes)))."""
        end = rows + 1
        columns: list[Floats] = []
        for sums in self.sums:
            columns += [_root(self._mean(sums, end, -minutes, minutes)) for minutes in LEVEL_MINUTES]
            for minutes in AHEAD_MINUTES:
                days = [_root(self._mean(sums, end, -day * DAY, minutes)) for day in range(1, MEAN_DAYS + 1)]
                weeks = [_root(self._mean(sums, end, -7 * week * DAY, minutes))
                         for week in range(1, MEAN_WEEKS + 1)]  # fmt: skip
                columns += [days[day - 1] for day in SINGLE_DAYS]
                columns += [_mean_of(np.stack(days)), _mean_of(np.stack(weeks))]
        back = np.maximum(rows[:, None] - np.arange(READINGS), 0)
        return np.concatenate([np.stack(columns, -1), _root(self.latest_kw[-1][back])], 1)

    def _mean(self, sums: Doubles, end: Rows, offset_minutes: int, width_minutes: int) -> Floats:
        """Mean of what was observed in an interval that begins so far from each end, NaN if nothing was."""
        first = end + offset_minutes // self.step_minutes
        width = width_minutes // self.step_minutes
        begin, last = np.maximum(first, 0), np.maximum(first + width, 0)
        seen = self.count[last] - self.count[begin]
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(seen > 0, (sums[last] - sums[begin]) / seen, np.nan).astype(np.float32)


def of_history(history: History) -> SubmeterLoads:
    """The circuits of a history, made once."""
    if "circuits" not in history.derived:
        subs = tuple(history.readings(sub) for sub in names_of(history.meter)[:-1])
        step = history.meter.working_minutes // history.readings_per_row
        history.derived["circuits"] = SubmeterLoads.of(history.readings(ACTIVE_POWER), subs, step)
    return history.derived["circuits"]


def at_rows(history: History, rows: Rows) -> Floats:
    """``SubmeterLoads.at`` at the end of working intervals; NaN outside the history."""
    found = of_history(history)
    per = history.meter.working_minutes // found.step_minutes
    out = np.full((len(rows), len(names(history.meter, found.step_minutes))), np.nan, np.float32)
    inside = (rows >= 0) & (rows < len(history.starts))
    if out.shape[1] and inside.any():
        out[inside] = found.at((rows[inside] + 1) * per - 1)
    return out


def _root(values: Floats) -> Floats:
    return np.sqrt(np.maximum(values, 0))


def _mean_of(values: Floats) -> Floats:
    """Mean over the first axis of what is not NaN."""
    seen = ~np.isnan(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (np.where(seen, values, 0).sum(0) / seen.sum(0)).astype(np.float32)
