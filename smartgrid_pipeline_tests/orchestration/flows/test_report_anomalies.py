"""A month's alarms: what the detector gets, how it is assessed, and which events are drawn."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from smartgrid_pipeline.core.anomaly.detection import Detection
from smartgrid_pipeline.orchestration.flows import report_anomalies
from smartgrid_pipeline.orchestration.flows.fit_detector import DetectionContext
from smartgrid_pipeline.orchestration.resources import VerdictFiles
from smartgrid_pipeline.settings import Settings
from smartgrid_pipeline_tests.conftest import HOME, make_readings

MONTH = "2010-02"
GAP = slice("2010-02-10 08:00", "2010-02-10 15:30")


@pytest.fixture
def resources(tmp_path: Path) -> Any:
    return SimpleNamespace(settings=Settings(home=tmp_path), meter=HOME, verdicts=VerdictFiles(tmp_path))


@pytest.fixture
def context() -> DetectionContext:
    """Two months of readings, with a gap of eight hours in the second."""
    readings = make_readings(59, "2010-01-01", HOME)
    readings.loc[GAP, list(HOME.channels)] = np.nan
    return DetectionContext(MONTH, readings, "sha")


def detection(*days: int, severities: tuple[str, ...] = ()) -> Detection:
    """Events of the whole of these days of the month."""
    start = pd.to_datetime([f"{MONTH}-{day:02d}" for day in days])
    events = pd.DataFrame({"start": start, "end": start + pd.Timedelta(days=1)})
    events["severity"] = severities or ("low",) * len(days)
    index = pd.date_range(f"{MONTH}-01", "2010-02-28 23:30", freq="30min")
    return Detection(pd.DataFrame({"score": 0.0}, index=index), events, ())


def test_detection__gets_the_days_before_the_month_and_nothing_after_it(
    resources: Any, context: DetectionContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []
    detector = SimpleNamespace(context_days=7, detect=lambda *words: given.extend(words))
    monkeypatch.setattr(report_anomalies, "load_detector", lambda *_: detector)
    january = DetectionContext("2010-01", context.readings, "sha")
    for each in (context, january):
        report_anomalies.detect_month(resources, each)
    (february, begin), (first, _) = given[:2], given[2:]
    assert (february.index[0], begin) == (pd.Timestamp("2010-01-25"), np.datetime64("2010-02-01"))
    assert first.index[-1] == pd.Timestamp("2010-01-31 23:30")


@pytest.mark.parametrize(("days", "found", "passed"), [((10,), 1, True), ((), 0, False)])
def test_assessment__counts_real_defects_and_stores_the_verdict(
    days: tuple[int, ...], found: int, passed: bool, resources: Any, context: DetectionContext
) -> None:
    assessed = report_anomalies.assess(resources, context, detection(*days))
    assert (assessed.figures.defects, assessed.figures.defects_found) == (1, found)
    assert assessed.verdict.passed == passed and resources.verdicts.all() == [assessed.verdict]
    assert assessed.figures.rate.alarms == 0 and len(assessed.drifted_inputs)


def test_drawn_events__are_the_gravest_in_order_of_time(
    resources: Any, context: DetectionContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    from smartgrid_pipeline.core.anomaly.report import plots

    monkeypatch.setattr(plots, "alarms_per_month", lambda *_: "rate")
    monkeypatch.setattr(plots, "event", lambda readings, row: (row["severity"], row["start"].day))
    severities = ("low", "high", "medium", "high", "low", "low", "low")
    drawn = report_anomalies.draw(resources, context, detection(7, 6, 5, 4, 3, 2, 1, severities=severities))
    assert list(drawn.values()) == [
        "rate", ("high", 4), ("high", 6), ("medium", 5), ("low", 1), ("low", 2), ("low", 3),
    ]  # fmt: skip
