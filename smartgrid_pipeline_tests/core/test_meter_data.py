"""Defects are found from the readings alone, and nothing is filled."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from smartgrid_pipeline.core import meter_data
from smartgrid_pipeline.core.schema import (
    ACTIVE_POWER,
    CHANNELS,
    OBSERVED_SHARE,
    DataError,
    Meter,
)
from smartgrid_pipeline_tests.conftest import HOME, HOUSE, make_readings

ORACLES = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture(scope="module")
def house_defects() -> pd.DataFrame:
    """The defects table of the real house, and the length of its grid as an attribute."""
    from smartgrid_pipeline import sources

    readings = sources.read(sources.SourceSpec())
    grid = meter_data.to_grid(readings.frame, readings.meter)
    kinds = meter_data.defect_kinds(grid)
    table = meter_data.defect_table(kinds, 1, CHANNELS)
    table.attrs["intervals"] = len(meter_data.resample(meter_data.mask(grid, kinds), readings.meter))
    return table


def _oracle(name: str) -> pd.DataFrame:
    path = ORACLES / name
    if not path.exists():
        pytest.skip(f"the list of true defects is not there: {path.name} beside the repository")
    return pd.read_csv(path)


def _as_true(found: pd.DataFrame, kinds: list[str]) -> pd.DataFrame:
    rows = found[found["kind"].isin(kinds)].reset_index(drop=True)
    return rows.assign(start=rows["start"].astype(str), end=rows["end"].astype(str))


def test_house__gaps_are_those_the_publisher_filled(house_defects: pd.DataFrame) -> None:
    true = _oracle("uci_missing_intervals.csv")
    found = _as_true(house_defects, ["gap"])
    assert found["start"].tolist() == true["start"].tolist()
    assert found["end"].tolist() == true["end"].tolist()
    assert found["minutes"].sum() == true["count"].sum() == 25_979


def test_house__chance_equals_are_masked_and_no_more(house_defects: pd.DataFrame) -> None:
    true = _oracle("uci_chance_equal_rows.csv")
    found = _as_true(house_defects, ["chance_copy"])
    assert found["start"].tolist() == true["date_time"].tolist()
    assert found["minutes"].sum() == 22


def test_house__dst_copies_and_the_freeze_are_typed(house_defects: pd.DataFrame) -> None:
    copies, true = _as_true(house_defects, ["dst_copy"]), _oracle("uci_dst_duplicate_hours.csv")
    assert copies[["start", "end"]].to_numpy().tolist() == true[["start", "end"]].to_numpy().tolist()
    freezes, true = _as_true(house_defects, ["freeze"]), _oracle("uci_frozen_runs.csv")
    assert freezes[["start", "end"]].to_numpy().tolist() == true[["start", "end"]].to_numpy().tolist()
    assert freezes["minutes"].tolist() == [399]


def test_house__has_its_known_number_of_intervals(house_defects: pd.DataFrame) -> None:
    assert house_defects.attrs["intervals"] == 415_053
    assert house_defects["kind"].value_counts().to_dict() == {
        "gap": 71,
        "chance_copy": 22,
        "dst_copy": 4,
        "freeze": 1,
    }


@pytest.mark.parametrize("meter", [HOUSE, HOME], ids=lambda meter: meter.meter_id)
def test_clean_readings__have_no_defects(meter: Meter) -> None:
    assert (meter_data.defect_kinds(make_readings(45, meter=meter)) == "").all()


@pytest.mark.parametrize(("meter", "hours"), [(HOUSE, 0.05), (HOUSE, 60), (HOME, 12), (HOME, 48)])
def test_copies_of_the_day_before__are_gaps(meter: Meter, hours: float) -> None:
    readings = make_readings(40, meter=meter)
    rows, day = round(hours * 60 / meter.step_minutes), 1440 // meter.step_minutes
    at = 20_011 // meter.step_minutes
    values = readings[list(meter.channels)].to_numpy(copy=True)
    for row in range(at, at + rows):  # one after another, as publishers fill: a copy may be copied again
        values[row] = values[row - day]
    readings[list(meter.channels)] = values
    kinds = meter_data.defect_kinds(readings).to_numpy()
    assert (kinds[at : at + rows] == "gap").mean() > 0.95
    assert (kinds == "gap").sum() <= rows + 1


@pytest.mark.parametrize(("meter", "hours"), [(HOUSE, 1), (HOUSE, 24), (HOME, 24)])
def test_frozen_meter__is_found_from_its_second_row_on(meter: Meter, hours: int) -> None:
    readings = make_readings(40, meter=meter)
    rows, at = hours * 60 // meter.step_minutes, 20_011 // meter.step_minutes
    channels = list(meter.channels)
    readings.loc[readings.index[at : at + rows], channels] = readings[channels].iloc[at].to_numpy()
    kinds = meter_data.defect_kinds(readings).to_numpy()
    assert set(kinds[at + 1 : at + rows]) == {"freeze"}
    assert (kinds == "freeze").sum() == rows - 1


def test_empty_home__is_not_frozen() -> None:
    """Zero load for a week is a switched-off home; the readings stay."""
    readings = make_readings(40, meter=HOME)
    readings.iloc[500:836, readings.columns.get_loc(ACTIVE_POWER)] = 0.0
    assert (meter_data.defect_kinds(readings) == "").all()


def test_repeated_spring_hour__is_typed() -> None:
    readings = make_readings(30, "2010-03-10")
    at = readings.index.get_loc(pd.Timestamp("2010-03-28 02:01"))
    channels = [readings.columns.get_loc(name) for name in CHANNELS]
    readings.iloc[at : at + 60, channels] = readings.iloc[at + 60 : at + 120, channels].to_numpy()
    table = meter_data.defect_table(meter_data.defect_kinds(readings), 1, CHANNELS)
    assert table[["start", "end", "kind", "minutes"]].to_numpy().tolist() == [
        [pd.Timestamp("2010-03-28 02:01"), pd.Timestamp("2010-03-28 03:00"), "dst_copy", 60]
    ]


def test_defects__do_not_depend_on_the_months_given_together() -> None:
    readings = make_readings(90, "2010-01-01")
    readings.iloc[70_000:70_100, 1:] = readings.iloc[70_000 - 1440 : 70_100 - 1440, 1:].to_numpy()
    whole = meter_data.defect_kinds(readings)
    march = meter_data.defect_kinds(readings.loc["2010-02":])
    pd.testing.assert_series_equal(whole.loc["2010-03":], march.loc["2010-03":])


def test_merge_defects__joins_what_a_month_end_cut() -> None:
    index = pd.date_range("2010-01-31 23:00", periods=4, freq="30min")
    kinds = pd.Series(["", "gap", "gap", ""], index=index)
    parts = [meter_data.defect_table(part, 30, HOME.channels) for part in (kinds[:2], kinds[2:])]
    merged = meter_data.merge_defects(parts, 30)
    assert merged[["start", "end", "minutes"]].to_numpy().tolist() == [[index[1], index[2], 60]]


def test_mask__leaves_nothing_behind_and_fills_nothing() -> None:
    readings = make_readings(2)
    kinds = pd.Series("", index=readings.index, dtype=object)
    kinds.iloc[10:20] = "gap"
    clean = meter_data.mask(readings, kinds)
    assert clean[list(CHANNELS)].iloc[10:20].isna().all(axis=None)
    pd.testing.assert_frame_equal(clean.drop(clean.index[10:20]), readings.drop(readings.index[10:20]))


def test_resample__means_over_the_observed_minutes_with_their_share() -> None:
    readings = make_readings(1).iloc[:10].copy()
    readings[ACTIVE_POWER] = [1.0, 2.0, 3.0, 4.0, 5.0, 1.0, np.nan, np.nan, 4.0, np.nan]
    intervals = meter_data.resample(readings, HOUSE)
    assert intervals[ACTIVE_POWER].tolist() == [3.0, 2.5]
    assert intervals[OBSERVED_SHARE].tolist() == [1.0, pytest.approx(0.4)]
    within = [f"{ACTIVE_POWER}_within_{i}" for i in range(5)]
    assert intervals[within].iloc[0].tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]


def test_resample__keeps_whole_intervals_of_the_civil_clock() -> None:
    readings = make_readings(1).iloc[3:12]  # 00:03 to 00:11
    intervals = meter_data.resample(readings, HOUSE)
    assert [str(time.time()) for time in intervals.index] == ["00:00:00", "00:05:00", "00:10:00"]
    assert intervals[OBSERVED_SHARE].tolist() == [pytest.approx(0.4), 1.0, pytest.approx(0.4)]


def test_to_grid__orders_completes_and_keeps_the_first_of_repeats() -> None:
    readings = make_readings(1, meter=HOME)
    repeat = readings.iloc[20:21].assign(**{ACTIVE_POWER: 0.0})
    recorded = pd.concat([readings.iloc[10:], readings.iloc[:5], repeat])
    grid = meter_data.to_grid(recorded, HOME)
    assert grid.index.equals(readings.index.as_unit(grid.index.unit))
    assert grid[ACTIVE_POWER].iloc[5:10].isna().all()
    assert grid[ACTIVE_POWER].iloc[20] == readings[ACTIVE_POWER].iloc[20]


def test_to_grid__is_not_led_astray_by_a_first_row_off_the_grid() -> None:
    readings = make_readings(1, meter=HOME)
    off = readings.iloc[:1].shift(freq="7min")
    grid = meter_data.to_grid(pd.concat([off, readings.iloc[1:]]), HOME)
    assert grid[ACTIVE_POWER].notna().sum() == len(readings) - 1


def test_civil_clock__has_no_utc_in_the_hour_that_is_skipped() -> None:
    civil = pd.DatetimeIndex(["2010-03-28 01:59", "2010-03-28 02:30", "2010-03-28 03:00", "2010-10-31 02:30"])
    utc = meter_data.civil_to_utc(civil, "Europe/Paris")
    assert utc.isna().tolist() == [False, True, False, False]
    assert str(utc[3]) == "2010-10-31 00:30:00+00:00"  # the first pass: still summer time


def test_empty_and_irregular_frames__are_refused() -> None:
    readings = make_readings(1, meter=HOME)
    with pytest.raises(DataError, match="empty"):
        meter_data.to_grid(readings.iloc[:0], HOME)
    with pytest.raises(DataError, match="empty"):
        meter_data.resample(readings.iloc[:0], HOME)
    with pytest.raises(DataError, match="regular"):
        meter_data.resample(readings.drop(readings.index[3]), HOME)
    with pytest.raises(DataError, match="regular"):
        meter_data.defect_kinds(readings.drop(readings.index[3]))
