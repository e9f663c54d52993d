import numpy as np
import pandas as pd
import pytest

from smartgrid_pipeline.core.evaluation.scoring import backtest
from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.forecasting.forecaster import Forecast
from smartgrid_pipeline.core.schema import FORECAST_COLUMNS, DataError, LeadInterval, Times, tasks_for
from smartgrid_pipeline_tests.core.evaluation.helpers import RuleForecaster, peeking, persistence

START, END = np.datetime64("2010-02-01"), np.datetime64("2010-02-09")


@pytest.fixture(scope="module")
def frame(house_history: History) -> pd.DataFrame:
    return backtest.forecast_tasks(RuleForecaster("p", persistence), house_history, START, END)


def test_backtest__keeps_a_span_to_itself(frame: pd.DataFrame) -> None:
    assert list(frame.columns) == list(FORECAST_COLUMNS)
    assert frame["origin"].min() == START
    assert (frame["interval_end"] <= END).all()
    assert (frame["interval_start"] >= frame["origin"]).all()


def test_backtest__takes_every_origin_of_each_card(frame: pd.DataFrame) -> None:
    found = frame.groupby("card")["origin"].nunique().to_dict()
    assert found == {"T1": 8 * 288, "T1_path": 8 * 24, "T2": 8 * 24, "T3": 8, "T4": 8, "T5": 8, "T5_week": 2}
    assert (frame["card"] == "T3").sum() == 8 * 96
    assert (frame["card"] == "T1_path").sum() == 8 * 24 * 12


def test_backtest__puts_the_truth_beside_its_forecast(house_history: History) -> None:
    frame = backtest.forecast_tasks(RuleForecaster("x", peeking), house_history, START, END)
    assert np.allclose(frame["mean_kw"], frame["observed_kw"])


def test_backtest__leaves_unobserved_targets_empty(house_history: History) -> None:
    share = house_history.observed_share.copy()
    hole = house_history.rows(np.array([np.datetime64("2010-02-03T12:00")]))[0]
    share[hole] = 0.8
    holed = History(house_history.meter, house_history.starts, house_history.power_kw, share,
                    house_history.features, house_history.within)  # fmt: skip
    frame = backtest.forecast_tasks(RuleForecaster("p", persistence), holed, START, END)
    missing = frame[frame["observed_kw"].isna()].groupby("card").size().to_dict()
    assert missing == {"T1": 1, "T1_path": 1, "T2": 1, "T3": 1, "T4": 1, "T5": 1, "T5_week": 2}
    assert frame["mean_kw"].notna().all()


def test_backtest__is_the_same_in_small_batches(
    house_history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    cards = tasks_for(5)[:5]
    whole = backtest.forecast_tasks(RuleForecaster("p", persistence), house_history, START, END, cards)
    monkeypatch.setattr(backtest, "BATCH_FORECASTS", 300)
    asked: list[int] = []

    class Counting(RuleForecaster):
        def predict(self, history: History, origins: Times, leads: tuple[LeadInterval, ...]) -> Forecast:
            asked.append(len(origins) * len(leads))
            return super().predict(history, origins, leads)

    small = backtest.forecast_tasks(Counting("p", persistence), house_history, START, END, cards)
    assert whole.equals(small)
    assert len(asked) > 8 and max(asked) <= 300


def test_backtest__of_a_coarse_meter_has_its_cards(home_history: History) -> None:
    frame = backtest.forecast_tasks(
        RuleForecaster("p", persistence),
        home_history,
        np.datetime64("2010-03-01"),
        np.datetime64("2010-03-11"),
    )
    assert set(frame["card"]) == {"T2", "T4", "T5", "T5_week"}


def test_backtest__refuses_a_span_outside_the_history(house_history: History) -> None:
    with pytest.raises(DataError, match="Nothing to forecast"):
        backtest.forecast_tasks(
            RuleForecaster("p", persistence),
            house_history,
            np.datetime64("2012-01-01"),
            np.datetime64("2012-02-01"),
        )
