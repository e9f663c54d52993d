"""Sums of homes: the simulated population is as dependent as it says, and no model of a sum sees ahead."""

import numpy as np
import pandas as pd
import pytest

from benchmarks.aggregation.__main__ import _below
from benchmarks.aggregation.model import TASKS, SumTask, forecast
from benchmarks.aggregation.page import curve
from benchmarks.aggregation.population import Population, mean_power

WEEKS = 24


@pytest.fixture(scope="module")
def homes() -> pd.DataFrame:
    """Thirty homes that share the weather of the day and are else on their own."""
    rng = np.random.default_rng(0)
    index = pd.date_range("2012-07-02", periods=WEEKS * 336, freq="30min")
    hour = (index.hour + index.minute / 60).to_numpy()
    shape = 1 + 0.5 * np.sin(2 * np.pi * (hour - 9) / 24)
    weather = np.repeat(np.exp(0.2 * rng.normal(size=WEEKS * 7)), 48)
    own = rng.gamma(1.0, 1.0, (30, len(index)))
    level = rng.uniform(0.2, 0.8, 30)
    return pd.DataFrame((level[:, None] * shape * weather * own).T, index=index)


def _spoiled(power: pd.Series, after: pd.Timestamp) -> pd.Series:
    spoiled = power.copy()
    spoiled[after:] = 9.0
    return spoiled


def test_population__keeps_what_is_common_and_averages_out_the_rest(homes: pd.DataFrame) -> None:
    population, rng = Population.of(homes, seed=0), np.random.default_rng(1)
    away = {n: population.mean_power(n, rng) - population.common for n in (30, 3_000, 100_000)}
    spread = {n: float(values.std()) for n, values in away.items()}
    assert spread[3_000] / spread[100_000] == pytest.approx(np.sqrt(100_000 / 3_000), rel=0.2)
    real = (mean_power(homes, np.arange(30)) - population.common).std()
    assert spread[30] == pytest.approx(real, rel=0.25)
    assert np.std(population.common) > 10 * spread[100_000]


def test_population__of_independent_homes_has_little_in_common(homes: pd.DataFrame) -> None:
    rng = np.random.default_rng(2)
    alone = pd.DataFrame(rng.gamma(1.0, 1.0, homes.shape), index=homes.index)
    assert np.mean(Population.of(alone, seed=0).shares) < 0.3 < max(Population.of(homes, seed=0).shares)


@pytest.mark.parametrize("task", TASKS)
def test_forecast__does_not_depend_on_what_comes_after_its_origins(
    task: SumTask, homes: pd.DataFrame
) -> None:
    power = homes.mean(axis=1)
    test = pd.Timestamp("2012-11-26")
    later = test - pd.Timedelta(days=20)
    honest = forecast(power, task, later, test)
    first = forecast(_spoiled(power, test + pd.Timedelta(days=1)), task, later, test)
    origins = 48 // task.every * len(task.starts)
    ended = origins - (0 if task.every == 48 else task.width // task.every)  # targets before the spoiling
    np.testing.assert_array_equal(honest.forecast[:ended], first.forecast[:ended])
    assert (honest.low <= honest.high).all()


def test_forecast__of_a_smooth_sum_is_close(homes: pd.DataFrame) -> None:
    power = Population.of(homes, seed=0).mean_power(100_000, np.random.default_rng(0))
    test = pd.Timestamp("2012-11-26")
    scores = forecast(power, TASKS[0], test - pd.Timedelta(days=20), test).scores()
    assert scores["mape_percent"] < 8 and 0.6 < scores["coverage_80"] < 0.95


def test_below__names_the_size_from_which_it_holds_or_says_it_does_not() -> None:
    rows = [
        {"homes": n, "lead": task.name, "population": "simulated", "mape_percent": value,
         "interval": [value, value]}
        for task, values in zip(TASKS, ((3.0, 0.9), (0.9, 3.0), (3.0, 2.0)), strict=True)
        for n, value in zip((10, 100), values, strict=True)
    ]  # fmt: skip
    said = list(_below(rows).values())
    assert "from 100 homes on" in said[0]
    assert "not below 1 %" in said[1] and "100 homes leave 2.00 %" in said[2]
    assert curve(rows).startswith("<?xml") or "<svg" in curve(rows)
