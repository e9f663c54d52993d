"""Naive forecasters: the values they are defined by, and what they give when those were not observed."""

import numpy as np
import pytest

from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.forecasting.baselines.naive import REFERENCES, weibull_quantiles
from smartgrid_pipeline.core.forecasting.climatology import HOURS, Climatology
from smartgrid_pipeline.core.forecasting.forecaster import TINY, Forecast, Split
from smartgrid_pipeline.core.schema import QUANTILES, LeadInterval
from smartgrid_pipeline_tests.core.forecasting.spoiling import unobserved

ORIGIN = np.array(["2010-02-01T18:00"], "datetime64[m]")
DAY = np.timedelta64(1440, "m")
HOUR = LeadInterval(0, 60)


def _predict(
    name: str, history: History, leads: tuple[LeadInterval, ...], given: History | None = None
) -> Forecast:
    model = REFERENCES[name](TINY)
    model.fit(history, Split.before(history.end, history))
    return model.predict(given or history, ORIGIN, leads)


def _mean(history: History, start: np.datetime64, minutes: int) -> float:
    rows = (history.starts >= start) & (history.starts < start + np.timedelta64(minutes, "m"))
    return float(history.power_kw[rows].mean())


def test_persistence__is_the_mean_of_as_many_minutes_as_the_lead(house_history: History) -> None:
    for lead in (LeadInterval(0, 5), HOUR, LeadInterval(0, 1440)):
        width = np.timedelta64(lead.width_minutes, "m")
        expected = _mean(house_history, ORIGIN[0] - width, lead.width_minutes)
        assert _predict("persistence", house_history, (lead,)).mean_kw[0, 0] == pytest.approx(
            expected, rel=1e-4
        )


@pytest.mark.parametrize(("name", "days"), [("seasonal_day", 1), ("seasonal_week", 7)])
def test_seasonal__is_the_same_interval_of_an_earlier_day(
    name: str, days: int, house_history: History
) -> None:
    expected = _mean(house_history, ORIGIN[0] - days * DAY, 60)
    assert _predict(name, house_history, (HOUR,)).mean_kw[0, 0] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("name", "days"), [("seasonal_day", 1), ("seasonal_week", 7)])
def test_seasonal__goes_back_further_where_a_day_was_not_observed(
    name: str, days: int, house_history: History
) -> None:
    start = ORIGIN[0] - days * DAY
    gap = unobserved(house_history, start, start + DAY // 2)
    expected = _mean(house_history, start - days * DAY, 60)
    assert _predict(name, house_history, (HOUR,), gap).mean_kw[0, 0] == pytest.approx(expected, rel=1e-4)


def test_analogue__is_the_mean_and_spread_of_the_days(house_history: History) -> None:
    days = [_mean(house_history, ORIGIN[0] - k * DAY, 60) for k in range(1, 8)]
    forecast = _predict("analogue_7d", house_history, (HOUR,))
    assert forecast.mean_kw[0, 0] == pytest.approx(np.mean(days), rel=1e-4)
    assert forecast.quantiles_kw[0, 0, 4] == pytest.approx(np.median(days), rel=1e-4)
    assert min(days) <= forecast.quantiles_kw[0, 0, 0] * (1 + 1e-4)


def test_naive_forecast__with_nothing_observed_is_the_climatology(house_history: History) -> None:
    climatology = Climatology.fit(house_history, Split.before(house_history.end, house_history))
    for name in ("persistence", "seasonal_day", "seasonal_week", "analogue_7d", "analogue_28d"):
        nothing = unobserved(house_history, house_history.starts[0], house_history.end)
        forecast = _predict(name, house_history, (HOUR, LeadInterval(0, 1440)), nothing)
        np.testing.assert_array_equal(forecast.mean_kw[0], climatology.kw[[18, HOURS], 0])


def test_weibull_quantiles__are_unbiased_for_small_ensembles() -> None:
    rng = np.random.default_rng(0)
    members, truth = rng.normal(size=(20_000, 28)).astype(np.float32), rng.normal(size=20_000)
    members[rng.random(members.shape) < 0.2] = np.nan
    below = (truth[:, None] <= weibull_quantiles(members)).mean(0)
    np.testing.assert_allclose(below, QUANTILES, atol=0.02)


def test_weibull_quantiles__of_nothing_are_nan() -> None:
    assert np.isnan(weibull_quantiles(np.full((2, 7), np.nan, np.float32))).all()
