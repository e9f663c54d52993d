"""What a forecaster did not expect: p-values that are fair on healthy days and small on what is wrong."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from smartgrid_pipeline.core.anomaly.residual import surprises
from smartgrid_pipeline.core.evaluation.surprise import residual_p
from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.forecasting.forecaster import Forecast
from smartgrid_pipeline.core.schema import QUANTILES, DataError, LeadInterval, Times
from smartgrid_pipeline_tests.conftest import HOME, make_history

DAY = np.timedelta64(1440, "m")


class AsLastMonth:
    """Forecasts the spread of the same interval on the past 28 days."""

    name = "as_last_month"

    def predict(self, history: History, origins: Times, leads: tuple[LeadInterval, ...]) -> Forecast:
        days = np.nan_to_num(history.analogues(origins, leads, 28), nan=0.3)
        quantiles = np.moveaxis(np.quantile(days, QUANTILES, axis=2), 0, 2)
        return Forecast(origins, leads, days.mean(2), quantiles.astype(np.float32))


@pytest.fixture(scope="module")
def home() -> History:
    return make_history(120, meter=HOME, seed=2)


def test_healthy_days__are_as_surprising_as_those_before(home: History) -> None:
    p = residual_p(AsLastMonth(), home, home.end - 40 * DAY, home.end)
    assert len(p) == 40 * 48
    assert (p < 0.1).mean() == pytest.approx(0.1, abs=0.03)
    assert (p < 0.001).sum() <= 10  # 2 expected


def test_what_nobody_expected__is_rare(home: History) -> None:
    begin, row = home.end - 10 * DAY, len(home.starts) - 100
    power = home.power_kw.copy()
    power[row] = 2_000.0
    faulty = replace(home, power_kw=power)
    p = residual_p(AsLastMonth(), faulty, begin, faulty.end)
    assert p[pd.Timestamp(home.starts[row])] < 1e-4
    before = residual_p(AsLastMonth(), home, begin, home.end)
    assert before[pd.Timestamp(home.starts[row])] > 1e-3


def test_unobserved_interval__has_no_p_value(home: History) -> None:
    power, share = home.power_kw.copy(), home.observed_share.copy()
    power[-60], share[-60] = np.nan, 0.0
    p = residual_p(
        AsLastMonth(), replace(home, power_kw=power, observed_share=share), home.end - 5 * DAY, home.end
    )
    assert p.iloc[[-60, -59]].isna().all()  # the hours that hold it
    assert p.drop(p.index[[-60, -59]]).notna().all()


def test_few_days_before__are_refused(home: History) -> None:
    with pytest.raises(DataError, match="Too few scores"):
        residual_p(AsLastMonth(), home, home.starts[0] + 2 * DAY, home.end)


def test_surprises__are_in_halves_of_the_interval_on_roots() -> None:
    quantiles = np.tile(np.array([1, 1, 1, 1, 4, 4, 4, 4, 9.0]), (3, 1))
    np.testing.assert_allclose(surprises(quantiles, np.array([4.0, 16.0, 0.0])), [0.0, 2.0, 2.0])
