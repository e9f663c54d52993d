"""Monitors without enough readings are off; others score each interval by their highest window."""

from functools import cache

import numpy as np
import pandas as pd

from smartgrid_pipeline.core.anomaly.interval_array import IntervalArray, Times
from smartgrid_pipeline.core.anomaly.physics import loads
from smartgrid_pipeline.core.anomaly.physics.hourly import HourlyAggregates, aggregate
from smartgrid_pipeline.core.anomaly.scoring import scores
from smartgrid_pipeline.core.anomaly.scoring.tails import MIN_SCORES, Tail
from smartgrid_pipeline.core.schema import ACTIVE_POWER
from smartgrid_pipeline_tests.conftest import HOME, make_readings

CHANNELS = (ACTIVE_POWER,)
LEARNED = {"power_base": np.array(np.log(0.2 + loads.FLOOR_KW)), "calm_range_kw": np.array(0.05)}


@cache
def home(days: int = 20) -> tuple[HourlyAggregates, Times]:
    """Hourly aggregates and working intervals of a home of half-hourly power."""
    recorded = IntervalArray.from_readings(make_readings(days, meter=HOME), HOME)
    return aggregate(recorded, LEARNED), recorded.intervals


def fitted(known_rows: int) -> dict[str, Tail]:
    hourly, intervals = home()
    clean = np.arange(len(intervals)) >= len(intervals) - known_rows
    return scores.fit_monitor_tails(CHANNELS, hourly, intervals, clean, 48, 0)


def test_fit_monitor_tails__needs_enough_clean_intervals() -> None:
    assert fitted(MIN_SCORES - 1) == {}
    tails = fitted(MIN_SCORES)
    assert {key.split("/")[0] for key in tails} == {
        "base_load_high", "base_load_low", "steady_load_high", "flat",
    }  # fmt: skip
    assert scores.has_tail(tails, "flat") and not scores.has_tail(tails, "gain")


def test_monitor_scores__leave_out_what_has_no_tail_and_take_the_highest_window() -> None:
    hourly, intervals = home()
    tails = {key: tail for key, tail in fitted(600).items() if key.startswith("base_load_low/")}
    found = scores.monitor_scores(tails, CHANNELS, hourly, intervals)
    assert set(found) == {"base_load_low"}
    single = [scores.monitor_scores({k: t}, CHANNELS, hourly, intervals)["base_load_low"]
              for k, t in tails.items()]  # fmt: skip
    assert len(single) == 4
    np.testing.assert_array_equal(found["base_load_low"], np.fmax.reduce(single))
    assert len(np.unique(np.argmax(np.nan_to_num(single), axis=0))) > 1  # no window is always the highest


def test_monitor_scores__of_later_intervals_equal_those_of_all() -> None:
    hourly, intervals = home()
    tails = fitted(600)
    whole = scores.monitor_scores(tails, CHANNELS, hourly, intervals)
    later = scores.monitor_scores(tails, CHANNELS, hourly, intervals[500:])
    for name, values in later.items():
        np.testing.assert_array_equal(values, whole[name][500:])


def test_ensemble_score__is_the_mean_of_the_members_and_unknown_in_a_vacant_home() -> None:
    index = pd.date_range("2010-01-04", periods=96, freq="30min")
    power = np.where(np.arange(96) < 48, 0.2, 5.0)  # base load for a day, then much more
    readings = pd.DataFrame({ACTIVE_POWER: power}, index=index)
    recorded = IntervalArray.from_readings(readings, HOME)
    members = {"one": np.arange(96.0), "two": np.full(96, 2.0)}
    found = scores.ensemble_score(members, aggregate(recorded, LEARNED), recorded.intervals)
    assert np.isnan(found[20:48]).all()
    np.testing.assert_array_equal(found[50:], (np.arange(50.0, 96) + 2) / 2)
