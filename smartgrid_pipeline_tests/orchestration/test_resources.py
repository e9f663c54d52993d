"""Verdict files, and what is remembered of a source."""

from pathlib import Path

import pandas as pd
import pytest

from smartgrid_pipeline.core.forecasting.forecaster import TINY
from smartgrid_pipeline.core.schema import DataError, Finding, Verdict
from smartgrid_pipeline.orchestration.resources import Resources, VerdictFiles
from smartgrid_pipeline.settings import Settings
from smartgrid_pipeline_tests.conftest import HOME, make_readings


def verdict(suite: str, subject: str, passed: bool) -> Verdict:
    return Verdict(suite, subject, (Finding("power is possible", passed, "-1 kW", "at least 0"),))


def test_verdict__replaces_the_earlier_one_of_its_suite_and_subject(tmp_path: Path) -> None:
    files = VerdictFiles(tmp_path)
    files.write(verdict("readings", "2010-02", False))
    files.write(verdict("readings", "2010-02", True))
    assert files.all() == [verdict("readings", "2010-02", True)]
    assert files.read("readings", ["2010-01", "2010-02"]) == files.all()


def test_failed_data__is_of_readings_and_features_of_the_months_asked_for(tmp_path: Path) -> None:
    files = VerdictFiles(tmp_path)
    bad = [verdict("readings", "2010-01", False), verdict("features", "2010-02", False)]
    others = [verdict("readings", "2010-03", True), verdict("alarms", "2010-01", False)]
    for each in [*bad, *others, verdict("readings", "2010-04", False)]:
        files.write(each)
    assert files.failed_data(["2010-01", "2010-02", "2010-03"]) == bad


def test_meter__is_unknown_before_readings_were_taken_in_and_known_after(tmp_path: Path) -> None:
    make_readings(3, "2010-01-01", HOME).to_parquet(tmp_path / "meter.parquet")
    settings = Settings(home=tmp_path, source=str(tmp_path / "meter.parquet"), timezone=HOME.timezone)
    resources = Resources(settings)
    with pytest.raises(DataError, match="Materialise raw_readings first"):
        _ = resources.meter
    resources.save_source_facts()
    assert Resources(settings).meter == resources.readings.meter
    assert Resources(settings).last_reading == pd.Timestamp("2010-01-03 23:30")


def test_budget__is_of_the_effort_seed_and_threads_chosen() -> None:
    assert Resources(Settings(effort="tiny")).budget == TINY
    budget = Resources(Settings(seed=3, threads=2)).budget
    assert (budget.seed, budget.threads) == (3, 2)
