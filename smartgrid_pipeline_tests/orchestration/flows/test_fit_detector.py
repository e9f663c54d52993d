"""A detector is found by its fingerprint, which depends on readings, month and settings."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from smartgrid_pipeline.core.schema import ACTIVE_POWER, DataError, Finding, RegistryError, Verdict
from smartgrid_pipeline.orchestration.flows import fit_detector
from smartgrid_pipeline.orchestration.flows.fit_detector import DetectionContext
from smartgrid_pipeline.orchestration.resources import VerdictFiles
from smartgrid_pipeline.registry import TrackedRun
from smartgrid_pipeline.settings import Settings
from smartgrid_pipeline_tests.conftest import HOME, make_readings

READINGS = make_readings(59, "2010-01-01", HOME)
STORED = TrackedRun(
    "run-1", "1", "detector", "anomaly_detector", "2010-02", "f", "FINISHED", datetime.now(UTC)
)


@dataclass
class Registry:
    """Knows one fingerprint, or none."""

    fingerprint: str = ""
    logged: list[dict[str, Any]] = field(default_factory=list)

    def find_detector(self, month: str, fingerprint: str) -> TrackedRun | None:
        return STORED if fingerprint == self.fingerprint else None

    def log_detector(self, detector: object, **words: Any) -> TrackedRun:
        self.logged.append(words)
        return STORED


@pytest.fixture
def resources(tmp_path: Any) -> Any:
    return SimpleNamespace(
        registry=Registry(), settings=Settings(home=tmp_path), meter=HOME, verdicts=VerdictFiles(tmp_path)
    )


@pytest.fixture
def context(resources: Any) -> DetectionContext:
    return DetectionContext.from_readings(READINGS, resources, "2010-02")


def test_context__trains_on_what_came_before_the_month(context: DetectionContext) -> None:
    assert context.training_readings.index[-1] == pd.Timestamp("2010-01-31 23:30")
    assert np.datetime64("2010-01-01") <= context.calibrate_from < np.datetime64("2010-02-01")


def test_context__leaves_out_a_month_that_failed_its_audit(resources: Any) -> None:
    resources.verdicts.write(Verdict("readings", "2010-01", (Finding("rows", False, "0", "1"),)))
    context = DetectionContext.from_readings(READINGS, resources, "2010-02")
    assert context.training_readings.empty
    with pytest.raises(DataError, match="no readings before 2010-02"):
        fit_detector.find_or_fit(resources, context, {})


def test_fingerprint__changes_with_readings_month_and_settings(
    resources: Any, context: DetectionContext
) -> None:
    other = DetectionContext.from_readings(READINGS.assign(**{ACTIVE_POWER: 0.1}), resources, "2010-02")
    later = DetectionContext.from_readings(READINGS, resources, "2010-03")
    found = {each.fingerprint(resources) for each in (context, other, later)}
    again = DetectionContext.from_readings(READINGS, resources, "2010-02").fingerprint(resources)
    resources.settings = resources.settings.model_copy(update={"alarms_per_month": 7.0})
    assert len(found | {context.fingerprint(resources)}) == 4 and again in found


def test_stored_detector__is_found_and_not_fitted_again(resources: Any, context: DetectionContext) -> None:
    with pytest.raises(RegistryError, match="No anomaly detector for 2010-02"):
        fit_detector.load_detector(resources, context)
    resources.registry.fingerprint = context.fingerprint(resources)
    assert fit_detector.find_or_fit(resources, context, {}) is STORED
    assert resources.registry.logged == []


def test_new_detector__is_logged_with_the_window_it_was_fitted_on(
    resources: Any, context: DetectionContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted: list[pd.DataFrame] = []
    monkeypatch.setattr(fit_detector.AnomalyDetector, "fit", lambda _, readings, *__: fitted.append(readings))
    assert fit_detector.find_or_fit(resources, context, {"asset": "x"}) is STORED
    (logged,) = resources.registry.logged
    assert (
        logged["data"].end == np.datetime64("2010-02-01") and logged["data"].rows == len(fitted[0]) == 31 * 48
    )
    assert logged["tags"] == {"asset": "x", "calibrated_from": str(context.calibrate_from)}
