import numpy as np
import pandas as pd
import pytest

from smartgrid_pipeline.core.anomaly.interval_array import IntervalArray
from smartgrid_pipeline.core.anomaly.rules import limits, rules
from smartgrid_pipeline.core.schema import ACTIVE_POWER, CHANNELS, CURRENT, VOLTAGE
from smartgrid_pipeline_tests.conftest import HOUSE, make_readings

READINGS = make_readings(16, start="2010-03-15", seed=4)
STREAM = IntervalArray.from_readings(READINGS, HOUSE)
LIMITS = limits.learn_limits(STREAM, np.ones(len(STREAM.times), bool))
ALL = list(CHANNELS)


def found_by(changed: pd.DataFrame) -> dict[str, rules.Hit]:
    found = rules.hits(IntervalArray.from_readings(changed, HOUSE), LIMITS)
    return {hit.rule.name: hit for hit in reversed(found)}


def test_rules__raise_nothing_on_the_readings_of_their_limits() -> None:
    assert rules.hits(STREAM, LIMITS) == []


@pytest.mark.parametrize(
    ("rule", "channels", "value", "minutes"),
    [
        ("gap", ALL, np.nan, 1),
        ("negative", [ACTIVE_POWER], -0.4, 1),
        ("no_power", [ACTIVE_POWER], 0.0, 1),
        ("voltage_band", [VOLTAGE], 190.0, 1),
        ("stuck_voltage_v", [VOLTAGE], 241.0, 10),
        ("too_much_power", [ACTIVE_POWER], 40.0, 1),
        ("far_too_little_current", [CURRENT], 0.2, 1),
    ],
)
def test_rules__raise_what_they_are_for(rule: str, channels: list[str], value: float, minutes: int) -> None:
    changed = READINGS.copy()
    at = changed.index[12_000 : 12_000 + minutes]
    changed.loc[at, channels] = value
    hit = found_by(changed)[rule]
    assert 11_999 <= hit.start <= 12_001
    assert hit.raised < 12_000 + minutes + 1


def test_copied_day__is_raised_by_its_second_reading() -> None:
    changed = READINGS.copy()
    changed.iloc[12_000:12_030, 1:] = READINGS.iloc[12_000 - 1440 : 12_030 - 1440, 1:].to_numpy()
    hit = found_by(changed)["copied_day"]
    assert (hit.start, hit.end, hit.raised) == (12_000, 12_030, 12_001)


def test_straight_line__is_no_standstill() -> None:
    changed = READINGS.copy()
    ramp = np.linspace(0, 1, 400)[:, None]
    ends = READINGS.iloc[[12_000, 12_399], 1:].to_numpy()
    changed.iloc[12_000:12_400, 1:] = np.round(
        ends[0] + ramp * (ends[1] - ends[0]) + [0, 0, 3, 0, 0, 0, 0] * ramp, 2
    )
    assert "straight_line" in found_by(changed)


def test_dst_copy__is_dated_back_to_the_hour_that_does_not_exist() -> None:
    changed = READINGS.copy()
    hour = READINGS.loc["2010-03-28 03:00":"2010-03-28 03:59", ALL].to_numpy()
    changed.loc["2010-03-28 02:00":"2010-03-28 02:59", ALL] = hour
    hit = found_by(changed)["dst_copy"]
    assert STREAM.times[hit.start] == np.datetime64("2010-03-28T02:00")
    assert STREAM.times[hit.raised] >= np.datetime64("2010-03-28T03:00")


def test_rules__raise_before_they_end_and_never_before_they_start() -> None:
    changed = READINGS.copy()
    changed.iloc[12_000:12_300, 1:] = READINGS.iloc[12_000, 1:].to_numpy()
    for hit in rules.hits(IntervalArray.from_readings(changed, HOUSE), LIMITS):
        assert hit.start <= hit.raised


def test_moves_missed__count_while_one_channel_is_frozen() -> None:
    readings = make_readings(3, seed=5)
    frozen = readings.copy()
    frozen.iloc[2_000:2_400, 1] = frozen.iloc[2_000, 1]
    missed = [
        rules.moves_missed(IntervalArray.from_readings(each, HOUSE), ACTIVE_POWER, CURRENT)
        for each in (readings, frozen)
    ]
    assert missed[0].max() == 0
    assert missed[1][2_399] >= 2
