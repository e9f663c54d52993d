"""The house this code was proven on: its copy, and the file as published."""

import pandas as pd
import pytest

from smartgrid_pipeline import sources
from smartgrid_pipeline.core.schema import (
    CHANNELS,
    INTERVAL_START_UTC,
    SourceError,
)
from smartgrid_pipeline.sources import Readings, SourceSpec, uci


@pytest.fixture(scope="module")
def house() -> Readings:
    """The real house."""
    return sources.read(SourceSpec())


def test_uci__is_the_data_this_code_was_proven_on(house: Readings) -> None:
    assert house.fingerprint.rows == len(house.frame) == 2_075_259
    assert house.fingerprint.sha256 == uci.SHA256
    assert (house.fingerprint.first, house.fingerprint.last) == ("2006-12-16 17:24:00", "2010-11-26 21:02:00")
    assert house.meter == uci.METER
    assert sources.list_meters(SourceSpec()) == ("uci",)
    assert house.fingerprint.last.startswith(str(SourceSpec().last_month))


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
