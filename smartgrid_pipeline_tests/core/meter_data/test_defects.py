"""Defects are found from the readings alone, and nothing is filled."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from smartgrid_pipeline.core import meter_data
from smartgrid_pipeline.core.schema import (
    ACTIVE_POWER,
    CHANNELS,
    DataError,
    Meter,
)
from smartgrid_pipeline_tests.conftest import HOME, HOUSE, make_readings

ORACLES = Path(__file__).parents[4] / "shared" / "data"


@pytest.fixture(scope="module")
def house_defects() -> pd.DataFrame:
    """The defects table of the real house, and the length of its grid as an attribute."""
    from smartgrid_pipeline import sources

    readings = sources.read(sources.SourceSpec())
    grid = meter_data.to_grid(readings.frame, readings.meter)
    types = meter_data.defect_types(grid)
    table = meter_data.defect_table(types, 1, CHANNELS)
    table.attrs["intervals"] = len(meter_data.resample(meter_data.mask(grid, types), readings.meter))
    return table


def _oracle(name: str) -> pd.DataFrame:
    path = ORACLES / name
    if not path.exists():
        pytest.skip(f"the list of true defects is not there: {path.name} beside the repository")
    return pd.read_csv(path)


def _as_true(found: pd.DataFrame, types: list[str]) -> pd.DataFrame:
    rows = found[found["kind"].isin(types)].reset_index(drop=True)
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
    assert (meter_data.defect_types(make_readings(45, meter=meter)) == "").all()


@pytest.mark.parametrize(("meter", "hours"), [(HOUSE, 0.05), (HOUSE, 60), (HOME, 12), (HOME, 48)])
def test_copies_of_the_day_before__are_gaps(meter: Meter, hours: float) -> None:
    readings = make_readings(40, meter=meter)
    rows, day = round(hours * 60 / meter.step_minutes), 1440 // meter.step_minutes
    at = 20_011 // meter.step_minutes
    values = readings[list(meter.channels)].to_numpy(copy=True)
    for row in range(at, at + rows):  # one after another, as publishers fill: a copy may be copied again
        values[row] = values[row - day]
    readings[list(meter.channels)] = values
    types = meter_data.defect_types(readings).to_numpy()
    assert (types[at : at + rows] == "gap").mean() > 0.95
    assert (types == "gap").sum() <= rows + 1


@pytest.mark.parametrize(("meter", "hours"), [(HOUSE, 1), (HOUSE, 24), (HOME, 24)])
def test_frozen_meter__is_found_from_its_second_row_on(meter: Meter, hours: int) -> None:
    readings = make_readings(40, meter=meter)
    rows, at = hours * 60 // meter.step_minutes, 20_011 // meter.step_minutes
    channels = list(meter.channels)
    readings.loc[readings.index[at : at + rows], channels] = readings[channels].iloc[at].to_numpy()
    types = meter_data.defect_types(readings).to_numpy()
    assert set(types[at + 1 : at + rows]) == {"freeze"}
    assert (types == "freeze").sum() == rows - 1


def test_empty_home__is_not_frozen() -> None:
    """Zero load for a week is a switched-off home; the readings stay."""
    readings = make_readings(40, meter=HOME)
    readings.iloc[500:836, readings.columns.get_loc(ACTIVE_POWER)] = 0.0
    assert (meter_data.defect_types(readings) == "").all()


def test_repeated_spring_hour__is_typed() -> None:
    readings = make_readings(30, "2010-03-10")
    at = readings.index.get_loc(pd.Timestamp("2010-03-28 02:01"))
    channels = [readings.columns.get_loc(name) for name in CHANNELS]
    readings.iloc[at : at + 60, channels] = readings.iloc[at + 60 : at + 120, channels].to_numpy()
    table = meter_data.defect_table(meter_data.defect_types(readings), 1, CHANNELS)
    assert table[["start", "end", "kind", "minutes"]].to_numpy().tolist() == [
        [pd.Timestamp("2010-03-28 02:01"), pd.Timestamp("2010-03-28 03:00"), "dst_copy", 60]
    ]


def test_defects__do_not_depend_on_the_months_given_together() -> None:
    readings = make_readings(90, "2010-01-01")
    readings.iloc[70_000:70_100, 1:] = readings.iloc[70_000 - 1440 : 70_100 - 1440, 1:].to_numpy()
    whole = meter_data.defect_types(readings)
    march = meter_data.defect_types(readings.loc["2010-02":])
    pd.testing.assert_series_equal(whole.loc["2010-03":], march.loc["2010-03":])


def test_defects__of_irregular_readings_are_refused() -> None:
    readings = make_readings(1, meter=HOME)
    with pytest.raises(DataError, match="regular"):
        meter_data.defect_types(readings.drop(readings.index[3]))


def test_standstill_limit__is_not_raised_by_the_longest_of_all() -> None:
    assert meter_data.standstill_limit(np.array([2, 2, 2, 500]), 30) == 30
    assert meter_data.standstill_limit(np.array([20, 20, 20, 500]), 30) == 80
    assert meter_data.standstill_limit(np.array([500]), 30, natural=np.array([10])) == 40
