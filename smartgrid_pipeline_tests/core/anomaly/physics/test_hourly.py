import numpy as np
import pytest

from smartgrid_pipeline.core.anomaly.interval_array import IntervalArray
from smartgrid_pipeline.core.anomaly.physics.hourly import HourlyAggregates, aggregate
from smartgrid_pipeline.core.schema import ACTIVE_POWER, DataError
from smartgrid_pipeline_tests.conftest import HOUSE
from smartgrid_pipeline_tests.core.anomaly import made


def test_aggregates__of_a_chunk_after_a_state_equal_those_of_the_whole() -> None:
    whole = made.CLEAN
    later = IntervalArray.from_readings(made.READINGS["2010-02-10":], HOUSE)
    joined = aggregate(later, made.LEARNED).after(whole)
    for name, values in joined.sums.items():
        np.testing.assert_allclose(values, whole.sums[name][-len(values) :], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(joined.slots, whole.slots[-len(joined.slots) :], atol=1e-9)


def test_aggregates__are_sums_and_extremes_of_an_hour() -> None:
    hour = made.READINGS[ACTIVE_POWER].iloc[60 * 100 : 60 * 101]
    sums = {name: values[100] for name, values in made.CLEAN.sums.items()}
    assert sums["readings"] == 60
    assert sums["energy"] == pytest.approx(hour.sum() / 60)
    assert (sums["power_low"], sums["power_high"]) == (hour.min(), hour.max())
    assert sums["power_base"] == hour.sort_values().iloc[6]


def test_after__refuses_a_state_that_ends_too_early() -> None:
    later = aggregate(IntervalArray.from_readings(made.READINGS["2010-02-10":], HOUSE), made.LEARNED)
    early = aggregate(IntervalArray.from_readings(made.READINGS[:"2010-01-20"], HOUSE), made.LEARNED)
    with pytest.raises(DataError, match="does not reach"):
        later.after(early)


def test_reference__is_the_median_of_days_that_ended_a_lag_ago() -> None:
    days = np.repeat(np.arange(40.0), 24)
    hourly = HourlyAggregates(np.datetime64("2010-01-01T00"), 5, 1, {"readings": days}, np.zeros(0), {})
    reference = hourly.reference(days, fallback=-1.0)
    assert (reference[: 24 * 20] == -1.0).all()
    assert reference[24 * 39] == np.median(np.arange(0, 31))  # day 38 is complete, the reference ends with 30


def test_to_intervals__gives_an_hour_to_the_interval_that_completes_it() -> None:
    first = np.datetime64("2010-01-01T00", "h")
    hourly = HourlyAggregates(first, 30, 30, {"readings": np.ones(2)}, np.zeros(0), {})
    intervals = first.astype("datetime64[m]") + np.arange(4) * np.timedelta64(30, "m")
    np.testing.assert_array_equal(hourly.to_intervals(np.array([1.0, 2.0]), intervals), [np.nan, 1, 1, 2])
