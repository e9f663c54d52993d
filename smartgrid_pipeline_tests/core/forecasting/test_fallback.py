"""There is a forecast at every amount of history, and every tier is reached."""

from dataclasses import replace

import numpy as np
import pytest

from smartgrid_pipeline.core.features.feature_table import names as feature_names
from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.forecasting.baselines.gradient_boosting import LightGBM
from smartgrid_pipeline.core.forecasting.baselines.ridge import Ridge
from smartgrid_pipeline.core.forecasting.fallback import TIERS, predict_with_fallback, with_channels
from smartgrid_pipeline.core.forecasting.forecaster import TINY, Forecaster, Split
from smartgrid_pipeline.core.schema import ACTIVE_POWER, VOLTAGE, LeadInterval, ModelError, leads_for
from smartgrid_pipeline_tests.conftest import HOME, HOUSE
from smartgrid_pipeline_tests.core.forecasting.spoiling import SPOILS, assert_legal, assert_same, spoiled

HOUR = np.timedelta64(60, "m")


@pytest.fixture(scope="module")
def champion(house_history: History) -> Forecaster:
    model = LightGBM(TINY)
    model.fit(house_history, Split.before(house_history.end, house_history))
    return model


def _last(history: History, hours: float) -> History:
    """Nothing but the last hours of a history."""
    first = len(history.starts) - round(hours * 60 / history.meter.working_minutes)
    return history.part(first, len(history.starts))


def _power_only(history: History) -> History:
    meter = replace(history.meter, channels=(ACTIVE_POWER,))
    columns = [feature_names(history.meter).index(name) for name in feature_names(meter)]
    within = {ACTIVE_POWER: history.within[ACTIVE_POWER]}
    return replace(history, meter=meter, features=history.features[:, columns], within=within)


@pytest.mark.parametrize(
    ("hours", "without_channels", "tier"),
    [
        (38 * 24, False, "champion"),
        (38 * 24, True, "champion_without_channels"),
        (24, False, "past_days"),
        (6 * 24, False, "past_days"),
        (1, False, "typical_home_of_this_level"),
        (0, False, "typical_home"),
    ],
)
def test_fallback__reaches_every_tier(
    hours: float, without_channels: bool, tier: str, champion: Forecaster, house_history: History
) -> None:
    history = _last(house_history, hours)
    history = _power_only(history) if without_channels else history
    found = predict_with_fallback(champion, HOUSE, history, np.array([house_history.end]), leads_for(5))
    assert found.tier_names() == (tier,)
    assert (found.reason == "") == (tier == "champion")
    assert_legal(found.forecast)


def test_champion_that_is_wrong_without_its_channels__leaves_leads_to_the_past_days(
    house_history: History,
) -> None:
    ridge = Ridge(TINY)  # its weights need voltage and current: without them it gave 0 kW
    ridge.fit(house_history, Split.before(house_history.end, house_history))
    leads, origins = (LeadInterval(0, 5), LeadInterval(0, 60)), np.array([house_history.end])
    found = predict_with_fallback(ridge, HOUSE, _power_only(house_history), origins, leads)
    past_days = predict_with_fallback(None, None, _power_only(house_history), origins, leads)
    np.testing.assert_array_equal(found.forecast.mean_kw, past_days.forecast.mean_kw)
    assert found.tier_names() == ("past_days",)
    assert "channels are missing" in found.reason and "not shown to be closer" in found.reason


def test_channel_that_fell_silent__counts_as_missing(house_history: History) -> None:
    ridge = Ridge(TINY)
    ridge.fit(house_history, Split.before(house_history.end, house_history))
    silent, within = house_history.features.copy(), dict(house_history.within)
    silent[-400:, feature_names(HOUSE).index(VOLTAGE)] = np.nan
    broken = replace(house_history, features=silent, within=within)
    found = predict_with_fallback(ridge, HOUSE, broken, np.array([house_history.end]), (LeadInterval(0, 5),))
    assert found.tier_names() != ("champion",) and VOLTAGE in found.reason


def test_fallback__knows_its_tiers_best_first() -> None:
    assert TIERS[0] == "champion" and TIERS[-1] == "typical_home" and len(TIERS) == 5


def test_fallback__goes_on_after_a_restart_with_a_gap(champion: Forecaster, house_history: History) -> None:
    """Field report 23: a gap after a restart leaves lags missing; predicting must not crash."""
    whole = house_history
    gap = np.isin(np.arange(len(whole.starts)), np.arange(len(whole.starts) - 400, len(whole.starts) - 12))
    broken = replace(
        whole,
        power_kw=np.where(gap, np.float32(np.nan), whole.power_kw),
        observed_share=np.where(gap, np.float32(0), whole.observed_share),
        features=np.where(gap[:, None], np.float32(np.nan), whole.features),
    )
    found = predict_with_fallback(champion, HOUSE, broken, np.array([whole.end]), leads_for(5))
    assert found.tier_names() == ("champion",)
    assert_legal(found.forecast)


def test_fallback__falls_past_a_champion_of_another_kind_of_meter(
    champion: Forecaster, home_history: History
) -> None:
    found = predict_with_fallback(champion, HOUSE, home_history, np.array([home_history.end]), leads_for(30))
    assert found.tier_names() == ("past_days",)
    assert "Train on this meter" in found.reason


def test_fallback__does_not_depend_on_what_comes_after(home_history: History) -> None:
    for back in (20 * 24 * HOUR, (100 * 24 - 30) * HOUR):
        origin = np.array([home_history.end - back])
        honest = predict_with_fallback(None, None, home_history, origin, leads_for(30))
        for how in SPOILS:
            other = predict_with_fallback(
                None, None, spoiled(home_history, origin[0], how), origin, leads_for(30)
            )
            assert_same(honest.forecast, other.forecast)


def test_fallback__follows_the_level_of_a_home_within_hours(home_history: History) -> None:
    history = _last(home_history, 12)
    louder = replace(history, power_kw=5 * history.power_kw)
    origin = np.array([home_history.end])
    quiet, loud = (
        predict_with_fallback(None, None, h, origin, leads_for(30)).forecast.mean_kw
        for h in (history, louder)
    )
    assert (loud > 2 * quiet).all()


def test_with_channels__refuses_another_step(home_history: History) -> None:
    with pytest.raises(ModelError, match="30-min readings"):
        with_channels(home_history, HOUSE)
    assert with_channels(home_history, HOME) is not home_history
