"""Months as partitions, and what a key means.

Key "2010-10-01" is the civil month 2010-10 of the meter. Data assets of a month hold its rows; a model of a
month is trained on everything before it and judged on it.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
import pandas as pd

FAR = 600  # months; longer than any meter's history


def months(first_month: str, last_month: str | None = None) -> dg.MonthlyPartitionsDefinition:
    """All civil months since ``first_month`` ("2006-12") that have ended, up to ``last_month`` if given;
    without it a month is added whenever one ends.
    """
    end = None if last_month is None else str(bounds(last_month)[1].date())
    return dg.MonthlyPartitionsDefinition(start_date=f"{first_month}-01", end_date=end)


@contextmanager
def previews_accepted() -> Iterator[None]:
    """Silence Dagster's notices about what 1.13 calls beta or preview and this project needs on purpose:
    partitioned checks, single-run backfills, months before the first one (the version is pinned for them).
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        warnings.simplefilter("ignore", dg.PreviewWarning)
        yield


def _reaching_back(count: int) -> dg.TimeWindowPartitionMapping:
    """The month and as many before it as exist, up to a count."""
    with previews_accepted():
        return dg.TimeWindowPartitionMapping(
            start_offset=-count, end_offset=0, allow_nonexistent_upstream_partitions=True
        )


WITH_MONTH_BEFORE = _reaching_back(1)
"""The month and the one before it: context for day-old copies and for lags of a week."""

EVERYTHING_UNTIL = _reaching_back(FAR)
"""The month and everything before it: history to train on, and the month to be judged on."""


def month_of(key: str) -> str:
    """The civil month of a partition key: "2010-10-01" is "2010-10"."""
    return key[:7]


def key_of(month: str) -> str:
    """The partition key of a civil month: "2010-10" is "2010-10-01"."""
    return f"{month}-01"


def bounds(month: str) -> tuple[pd.Timestamp, pd.Timestamp]:
    """First instant of a month and of the next, civil clock."""
    start = pd.Timestamp(f"{month}-01")
    return start, start + pd.offsets.MonthBegin(1)
