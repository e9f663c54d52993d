"""Months as partitions.

The partition key "2010-10-01" is the civil month 2010-10 of the meter. A data asset's partition holds the
rows of that month. A model's partition is trained on everything before the month and evaluated on the month.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
import pandas as pd

from smartgrid_pipeline.orchestration.months import bounds

MORE_MONTHS_THAN_ANY_HISTORY = 600


def months(first_month: str, last_month: str | None = None) -> dg.MonthlyPartitionsDefinition:
    """Every civil month from ``first_month`` ("2006-12") to ``last_month``.

    Without ``last_month`` the range grows by one partition whenever a month ends.
    """
    end = None if last_month is None else str(bounds(last_month)[1].date())
    return dg.MonthlyPartitionsDefinition(start_date=f"{first_month}-01", end_date=end)


@contextmanager
def previews_accepted() -> Iterator[None]:
    """Silence Dagster's warnings about the beta and preview features that this package uses.

    These are partitioned checks, single-run backfills and months before the first one.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        warnings.simplefilter("ignore", dg.PreviewWarning)
        yield


def _with_months_before(count: int) -> dg.TimeWindowPartitionMapping:
    """Maps a month to itself and the ``count`` months before it, as far as they exist."""
    with previews_accepted():
        return dg.TimeWindowPartitionMapping(
            start_offset=-count, end_offset=0, allow_nonexistent_upstream_partitions=True
        )


WITH_MONTH_BEFORE = _with_months_before(1)
"""The month and the one before it: context for copied days and for lags of up to a week."""

EVERYTHING_UNTIL = _with_months_before(MORE_MONTHS_THAN_ANY_HISTORY)
"""The month and everything before it: history to train on, and the month to evaluate on."""


def month_of(key: str) -> str:
    """The civil month of a partition key: "2010-10-01" is "2010-10"."""
    return key[:7]


def key_of(month: str) -> str:
    """The partition key of a civil month: "2010-10" is "2010-10-01"."""
    return f"{month}-01"


def newest_complete_month(last_reading_end: pd.Timestamp, now: pd.Timestamp) -> str:
    """The newest civil month that has ended both in the source and by the clock ``now``."""
    until = min(last_reading_end, now.tz_localize(None) if now.tzinfo else now)
    return str(until.to_period("M") - 1)
