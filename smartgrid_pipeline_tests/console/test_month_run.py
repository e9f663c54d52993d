"""A month is run again only when something that it depends on has changed."""

from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from smartgrid_pipeline.console import month_run
from smartgrid_pipeline.core.schema import ACTIVE_POWER
from smartgrid_pipeline.orchestration.resources import Resources
from smartgrid_pipeline.settings import Settings
from smartgrid_pipeline_tests.conftest import HOME, make_readings

READINGS = make_readings(40, "2010-01-01", HOME)
MONTH = "2010-01"


def resources_of(root: Path, **changes: Any) -> Resources:
    settings = Settings(home=root, source=str(root / "meter.parquet"), timezone="Australia/Sydney", **changes)
    return Resources(settings)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    READINGS.to_parquet(tmp_path / "meter.parquet")
    return tmp_path


def test_state__depends_on_month_settings_and_readings(root: Path) -> None:
    states = [
        month_run._state(resources_of(root), MONTH),
        month_run._state(resources_of(root), "2010-02"),
        month_run._state(resources_of(root, effort="tiny"), MONTH),
        month_run._state(resources_of(root, alarms_per_month=7.0), MONTH),
    ]
    assert month_run._state(resources_of(root), MONTH) == states[0]
    READINGS.assign(**{ACTIVE_POWER: READINGS[ACTIVE_POWER] + 0.001}).to_parquet(root / "meter.parquet")
    assert len({*states, month_run._state(resources_of(root), MONTH)}) == 5


def test_state__is_stored_by_month(root: Path) -> None:
    resources = resources_of(root)
    assert month_run._stored_state(resources, MONTH) is None
    month_run._store_state(resources, MONTH, "abc")
    assert month_run._stored_state(resources, MONTH) == "abc"
    assert month_run._stored_state(resources, "2010-02") is None


@pytest.mark.parametrize(("first", "expected"), [("2006-01", "2006-01"), ("2011-01", "2010-05")])
def test_partitions__begin_no_later_than_the_readings(first: str, expected: str, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, first_month="2010-05")
    assert month_run._first_month(settings, first).first_month == expected


@pytest.mark.parametrize("force", [False, True])
def test_unchanged_month__is_run_only_by_force(
    force: bool, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resources, begun, text = resources_of(root), [], StringIO()
    month_run._store_state(resources, MONTH, month_run._state(resources, MONTH))
    monkeypatch.setattr(Resources, "registry", SimpleNamespace(close_abandoned=lambda has_ended: []))
    monkeypatch.setattr("smartgrid_pipeline.orchestration.flows.month_summary.is_published", lambda *_: True)
    monkeypatch.setattr(month_run, "_run_changed", lambda *words: begun.append(words[3]))
    monkeypatch.setattr(month_run.results, "report", lambda settings, month: {"month": month})
    monkeypatch.setattr(month_run, "tables", SimpleNamespace(print_report=print, print_where_to_look=print))
    console = Console(file=text, width=200)
    month_run.run(resources.settings, MONTH, force, console, console)
    assert len(begun) == int(force)
    assert ("Nothing has changed since 2010-01 was run" in text.getvalue()) != force
