"""Months as partitions: keys, and which month is complete."""

import pandas as pd

from smartgrid_pipeline.orchestration import partitions


def test_key__names_the_month_it_came_from() -> None:
    assert partitions.key_of("2010-10") == "2010-10-01"
    assert partitions.month_of(partitions.key_of("2010-10")) == "2010-10"


def test_newest_complete_month__has_ended_in_the_source() -> None:
    now = pd.Timestamp("2026-01-02", tz="UTC")
    assert partitions.newest_complete_month(pd.Timestamp("2010-11-26 21:03"), now) == "2010-10"
    assert partitions.newest_complete_month(pd.Timestamp("2010-11-01 00:00"), now) == "2010-10"
    assert partitions.newest_complete_month(pd.Timestamp("2010-10-31 23:59"), now) == "2010-09"
