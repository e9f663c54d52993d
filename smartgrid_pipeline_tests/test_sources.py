"""Any readable source gives the same canonical readings; any other says what is wrong and what to do."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import create_engine

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
from smartgrid_pipeline.sources import Readings, SourceSpec, columns, uci
from smartgrid_pipeline_tests.conftest import HOME, HOUSE, make_readings

HOMES = Path(__file__).parents[2] / "shared" / "data" / "sgsc80_30min.parquet"


def _write(path: Path, header: str, times: object, values: object) -> str:
    lines = [f"{time},{value}" for time, value in zip(times, values, strict=True)]  # type: ignore[call-overload]
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return str(path)


def _half_hours(periods: int = 400, start: str = "2012-01-01") -> pd.DatetimeIndex:
    return pd.date_range(start, periods=periods, freq="30min")


def _values(count: int = 400) -> np.ndarray:
    return np.round(np.random.default_rng(0).gamma(2, 0.2, count), 3)


# --- the UCI house --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def house() -> Readings:
    """The real house."""
    return sources.read(SourceSpec())


def test_uci__is_the_data_this_code_was_proven_on(house: Readings) -> None:
    assert house.identity.rows == len(house.frame) == 2_075_259
    assert house.identity.sha256 == uci.SHA256
    assert (house.identity.first, house.identity.last) == ("2006-12-16 17:24:00", "2010-11-26 21:02:00")
    assert house.meter == uci.METER
    assert sources.list_meters(SourceSpec()) == ("uci",)
    assert house.identity.last.startswith(str(sources.last_month(SourceSpec())))


def test_uci__sub_metering_becomes_kw_and_both_clocks_are_kept(house: Readings) -> None:
    row = house.frame.loc["2006-12-16 17:24:00"]
    assert row[list(CHANNELS)].tolist() == [4.216, 0.418, 234.84, 18.4, 0.0, 0.06, 1.02]
    assert str(row[INTERVAL_START_UTC]) == "2006-12-16 16:24:00+00:00"
    assert house.frame.loc["2008-03-30 02:30", INTERVAL_START_UTC] is pd.NaT


def test_uci__refuses_another_file_or_meter(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SourceError, match="one meter"):
        sources.read(SourceSpec(meter_id="elsewhere"))
    monkeypatch.setattr(uci, "SHA256", "0" * 64)
    with pytest.raises(SourceError, match="not the expected data"):
        sources.read(SourceSpec())


# --- files of every kind --------------------------------------------------------------------------


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
    location = _write(tmp_path / "home.csv", header, _half_hours(), _values())
    found = sources.read(SourceSpec(location, unit=unit, timezone="Australia/Brisbane"))
    np.testing.assert_allclose(found.frame[ACTIVE_POWER], _values() * factor)
    assert found.meter.step_minutes == 30
    assert found.meter.meter_id == "home"
    (absent,) = [note for note in found.notes if "does not have" in note]
    assert all(channel in absent for channel in CHANNELS[1:])


def test_optional_channels__are_used_when_present_and_absent_when_empty(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"timestamp": _half_hours(), "power_kw": _values(), "voltage": 231.5, "current": np.nan}
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
    location = _write(tmp_path / "x.csv", "time,kwh", _half_hours(500).strftime(form), _values(500))
    assert sources.read(SourceSpec(location)).frame.index.equals(_half_hours(500).as_unit("s"))


def test_times__with_offsets_become_the_civil_clock(tmp_path: Path) -> None:
    aware = _half_hours().tz_localize("Etc/GMT-10")
    location = _write(tmp_path / "x.csv", "time,kwh", [time.isoformat() for time in aware], _values())
    found = sources.read(SourceSpec(location))
    assert found.meter.timezone == "Etc/GMT-10"
    assert found.frame.index.equals(_half_hours().as_unit("s"))
    elsewhere = sources.read(SourceSpec(location, timezone="Europe/Paris"))
    assert str(elsewhere.frame.index[0]) == "2011-12-31 15:00:00"
    assert (elsewhere.frame[INTERVAL_START_UTC] == found.frame[INTERVAL_START_UTC].to_numpy()).all()


def test_times__with_changing_offsets_need_a_zone(tmp_path: Path) -> None:
    aware = pd.date_range("2012-10-26", periods=200, freq="30min", tz="Europe/Paris")
    location = _write(tmp_path / "x.csv", "time,kwh", [time.isoformat() for time in aware], _values(200))
    with pytest.raises(SourceError, match="--timezone"):
        sources.read(SourceSpec(location))
    found = sources.read(SourceSpec(location, timezone="Europe/Paris"))
    assert len(found.frame) == 198
    assert not found.frame.index.has_duplicates
    assert any("2 readings of the repeated hour" in note for note in found.notes)


def test_named_zones__are_kept(tmp_path: Path) -> None:
    frame = pd.DataFrame({"time": _half_hours().tz_localize("Europe/Paris"), "kwh": _values()})
    frame.to_parquet(tmp_path / "x.parquet")
    assert sources.read(SourceSpec(str(tmp_path / "x.parquet"))).meter.timezone == "Europe/Paris"
    texts = [f"{time.isoformat()}+10:00[Australia/Brisbane]" for time in _half_hours()]
    location = _write(tmp_path / "x.csv", "time,kwh", texts, _values())
    found = sources.read(SourceSpec(location))
    assert found.meter.timezone == "Australia/Brisbane"
    assert found.frame.index.equals(_half_hours().as_unit("s"))


def test_naive_autumn_hour__keeps_its_first_pass(tmp_path: Path) -> None:
    civil = pd.date_range("2012-10-26", periods=200, freq="30min", tz="Europe/Paris").tz_localize(None)
    location = _write(tmp_path / "x.csv", "time,kwh", civil, np.arange(1.0, 201))
    found = sources.read(SourceSpec(location, timezone="Europe/Paris"))
    assert not found.frame.index.has_duplicates
    assert found.frame.loc["2012-10-28 02:00", ACTIVE_POWER] == 2 * (
        np.flatnonzero(civil == "2012-10-28 02:00")[0] + 1
    )


def test_interval_ends__are_moved_to_starts(tmp_path: Path) -> None:
    location = _write(tmp_path / "x.csv", "interval_end,kwh", _half_hours(), _values())
    assert str(sources.read(SourceSpec(location)).frame.index[0]) == "2011-12-31 23:30:00"


def test_recorded_order_and_repeats__are_kept_for_the_audit(tmp_path: Path) -> None:
    times = _half_hours().to_list()
    times[10], times[300] = times[300], times[10]
    location = _write(tmp_path / "x.csv", "time,kwh", [*times, times[5]], [*_values(), _values()[5]])
    index = sources.read(SourceSpec(location)).frame.index
    assert not index.is_monotonic_increasing
    assert index.duplicated().sum() == 1


def test_missing_rows__are_not_mixed_steps(tmp_path: Path) -> None:
    kept = np.random.default_rng(0).random(400) < 0.5
    location = _write(tmp_path / "x.csv", "time,kwh", _half_hours()[kept], _values()[kept])
    assert sources.read(SourceSpec(location)).meter.step_minutes == 30


def test_identity__follows_the_readings_and_not_their_file(tmp_path: Path) -> None:
    frame = pd.DataFrame({"time": _half_hours(), "kwh": _values()})
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_parquet(tmp_path / "b.parquet")
    frame.assign(kwh=_values() + 0.001).to_csv(tmp_path / "c.csv", index=False)
    a, b, c = (sources.read(SourceSpec(str(tmp_path / name))) for name in ("a.csv", "b.parquet", "c.csv"))
    assert a.identity.sha256 == b.identity.sha256 != c.identity.sha256
    assert a.identity.rows == 400


# --- many meters and folders ----------------------------------------------------------------------


def _two_homes() -> pd.DataFrame:
    one = pd.DataFrame({"meter_id": "one", "timestamp": _half_hours(), "kwh": _values()})
    return pd.concat([one, one.assign(meter_id="two", kwh=one["kwh"] * 2)])


def test_many_meters__are_listed_and_one_is_chosen(tmp_path: Path) -> None:
    path = tmp_path / "homes.csv"
    _two_homes().to_csv(path, index=False)
    assert sources.list_meters(SourceSpec(str(path))) == ("one", "two")
    with pytest.raises(SourceError, match=r"2 meters .*\(one, two\).*--meter"):
        sources.read(SourceSpec(str(path)))
    with pytest.raises(SourceError, match="No meter 'three'"):
        sources.read(SourceSpec(str(path), meter_id="three"))
    found = sources.read(SourceSpec(str(path), meter_id="two"))
    assert found.meter.meter_id == "two"
    np.testing.assert_allclose(found.frame[ACTIVE_POWER], _values() * 4)


def test_folder__is_read_as_one_source(tmp_path: Path) -> None:
    frame = pd.DataFrame({"timestamp": _half_hours(), "kwh": _values()})
    frame[:200].to_csv(tmp_path / "2012-01.csv", index=False)
    frame[200:].to_parquet(tmp_path / "2012-02.parquet")
    (tmp_path / "notes.md").write_text("not readings", encoding="utf-8")
    found = sources.read(SourceSpec(str(tmp_path)))
    assert found.frame.index.equals(_half_hours().as_unit("s"))
    np.testing.assert_allclose(found.frame[ACTIVE_POWER], 2 * _values())


def test_numbered_rows__are_not_taken_for_meters(tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": range(400), "timestamp": _half_hours(), "kwh": _values()})
    frame.to_csv(tmp_path / "home.csv", index=False)
    assert sources.list_meters(SourceSpec(str(tmp_path / "home.csv"))) == ("home",)
    assert len(sources.read(SourceSpec(str(tmp_path / "home.csv"))).frame) == 400


def test_half_hourly_homes__run_through_the_same_path() -> None:
    if not HOMES.exists():
        pytest.skip(f"{HOMES.name} is not beside the repository")
    spec = SourceSpec(str(HOMES), timezone="Australia/Brisbane")
    ids = sources.list_meters(spec)
    assert len(ids) == 80
    found = sources.read(SourceSpec(str(HOMES), meter_id=ids[0], timezone="Australia/Brisbane"))
    assert (found.meter.step_minutes, found.meter.channels) == (30, (ACTIVE_POWER,))
    assert found.frame[ACTIVE_POWER].max() < 20


# --- what cannot be understood --------------------------------------------------------------------

BAD_FILES: dict[str, tuple[str, str]] = {
    "empty": ("", "empty"),
    "header only": ("timestamp,kwh\n", "no rows"),
    "no time column": ("when,kwh\n2012-01-01,1\n", "No time column.*'when', 'kwh'.*--time-column"),
    "no value column": ("timestamp,colour\n2012-01-01,red\n", "No power or energy column.*--value-column"),
    "unknown unit": ("timestamp,load\n2012-01-01 00:00,1\n", "unit of column 'load'.*--unit"),
    "two candidates": ("timestamp,solar_kwh,heat_kwh\n2012-01-01 00:00,1,1\n", "Several columns"),
    "bad number": ("timestamp,kwh\n2012-01-01 00:00,1\n2012-01-01 00:30,one\n", "invalid value 'one'"),
    "bad time": ("timestamp,kwh\n2012-01-01 00:00,1\nsoon,2\n", "data row 2.*'soon'.*column 'timestamp'"),
    "one reading": ("timestamp,kwh\n2012-01-01 00:00,1\n", "at least 2"),
    "not a table": ("\n\n", "first line"),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_unintelligible_file__says_what_is_wrong(tmp_path: Path, kind: str) -> None:
    text, message = BAD_FILES[kind]
    path = tmp_path / "x.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SourceError, match=f"(?s){message}"):
        sources.read(SourceSpec(str(path)))


def _mixed() -> pd.DatetimeIndex:
    return _half_hours(200).append(pd.date_range("2012-02-01", periods=200, freq="60min"))


@pytest.mark.parametrize(
    ("times", "values", "message"),
    [
        (_mixed(), _values(), "mix several steps.*60 min.*30 min"),
        (pd.date_range("2012-01-01", periods=400, freq="7min"), _values(), "7 min apart"),
        (pd.date_range("2012-01-01", periods=400, freq="1D"), _values(), "1440 min apart"),
        (_half_hours() + pd.Timedelta("10min"), _values(), "600 s late"),
        (_half_hours(200).append(_half_hours(200)), _values(), "two meters in one column.*--meter"),
        (_half_hours(), np.full(400, np.nan), "All 400 values"),
    ],
    ids=["mixed steps", "7 min", "daily", "off the grid", "two meters in one column", "all missing"],
)
def test_unusable_readings__are_refused(
    tmp_path: Path, times: pd.DatetimeIndex, values: np.ndarray, message: str
) -> None:
    location = _write(tmp_path / "x.csv", "timestamp,kwh", times, values)
    with pytest.raises(SourceError, match=message):
        sources.read(SourceSpec(location))


def test_missing_places__are_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="neither 'uci', nor an existing file"):
        sources.read(SourceSpec(str(tmp_path / "nowhere.csv")))
    with pytest.raises(SourceError, match="No readings in the folder"):
        sources.read(SourceSpec(str(tmp_path)))
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(SourceError, match="as Parquet"):
        sources.read(SourceSpec(str(tmp_path / "broken.parquet")))


def test_wrong_options__are_named(tmp_path: Path) -> None:
    location = _write(tmp_path / "x.csv", "timestamp,kwh", _half_hours(), _values())
    for spec, message in (
        (SourceSpec(location, time_column="when"), "time column 'when' is not in"),
        (SourceSpec(location, value_column="power"), "value column 'power' is not in"),
        (SourceSpec(location, unit="MJ"), "Unknown unit 'MJ'"),
        (SourceSpec(location, timezone="Mars/Base"), "Unknown time zone"),
    ):
        with pytest.raises(SourceError, match=message):
            sources.read(spec)


def test_names__are_normalised_with_their_units() -> None:
    names = {
        "Consumption (kWh)": "consumption_kwh",
        "P_W": "p_w",
        "energykWh": "energy_kwh",
        "KWH/hh (per half hour) ": "kwh",
        "readingDateTime": "reading_date_time",
        "LCLid": "lclid",
    }
    assert {name: columns.normalise(name) for name in names} == names


# --- databases ------------------------------------------------------------------------------------


def _fill(url: str) -> None:
    engine = create_engine(url)
    _two_homes().to_sql("readings", engine, index=False)
    make_readings(2, "2012-01-01", HOME).reset_index().drop(columns=INTERVAL_START_UTC).to_sql(
        "single", engine, index=False
    )
    engine.dispose()


def _check_database(url: str) -> None:
    spec = SourceSpec(url, table="readings", timezone="Australia/Brisbane")
    assert sources.list_meters(spec) == ("one", "two")
    found = sources.read(SourceSpec(url, meter_id="two", table="readings", timezone="Australia/Brisbane"))
    np.testing.assert_allclose(found.frame[ACTIVE_POWER], _values() * 4)
    query = "SELECT timestamp, kwh AS used FROM readings WHERE meter_id = 'one'"
    asked = sources.read(SourceSpec(url, query=query, value_column="used", unit="kWh"))
    np.testing.assert_allclose(asked.frame[ACTIVE_POWER], _values() * 2)
    assert sources.read(SourceSpec(url, table="single")).meter.meter_id == "single"
    with pytest.raises(SourceError, match=r"No table 'absent'.*readings, single"):
        sources.read(SourceSpec(url, table="absent"))
    with pytest.raises(SourceError, match="0 rows"):
        sources.read(SourceSpec(url, query="SELECT * FROM readings WHERE kwh < 0"))
    with pytest.raises(SourceError, match="Cannot read from"):
        sources.read(SourceSpec(url, query="SELECT nothing FROM nowhere"))


def test_sqlite__is_read_by_table_and_query(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'meters.db'}"
    _fill(url)
    _check_database(url)


def test_database__that_is_down_or_unknown_is_named_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="unable to open") as caught:
        sources.read(SourceSpec(f"sqlite:///{tmp_path / 'no' / 'meters.db'}", table="readings"))
    with pytest.raises(SourceError, match="Cannot read from") as caught:
        sources.read(SourceSpec("postgresql://reader:hidden@127.0.0.1:1/meters", table="readings"))
    assert "hidden" not in str(caught.value)
    with pytest.raises(SourceError, match="scheme 'nosql'"):
        sources.read(SourceSpec("nosql://reader:hidden@host/meters", table="readings"))
    with pytest.raises(SourceError, match="either a table or a query"):
        sources.read(SourceSpec(f"sqlite:///{tmp_path / 'meters.db'}"))


@pytest.fixture
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A throw-away PostgreSQL cluster on loopback; skipped where the server is not installed."""
    pytest.importorskip("psycopg2", reason="the PostgreSQL driver is not installed")
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    initdb = str(found[-1]) if found else shutil.which("initdb")
    if initdb is None:
        pytest.skip("PostgreSQL (initdb) is not installed")
    folder = tmp_path_factory.mktemp("postgres")
    as_user: list[str] = []
    if os.geteuid() == 0:  # the server refuses to run as root
        if shutil.which("runuser") is None:
            pytest.skip("running as root without runuser")
        as_user = ["runuser", "-u", "postgres", "--"]
        for parent in (folder, *folder.parents[:3]):
            if parent != Path("/tmp") and parent.owner() == "root":
                parent.chmod(0o755)
        shutil.chown(folder, "postgres")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    control, data = str(Path(initdb).with_name("pg_ctl")), str(folder / "data")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -k {folder} -c fsync=off"
    run = {"check": True, "stdout": subprocess.DEVNULL, "cwd": str(folder)}
    subprocess.run([*as_user, initdb, "-D", data, "-A", "trust", "-U", "tester"], **run)  # type: ignore[call-overload]
    start = [control, "-D", data, "-o", options, "-l", f"{folder}/log", "-w", "start"]
    subprocess.run([*as_user, *start], **run)  # type: ignore[call-overload]
    yield f"postgresql://tester@127.0.0.1:{port}/postgres"
    subprocess.run([*as_user, control, "-D", data, "-m", "immediate", "-w", "stop"], **run)  # type: ignore[call-overload]


def test_postgresql__is_read_by_table_and_query(postgres: str) -> None:
    _fill(postgres.replace("postgresql://", "postgresql+psycopg2://"))
    _check_database(postgres)


def test_sub_meters__are_read_by_either_name(tmp_path: Path) -> None:
    frame = pd.DataFrame({"timestamp": _half_hours(), "power_kw": _values(), "Sub_metering_2": 30.0})
    frame.to_csv(tmp_path / "x.csv", index=False)
    found = sources.read(SourceSpec(str(tmp_path / "x.csv")))
    assert found.frame[SUB_METERS[1]].eq(0.06).all()  # 30 Wh in half an hour
