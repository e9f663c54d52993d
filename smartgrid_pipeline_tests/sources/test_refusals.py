"""What cannot be understood says what is wrong and what to do."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from smartgrid_pipeline import sources
from smartgrid_pipeline.core.schema import (
    SourceError,
)
from smartgrid_pipeline.sources import SourceSpec, columns
from smartgrid_pipeline_tests.sources.made import half_hours, made_values, write

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
    return half_hours(200).append(pd.date_range("2012-02-01", periods=200, freq="60min"))


@pytest.mark.parametrize(
    ("times", "values", "message"),
    [
        (_mixed(), made_values(), "mix several steps.*60 min.*30 min"),
        (pd.date_range("2012-01-01", periods=400, freq="7min"), made_values(), "7 min apart"),
        (pd.date_range("2012-01-01", periods=400, freq="1D"), made_values(), "1440 min apart"),
        (half_hours() + pd.Timedelta("10min"), made_values(), "600 s late"),
        (half_hours(200).append(half_hours(200)), made_values(), "two meters in one column.*--meter"),
        (half_hours(), np.full(400, np.nan), "All 400 values"),
    ],
    ids=["mixed steps", "7 min", "daily", "off the grid", "two meters in one column", "all missing"],
)
def test_unusable_readings__are_refused(
    tmp_path: Path, times: pd.DatetimeIndex, values: np.ndarray, message: str
) -> None:
    location = write(tmp_path / "x.csv", "timestamp,kwh", times, values)
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
    location = write(tmp_path / "x.csv", "timestamp,kwh", half_hours(), made_values())
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
