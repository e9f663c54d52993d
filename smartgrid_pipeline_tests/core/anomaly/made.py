"""A made-up house whose supply has a daily pattern, and copies of it with one injected fault."""

import numpy as np
import pandas as pd

from smartgrid_pipeline.core.anomaly.injection.faults import inject
from smartgrid_pipeline.core.anomaly.interval_array import IntervalArray
from smartgrid_pipeline.core.anomaly.physics import monitors
from smartgrid_pipeline.core.anomaly.physics.hourly import HourlyAggregates, aggregate, learn_constants
from smartgrid_pipeline.core.schema import CURRENT, VOLTAGE
from smartgrid_pipeline_tests.conftest import HOUSE, make_readings

DAYS = 50
FAULT_START, FAULT_DAYS = np.datetime64("2010-02-14T18:00"), 5


def _rhythmic() -> pd.DataFrame:
    """A house with a loop impedance of 0.25 Ω, whose supply has a daily pattern and a changing level."""
    readings = make_readings(DAYS, seed=2)
    minute = np.arange(len(readings)) % 1440
    rng = np.random.default_rng(0)
    pattern = np.repeat(rng.normal(0, 1.0, 288), 5)[minute]
    days = np.arange(len(readings)) / 1440
    level = np.interp(days, np.arange(DAYS + 1), rng.normal(0, 1.5, DAYS + 1))  # no grid holds its level
    source = 241 + level + pattern + rng.normal(0, 0.3, len(readings))
    readings[VOLTAGE] = np.round(source - 0.25 * readings[CURRENT], 2)
    return readings


READINGS = _rhythmic()
RECORDED = IntervalArray.from_readings(READINGS, HOUSE)
LEARNED = learn_constants(RECORDED)
LEARNED |= monitors.learn_references(aggregate(RECORDED, LEARNED))
CLEAN = aggregate(RECORDED, LEARNED)


def injected(fault_type: str, magnitude: float = 0.0, hours: int = 24 * FAULT_DAYS) -> IntervalArray:
    """The house with one fault from FAULT_START on."""
    duration = np.timedelta64(60 * hours, "m")
    rng = np.random.default_rng(0)
    changed, _ = inject(READINGS, fault_type, magnitude, FAULT_START, duration, rng)
    return IntervalArray.from_readings(changed, HOUSE)


def with_fault(fault_type: str, magnitude: float = 0.0, hours: int = 24 * FAULT_DAYS) -> HourlyAggregates:
    """Hourly aggregates of that copy."""
    return aggregate(injected(fault_type, magnitude, hours), LEARNED)
