"""What the commands answer: plain documents, from stored state alone."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from smartgrid_pipeline.console import results
from smartgrid_pipeline.core.schema import ACTIVE_POWER, DataError
from smartgrid_pipeline.settings import Settings
from smartgrid_pipeline_tests.conftest import HOME, make_readings


class Registry:
    """A registry without a champion."""

    def champion(self) -> None:
        return None


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(results, "_resources", lambda _: SimpleNamespace(registry=Registry()))
    return Settings(home=tmp_path, source=str(tmp_path / "meter.parquet"), timezone="Australia/Sydney")


def store_summary(settings: Settings, month: str) -> None:
    folder = settings.data_dir / "reports" / month
    folder.mkdir(parents=True)
    (folder / "summary.json").write_text(json.dumps({"month": month, "champion": "as it was"}))


def test_report__is_of_the_newest_month_or_the_one_named(settings: Settings) -> None:
    for month in ("2010-03", "2010-04"):
        store_summary(settings, month)
    assert results.report(settings, None)["month"] == "2010-04"
    named = results.report(settings, "2010-03")
    assert named["month"] == "2010-03" and named["report"].endswith("2010-03/report.html")
    assert named["champion"] is None  # of today, not of the month


def test_report__of_a_month_never_run_says_what_makes_it(settings: Settings) -> None:
    with pytest.raises(DataError, match="No month has been run yet"):
        results.report(settings, None)
    store_summary(settings, "2010-03")
    with pytest.raises(DataError, match=r"2010-05 has no report; found 2010-03.*--month 2010-05"):
        results.report(settings, "2010-05")


def read_document(make: Any, settings: Settings, readings: pd.DataFrame) -> Any:
    readings.to_parquet(settings.source)
    return json.loads(json.dumps(make(settings), allow_nan=False))


def test_validate__gives_a_verdict_for_each_month_of_the_source(settings: Settings) -> None:
    readings = make_readings(40, "2010-01-01", HOME)
    document = read_document(results.validate, settings, readings)
    assert list(document["months"]) == ["2010-01", "2010-02"] and document["passed"]
    document = read_document(results.validate, settings, readings.assign(**{ACTIVE_POWER: -50.0}))
    assert not document["passed"]


def test_defects__are_counted_by_type(settings: Settings) -> None:
    readings = make_readings(40, "2010-01-01", HOME)
    readings.iloc[1_000:1_010] = np.nan
    document = read_document(results.defects, settings, readings)
    assert document["counts"] == {"gap": {"intervals": 1, "minutes": 300}}
    (defect,) = document["defects"]
    assert (defect["kind"], defect["minutes"]) == ("gap", 300)
    assert defect["start"] == str(readings.index[1_000]) and defect["channels"] == list(HOME.channels)


def test_file_that_is_not_there__is_named(settings: Settings) -> None:
    with pytest.raises(DataError, match=r"There is no file nowhere\.csv"):
        results._read_file(settings, "nowhere.csv")
