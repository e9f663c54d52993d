import pyarrow as pa
import pytest

from smartgrid_pipeline.core.schema import SourceError
from smartgrid_pipeline.sources import SourceSpec
from smartgrid_pipeline.sources.columns import Layout
from smartgrid_pipeline.sources.times import RecordedTimes, as_interval_starts, check_zone, read_times

SPEC = SourceSpec("meter.csv")


def _read(*recorded: str, zone: str | None = None, name: str = "time") -> RecordedTimes:
    return read_times(pa.table({name: list(recorded)}), Layout(name), SPEC, zone)


def test_naive_times__are_civil_times_of_the_zone() -> None:
    times = _read("2010-07-01 00:00:00", "2010-07-01 00:30:00", zone="Europe/Paris")
    assert str(times.civil[0]) == "2010-07-01 00:00:00" and str(times.utc[0])[:16] == "2010-06-30 22:00"
    assert not times.exact and times.notes == ()


def test_naive_times__without_a_zone_are_utc_and_noted() -> None:
    times = _read("01/07/2010 00:00", "02/07/2010 00:00", "13/07/2010 00:00")
    assert times.timezone == "UTC" and "No time zone given" in times.notes[0]
    assert [str(time)[:10] for time in times.civil] == ["2010-07-01", "2010-07-02", "2010-07-13"]


def test_times__with_one_offset_have_a_fixed_zone() -> None:
    times = _read("2010-01-01T00:00:00+01:00", "2010-01-01T00:30:00+01:00")
    assert times.exact and times.timezone == "Etc/GMT-1"
    assert str(times.civil[0]) == "2010-01-01 00:00:00"


def test_times__with_changing_offsets_need_a_zone() -> None:
    recorded = ("2010-03-28T01:30:00+01:00", "2010-03-28T03:00:00+02:00")
    with pytest.raises(SourceError, match="--timezone"):
        _read(*recorded)
    times = _read(*recorded, zone="Europe/Paris")
    assert [str(time)[11:16] for time in times.civil] == ["01:30", "03:00"]


def test_times__that_cannot_be_parsed_name_their_row() -> None:
    with pytest.raises(SourceError, match="data row 2"):
        _read("2010-01-01 00:00", "tomorrow")


def test_interval_ends__become_starts_across_the_change_of_clocks() -> None:
    times = as_interval_starts(_read("2010-03-28 03:00:00", zone="Europe/Paris"), 60)
    assert str(times.civil[0]) == "2010-03-28 02:00:00" and "moved 60 min" in times.notes[-1]


def test_zone__that_does_not_exist_is_refused() -> None:
    check_zone("UTC+05:30")
    with pytest.raises(SourceError, match="Unknown time zone"):
        check_zone("Europe/Atlantis")
