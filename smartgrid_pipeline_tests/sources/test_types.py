from pathlib import Path

from smartgrid_pipeline.sources import SourceSpec
from smartgrid_pipeline.sources.types import fingerprint_of
from smartgrid_pipeline_tests.conftest import HOME, make_readings

URL = "postgresql://anna:secret@host/meters"


def test_source__is_shown_without_its_password() -> None:
    assert SourceSpec(URL).shown == "postgresql://anna:***@host/meters"
    assert SourceSpec(URL, table="readings", meter_id="7").name == "meters readings 7"


def test_key__of_a_file_in_the_home_moves_with_it(tmp_path: Path) -> None:
    keys = [SourceSpec(str(tmp_path / home / "a.csv")).key(tmp_path / home) for home in ("before", "after")]
    assert keys[0] == keys[1] != SourceSpec(str(tmp_path / "a.csv")).key(tmp_path / "before")


def test_key__hangs_on_the_series_and_not_on_who_reads_it(tmp_path: Path) -> None:
    key = SourceSpec(URL, table="a").key(tmp_path)
    assert key == SourceSpec(URL.replace("anna:secret@", ""), table="a").key(tmp_path)
    assert key != SourceSpec(URL, table="b").key(tmp_path)


def test_fingerprint__changes_with_a_single_value() -> None:
    frame = make_readings(1, meter=HOME)
    changed = frame.copy()
    changed.iloc[7, 1] += 1e-9
    a, b = fingerprint_of(frame, "x"), fingerprint_of(changed, "x")
    assert a == fingerprint_of(frame.copy(), "x") and a.sha256 != b.sha256
    assert a.span == "runs from 2010-01-04 00:00:00 to 2010-01-04 23:30:00"
