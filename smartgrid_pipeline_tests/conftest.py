"""Fixtures shared by all tests: small, seeded, quick to make."""

import warnings

import numpy as np
import pandas as pd
import pytest

from smartgrid_pipeline.core import meter_data
from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.forecasting.history_frames import build_feature_table, history_from_table
from smartgrid_pipeline.core.schema import (
    ACTIVE_POWER,
    CHANNELS,
    CURRENT,
    INTERVAL_START,
    INTERVAL_START_UTC,
    REACTIVE_POWER,
    SUB_METERS,
    VOLTAGE,
    Meter,
)

warnings.filterwarnings("ignore", message=".*partitions_def.*", category=Warning)

HOUSE = Meter("test-house", "Europe/Paris", 1, CHANNELS, "FR", "C")
HOME = Meter("test-home", "Australia/Sydney", 30)


def make_readings(
    days: int = 30, start: str = "2010-01-04", meter: Meter = HOUSE, seed: int = 0
) -> pd.DataFrame:
    """Plausible readings of a small house: daily rhythm, appliances, a kettle, a supply with impedance."""
    rng = np.random.default_rng(seed)
    step = meter.step_minutes
    index = pd.date_range(start, periods=days * 1440 // step, freq=f"{step}min", name=INTERVAL_START)
    hour = index.hour.to_numpy() + index.minute.to_numpy() / 60
    shape = 0.25 + 0.35 * np.exp(-((hour - 8) ** 2) / 3) + 0.7 * np.exp(-((hour - 19.5) ** 2) / 6)
    shape = shape * np.where(index.day_of_week.to_numpy() >= 5, 1.2, 1.0)
    slow = np.convolve(rng.normal(0, 1, len(index)), np.ones(30) / 30, "same")
    kettle = (rng.random(len(index)) < 0.004 * shape * step).astype(float)
    kettle = np.minimum(np.convolve(kettle, np.ones(max(1, 8 // step)))[: len(index)], 1) * 1.8
    base = np.maximum(shape * (1 + 0.5 * slow), 0.06)
    power = np.round((base + kettle + 0.02 * rng.random(len(index))) / 0.002) * 0.002
    frame = pd.DataFrame({ACTIVE_POWER: power}, index=index)
    if REACTIVE_POWER in meter.channels:
        reactive = np.round((0.08 + 0.05 * rng.random(len(index))) / 0.002) * 0.002
        apparent = np.hypot(power, reactive)
        wander = np.cumsum(rng.normal(0, 0.05, len(index))) * 0.2
        frame[REACTIVE_POWER] = reactive
        frame[VOLTAGE] = np.round(241 + np.clip(wander, -5, 5) + rng.normal(0, 0.2, len(index)) - apparent, 2)
        frame[CURRENT] = np.round(1000 * apparent / frame[VOLTAGE] / 0.2) * 0.2
        for share, name in zip((0.0, 0.1, 0.3), SUB_METERS, strict=True):
            frame[name] = np.floor(share * power * 1000 / 60) * 0.06
        frame.loc[kettle > 0, SUB_METERS[0]] = 1.5
    frame.insert(0, INTERVAL_START_UTC, meter_data.civil_to_utc(index, meter.timezone))
    return frame


def make_table(readings: pd.DataFrame, meter: Meter = HOUSE) -> pd.DataFrame:
    """The feature table of readings, as the asset stores it."""
    intervals = meter_data.resample(readings, meter)
    return build_feature_table(intervals, meter)


def make_history(days: int = 30, meter: Meter = HOUSE, seed: int = 0) -> History:
    """A small history ready for forecasters."""
    return history_from_table(make_table(make_readings(days, meter=meter, seed=seed), meter), meter)


@pytest.fixture(scope="session")
def house_history() -> History:
    """Forty days of the fine, seven-channel test house."""
    return make_history(40)


@pytest.fixture(scope="session")
def home_history() -> History:
    """A hundred days of a half-hourly, power-only home."""
    return make_history(100, HOME)
