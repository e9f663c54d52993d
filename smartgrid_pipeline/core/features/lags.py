"""Values of earlier rows: a fixed number of rows back, and the same clock time on earlier days."""

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from smartgrid_pipeline.core.schema import Floats, Rows

DAY_MINUTES = 1440

YEAR_DAYS = 364
"""Fifty-two weeks: the same weekday a year earlier."""

Count = TypeVar("Count", int, Rows)


def latest_ended_day(end: Count, day: int = DAY_MINUTES) -> Count:
    """How many days back an interval that ends ``end`` after an origin has first ended at that origin.

    ``end`` and ``day`` are in one unit, minutes or rows: 1 for leads up to a day, 7 for the next week.
    """
    return -(-end // day)  # rounded up


def first_same_weekday(end_minutes: Rows) -> Rows:
    """How many days before the latest ended day the interval was first on the target's weekday (0 … 6)."""
    return (-end_minutes // DAY_MINUTES) % 7


def same_time(first: Rows, end: Rows, days: Rows, day: int) -> Rows:
    """Start rows of the same clock interval on earlier days.

    ``first`` (S): its start row. ``end`` (S): its end, in rows after the origin. ``days`` (k,): days
    before the latest one on which it had ended. ``day``: rows per day. Returns S + (k,).
    """
    return first[..., None] - (latest_ended_day(end, day)[..., None] + days) * day


def take(values: Floats, rows: Rows) -> Floats:
    """Rows of an array (n, …), NaN where a row lies outside of it."""
    if not len(values):
        return np.full(rows.shape + values.shape[1:], np.nan, np.float32)
    inside = (rows >= 0) & (rows < len(values))
    taken = values[np.where(inside, rows, 0)]
    taken[~inside] = np.nan
    return taken


def lag(values: npt.NDArray[np.float64], rows: int, first: int = 0) -> npt.NDArray[np.float64]:
    """The values ``rows`` earlier of rows ``first`` and later, NaN before the start."""
    lagged = np.full(max(len(values) - first, 0), np.nan, values.dtype)
    missing = max(rows - first, 0)
    if missing < len(lagged):
        lagged[missing:] = values[first + missing - rows : len(values) - rows]
    return lagged
