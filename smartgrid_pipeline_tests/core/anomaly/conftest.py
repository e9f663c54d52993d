"""One small fitted detector per kind of meter, shared by the anomaly tests."""

import numpy as np
import pandas as pd
import pytest

from smartgrid_pipeline.core.anomaly.detector import AnomalyDetector
from smartgrid_pipeline.core.schema import Meter
from smartgrid_pipeline_tests.conftest import HOME, HOUSE, make_readings

CALIBRATE_FROM = np.datetime64("2010-01-29")
FITTED_UNTIL = pd.Timestamp("2010-02-20")
"""Judged from here on; readings go on for another ten days."""


def fitted(meter: Meter) -> tuple[AnomalyDetector, pd.DataFrame]:
    """A detector fitted on the readings before FITTED_UNTIL, and all of the readings."""
    readings = make_readings(57, meter=meter, seed=3)
    detector = AnomalyDetector(false_alarms_per_month=2.0, seed=1)
    detector.fit(readings[readings.index < FITTED_UNTIL], meter, CALIBRATE_FROM)
    return detector, readings


@pytest.fixture(scope="session")
def house() -> tuple[AnomalyDetector, pd.DataFrame]:
    """A fitted detector of the seven-channel house and its 57 days of readings."""
    return fitted(HOUSE)


@pytest.fixture(scope="session")
def home() -> tuple[AnomalyDetector, pd.DataFrame]:
    """A fitted detector of the power-only half-hourly home and its 57 days of readings."""
    return fitted(HOME)
