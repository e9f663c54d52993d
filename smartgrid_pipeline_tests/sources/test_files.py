"""Any readable file gives the same canonical readings."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from smartgrid_pipeline import sources
from smartgrid_pipeline.core.schema import (
    ACTIVE_POWER,
    CHANNELS,
    CURRENT,
    INTERVAL_START_UTC,
    REACTIVE_POWER,
    SUB_METERS,
    VOLTAGE,
    SourceError,
)
from smartgrid_pipeline.sources import SourceSpec, uci
from smartgrid_pipeline_tests.conftest import HOUSE, make_readings
from smartgrid_pipeline_tests.sources.made import half_hours, made_values, write


def _original(readings: pd.DataFrame) -> pd.DataFrame:
    """Readings in the columns of UCI data set 235."""
    index = pd.DatetimeIndex(readings.index)
    frame = {"Date": index.strftime("%d/%m/%Y"), "Time": index.strftime("%H:%M:%S")}
    frame |= dict(zip(uci.COLUMNS, (readings[channel].to_numpy() for channel in CHANNELS), strict=True))
    for column in uci.COLUMNS[4:]:
        frame[column] = np.round(frame[column] * 1000 / 60, 3)
    return pd.DataFrame(frame)


@pytest.mark.parametrize(
    ("name", "separator", "decimal"),
    [("household_power_consumption.txt", ";", "."), ("comma.csv", ",", "."), ("decimal.csv", ";", ",")],
)
def test_original_uci_file__simply_works(tmp_path: Path, name: str, separator: str, decimal: str) -> None:
    readings = make_readings(3, "2010-01-01")
    original = _original(readings)
    original.iloc[100:150, 2:] = np.nan
    original.to_csv(tmp_path / name, sep=separator, decimal=decimal, na_rep="?", index=False)
    found = sources.read(SourceSpec(str(tmp_path / name)))
    meter = found.meter
    assert (meter.timezone, meter.holiday_country, meter.school_zone) == ("Europe/Paris", "FR", "C")
    assert meter.channels == CHANNELS
    assert found.frame[ACTIVE_POWER].isna().sum() == 50
    expected = readings[list(CHANNELS)].to_numpy(copy=True)
    expected[100:150] = np.nan
    np.testing.assert_allclose(found.frame[list(CHANNELS)].to_numpy(), expected, atol=1e-9)


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
@pytest.mark.parametrize("start", ["2010-01-01", "2010-03-27", "2010-10-30"])
def test_own_readings__read_back_identically(tmp_path: Path, suffix: str, start: str) -> None:
    path = tmp_path / f"own.{suffix}"
    first = make_readings(3, start)
    first.to_parquet(tmp_path / "first.parquet")
    saved = sources.read(SourceSpec(str(tmp_path / "first.parquet"), timezone=HOUSE.timezone)).frame
    getattr(saved, f"to_{suffix}")(path)
    again = sources.read(SourceSpec(str(path), timezone=HOUSE.timezone))
    pd.testing.assert_frame_equal(again.frame, saved)
    pd.testing.assert_frame_equal(
        again.frame.astype(first.dtypes), first, check_index_type=False, check_freq=False
    )


def test_own_readings__refuse_a_time_zone_that_contradicts_them(tmp_path: Path) -> None:
    make_readings(1, "2010-01-01").to_parquet(tmp_path / "own.parquet")
    with pytest.raises(SourceError, match="two clocks"):
        sources.read(SourceSpec(str(tmp_path / "own.parquet"), timezone="Asia/Tokyo"))


@pytest.mark.parametrize(
    ("header", "unit", "factor"),
    [
        ("timestamp,power_kw", None, 1.0),
        ("time,P_W", None, 0.001),
        ("DateTime,KWH/hh (per half hour) ", None, 2.0),
        ("date_time,consumption (kWh)", None, 2.0),
        ("ds,energykWh", None, 2.0),
        ("interval_start,general_supply_kwh", None, 2.0),
        ("reading_datetime,energy_wh", None, 0.002),
        ("datetime,Global_active_power", None, 1.0),
        ("timestamp,value", "kWh", 2.0),
        ("timestamp,load", "W", 0.001),
        ("timestamp,demand", "kw", 1.0),
    ],
)
def test_units__come_from_the_name_or_the_option(
    tmp_path: Path, header: str, unit: str | None, factor: float
) -> None:
    location = write(tmp_path / "home.csv", header, half_hours(), made_values())
    found = sources.read(SourceSpec(location, unit=unit, timezone="Australia/Brisbane"))
    np.testing.assert_allclose(found.frame[ACTIVE_POWER], made_values() * factor)
    assert found.meter.step_minutes == 30
    assert found.meter.meter_id == "home"
    (absent,) = [note for note in found.notes if "does not have" in note]
    assert all(channel in absent for channel in CHANNELS[1:])


def test_optional_channels__are_used_when_present_and_absent_when_empty(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"timestamp": half_hours(), "power_kw": made_values(), "voltage": 231.5, "current": np.nan}
    )
    frame["q_var"] = 120.0
    frame.to_csv(tmp_path / "home.csv", index=False)
    found = sources.read(SourceSpec(str(tmp_path / "home.csv")))
    assert found.meter.channels == (ACTIVE_POWER, REACTIVE_POWER, VOLTAGE)
    assert found.frame[REACTIVE_POWER].eq(0.12).all()
    assert any(CURRENT in note and "absent" in note for note in found.notes)


@pytest.mark.parametrize(
    "form", ["%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%d.%m.%Y %H:%M"]
)
def test_times__are_read_in_the_form_that_is_regular(tmp_path: Path, form: str) -> None:
    location = write(tmp_path / "x.csv", "time,kwh", half_hours(500).strftime(form), made_values(500))
    assert sources.read(SourceSpec(location)).frame.index.equals(half_hours(500).as_unit("s"))


def test_times__with_offsets_become_the_civil_clock(tmp_path: Path) -> None:
    aware = half_hours().tz_localize("Etc/GMT-10")
    location = write(tmp_path / "x.csv", "time,kwh", [time.isoformat() for time in aware], made_values())
    found = sources.read(SourceSpec(location))
    assert found.meter.timezone == "Etc/GMT-10"
    assert found.frame.index.equals(half_hours().as_unit("s"))
    elsewhere = sources.read(SourceSpec(location, timezone="Europe/Paris"))
    assert str(elsewhere.frame.index[0]) == "2011-12-31 15:00:00"
    assert (elsewhere.frame[INTERVAL_START_UTC] == found.frame[INTERVAL_START_UTC].to_numpy()).all()


def test_times__with_changing_offsets_need_a_zone(tmp_path: Path) -> None:
    aware = pd.date_range("2012-10-26", periods=200, freq="30min", tz="Europe/Paris")
    location = write(tmp_path / "x.csv", "time,kwh", [time.isoformat() for time in aware], made_values(200))
    with pytest.raises(SourceError, match="--timezone"):
        sources.read(SourceSpec(location))
    found = sources.read(SourceSpec(location, timezone="Europe/Paris"))
    assert len(found.frame) == 198
    assert not found.frame.index.has_duplicates
    assert any("2 readings of the repeated hour" in note for note in found.notes)


def test_named_zones__are_kept(tmp_path: Path) -> None:
    frame = pd.DataFrame({"time": half_hours().tz_localize("Europe/Paris"), "kwh": made_values()})
    frame.to_parquet(tmp_path / "x.parquet")
    assert sources.read(SourceSpec(str(tmp_path / "x.parquet"))).meter.timezone == "Europe/Paris"
    texts = [f"{time.isoformat()}+10:00[Australia/Brisbane]" for time in half_hours()]
    location = write(tmp_path / "x.csv", "time,kwh", texts, made_values())
    found = sources.read(SourceSpec(location))
    assert found.meter.timezone == "Australia/Brisbane"
    assert found.frame.index.equals(half_hours().as_unit("s"))


def test_naive_autumn_hour__keeps_its_first_pass(tmp_path: Path) -> None:
    civil = pd.date_range("2012-10-26", periods=200, freq="30min", tz="Europe/Paris").tz_localize(None)
    location = write(tmp_path / "x.csv", "time,kwh", civil, np.arange(1.0, 201))
    found = sources.read(SourceSpec(location, timezone="Europe/Paris"))
    assert not found.frame.index.has_duplicates
    assert found.frame.loc["2012-10-28 02:00", ACTIVE_POWER] == 2 * (
        np.flatnonzero(civil == "2012-10-28 02:00")[0] + 1
    )


def test_interval_ends__are_moved_to_starts(tmp_path: Path) -> None:
    location = write(tmp_path / "x.csv", "interval_end,kwh", half_hours(), made_values())
    assert str(sources.read(SourceSpec(location)).frame.index[0]) == "2011-12-31 23:30:00"


def test_recorded_order_and_repeats__are_kept_for_the_audit(tmp_path: Path) -> None:
    times = half_hours().to_list()
    times[10], times[300] = times[300], times[10]
    location = write(tmp_path / "x.csv", "time,kwh", [*times, times[5]], [*made_values(), made_values()[5]])
    index = sources.read(SourceSpec(location)).frame.index
    assert not index.is_monotonic_increasing
    assert index.duplicated().sum() == 1


def test_missing_rows__are_not_mixed_steps(tmp_path: Path) -> None:
    kept = np.random.default_rng(0).random(400) < 0.5
    location = write(tmp_path / "x.csv", "time,kwh", half_hours()[kept], made_values()[kept])
    assert sources.read(SourceSpec(location)).meter.step_minutes == 30


def test_identity__follows_the_readings_and_not_their_file(tmp_path: Path) -> None:
    frame = pd.DataFrame({"time": half_hours(), "kwh": made_values()})
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_parquet(tmp_path / "b.parquet")
    frame.assign(kwh=made_values() + 0.001).to_csv(tmp_path / "c.csv", index=False)
    a, b, c = (sources.read(SourceSpec(str(tmp_path / name))) for name in ("a.csv", "b.parquet", "c.csv"))
    assert a.fingerprint.sha256 == b.fingerprint.sha256 != c.fingerprint.sha256
    assert a.fingerprint.rows == 400


def test_sub_meters__are_read_by_either_name(tmp_path: Path) -> None:
    frame = pd.DataFrame({"timestamp": half_hours(), "power_kw": made_values(), "Sub_metering_2": 30.0})
    frame.to_csv(tmp_path / "x.csv", index=False)
    found = sources.read(SourceSpec(str(tmp_path / "x.csv")))
    assert found.frame[SUB_METERS[1]].eq(0.06).all()  # 30 Wh in half an hour
