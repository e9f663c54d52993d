"""The newest forecast: from the last complete interval, without defects, in the champion's calendar."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.forecasting.forecaster import Forecast
from smartgrid_pipeline.core.forecasting.newest import model_forecast, newest_forecast, newest_origin
from smartgrid_pipeline.core.schema import ACTIVE_POWER, CHANNELS, DataError, LeadInterval, Times
from smartgrid_pipeline_tests.conftest import HOUSE, make_readings

READINGS = make_readings(9)


class Recorder:
    """A champion that keeps the history it was given and forecasts 1 kW."""

    name = "recorder"
    history: History

    def predict(self, history: History, origins: Times, leads: tuple[LeadInterval, ...]) -> Forecast:
        self.history = history
        shape = (len(origins), len(leads))
        return Forecast(origins, leads, np.ones(shape, np.float32), np.ones((*shape, 9), np.float32))


def test_origin__is_the_end_of_the_last_complete_working_interval() -> None:
    for rows, expected in ((5, "00:05"), (9, "00:05"), (10, "00:10")):
        origin = newest_origin(READINGS.iloc[:rows], HOUSE)
        assert origin == np.datetime64(f"2010-01-04T{expected}")


def test_newest_forecast__gives_the_champion_readings_up_to_the_origin() -> None:
    champion = Recorder()
    found = newest_forecast(champion, HOUSE, READINGS.iloc[:-3], HOUSE)
    assert found.tier_names() == ("champion",) and found.reason == ""
    assert champion.history.end == found.forecast.origins[0] == np.datetime64("2010-01-12T23:55")
    assert (found.forecast.mean_kw == 1).all()


def test_newest_forecast__leaves_out_a_gap_filled_with_the_day_before() -> None:
    spoiled, champion = READINGS.copy(), Recorder()
    channels = [channel for channel in CHANNELS if channel in spoiled]
    spoiled.iloc[-400:-340, spoiled.columns.get_indexer(channels)] = READINGS[channels].iloc[-1840:-1780]
    newest_forecast(champion, HOUSE, spoiled, HOUSE)
    missing = np.isnan(champion.history.power_kw)
    assert missing[-80:-68].all() and missing.sum() == 12


def test_newest_forecast__uses_the_calendar_of_the_champion_and_channels_of_both() -> None:
    champion, abroad = Recorder(), replace(HOUSE, holiday_country=None, timezone="UTC")
    newest_forecast(champion, HOUSE, READINGS, abroad)
    assert champion.history.meter == HOUSE
    fewer = replace(HOUSE, channels=(ACTIVE_POWER,))
    found = newest_forecast(champion, fewer, READINGS, HOUSE)
    assert found.tier_names() == ("champion",) and champion.history.meter == fewer


def test_newest_forecast__without_any_complete_interval_is_the_default_profile() -> None:
    found = newest_forecast(None, None, READINGS.iloc[:3], HOUSE)
    assert found.tier_names() == ("typical_home",) and np.isfinite(found.forecast.quantiles_kw).all()
    with pytest.raises(DataError, match="no complete interval"):
        model_forecast(Recorder(), READINGS.iloc[:3], HOUSE)
    with pytest.raises(DataError, match="empty"):
        newest_forecast(None, None, pd.DataFrame(columns=READINGS.columns), HOUSE)
