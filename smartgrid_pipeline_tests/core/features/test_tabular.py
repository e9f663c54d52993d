"""Inputs of the models: aligned, named, blind to the future."""

from dataclasses import replace

import numpy as np
import pytest

from smartgrid_pipeline.core.features import switch_times, tabular
from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.schema import ACTIVE_POWER, LeadInterval, leads_for
from smartgrid_pipeline_tests.conftest import HOME, HOUSE
from smartgrid_pipeline_tests.core.forecasting.spoiling import SPOILS, spoiled

ORIGIN = np.datetime64("2010-02-01T18:35")


def _column(names: tuple[str, ...], name: str) -> int:
    return names.index(name)


def _targets(history: History, origins: np.ndarray, leads: tuple[LeadInterval, ...]) -> np.ndarray:
    """Target features of every lead at every origin, (origins, leads, columns)."""
    columns = [
        tabular.target_features(history, origins, np.array(lead.start_minutes), lead.width_minutes)
        for lead in leads
    ]
    return np.stack(columns, 1)


@pytest.mark.parametrize("how", SPOILS)
def test_features__do_not_depend_on_the_future(how: str, house_history: History) -> None:
    origins = np.array([ORIGIN])
    other = spoiled(house_history, ORIGIN, how)
    for history in (other, house_history.until(ORIGIN)):
        np.testing.assert_array_equal(
            tabular.origin_features(house_history, origins), tabular.origin_features(history, origins)
        )
        np.testing.assert_array_equal(
            _targets(house_history, origins, leads_for(5)),
            _targets(history, origins, leads_for(5)),
        )


def test_features__have_one_name_per_column(house_history: History, home_history: History) -> None:
    for history, meter in ((house_history, HOUSE), (home_history, HOME)):
        origins, leads = (
            history.origins(history.starts[0], history.end, 700),
            leads_for(meter.working_minutes),
        )
        for recent in (True, False):
            names = tabular.origin_names(meter, recent)
            assert len(set(names)) == len(names)
            assert tabular.origin_features(history, origins, recent).shape == (len(origins), len(names))
        names = tabular.target_names(meter)
        assert _targets(history, origins, leads).shape == (len(origins), len(leads), len(names))


def test_origin_features__end_with_the_row_available_at_the_origin(house_history: History) -> None:
    names = tabular.origin_names(HOUSE)
    row = int(house_history.rows(np.array([ORIGIN]))[0])
    found = tabular.origin_features(house_history, np.array([ORIGIN]))[0]
    assert house_history.starts[row] + house_history.step == ORIGIN
    within = house_history.within[ACTIVE_POWER].reshape(-1)
    for k in range(20):
        assert found[_column(names, f"{ACTIVE_POWER}_reading_{k}")] == within[5 * row + 4 - k]
    for k in range(24):
        assert found[_column(names, f"power_row_{k}_kw")] == house_history.power_kw[row - k]
        assert (
            found[_column(names, f"power_row_{k}_highest_kw")]
            == house_history.within[ACTIVE_POWER][row - k].max()
        )
        assert (
            found[_column(names, f"power_row_{k}_lowest_kw")]
            == house_history.within[ACTIVE_POWER][row - k].min()
        )
    mean = house_history.power_kw[row - 5 : row + 1].mean()
    assert found[_column(names, "power_mean_30min_kw")] == pytest.approx(mean, rel=1e-5)


def test_origin_features__of_a_power_only_meter_hold_no_invented_readings() -> None:
    names = tabular.origin_names(HOME)
    assert not [name for name in names if "reading" in name or "sub_meter" in name or "voltage" in name]
    assert "power_row_3_kw" in names and "power_row_4_kw" not in names  # two hours of half-hours


def test_target_features__hold_the_same_time_on_earlier_days(house_history: History) -> None:
    origins, leads = np.array([ORIGIN]), leads_for(5)
    days = house_history.same_time_lags(origins, leads, 28)
    found, names = _targets(house_history, origins, leads), tabular.target_names(HOUSE)
    for k in range(tabular.SINGLE_LAG_DAYS):
        np.testing.assert_array_equal(found[..., _column(names, f"same_time_{k + 1}_kw")], days[..., k])
    known = ~np.isnan(days).all(-1)
    np.testing.assert_allclose(
        found[known][:, _column(names, "same_time_median_28_kw")], np.nanmedian(days[known], -1), rtol=1e-6
    )
    np.testing.assert_allclose(
        found[known][:, _column(names, "same_time_mean_28_kw")], np.nanmean(days[known], -1), rtol=1e-5
    )


def test_target_features__hold_the_calendar_of_the_target_not_of_the_origin(house_history: History) -> None:
    friday_evening = np.array([np.datetime64("2010-01-29T18:00")])
    names = tabular.target_names(HOUSE)
    found = _targets(house_history, friday_evening, (LeadInterval(600, 660),))[0, 0]
    assert found[_column(names, "target_hour")] == 4.5
    assert found[_column(names, "target_weekday")] == 5
    assert found[_column(names, "target_is_weekend")] == 1


def test_weekday_lags__have_the_weekday_of_the_target(house_history: History) -> None:
    weekday = ((house_history.starts.astype("datetime64[D]").astype(int) + 3) % 7).astype(np.float32)
    marked = replace(house_history, power_kw=weekday, observed_share=np.ones_like(weekday))
    names = tabular.target_names(HOUSE)
    for lead in (LeadInterval(0, 60), LeadInterval(1380, 1440), LeadInterval(0, 1440)):
        origins = marked.origins(ORIGIN - np.timedelta64(7 * 1440, "m"), ORIGIN, 1440)
        found = _targets(marked, origins, (lead,))[:, 0]
        np.testing.assert_array_equal(
            found[:, _column(names, "same_time_weekday_4_kw")], found[:, _column(names, "target_weekday")]
        )


def test_late_meter__keeps_the_age_of_its_rows(house_history: History) -> None:
    names = tabular.origin_names(HOUSE)
    late = np.array([house_history.end + np.timedelta64(10, "m")])
    found = tabular.origin_features(house_history, late)[0]
    assert np.isnan(found[_column(names, "power_row_1_kw")])
    assert found[_column(names, "power_row_2_kw")] == house_history.power_kw[-1]


def test_switch_times__counts_minutes_since_the_last_step(house_history: History) -> None:
    power = np.full(house_history.within[ACTIVE_POWER].shape, 0.2, np.float32)
    flat = power.reshape(-1)
    flat[1000:1007] = 1.5  # on for seven minutes
    other = replace(house_history, within={**house_history.within, ACTIVE_POWER: power})
    state, names = other.block(switch_times.SwitchTimes).values, switch_times.names(HOUSE)
    row = 1014 // 5  # its last minute is 1014: the eighth after the step down at minute 1007
    assert state[row, names.index("minutes_since_jump_1000w")] == 7
    assert state[row, names.index("power_before_jump_1000w")] == pytest.approx(1.5)
    assert state[row, names.index("power_since_jump_1000w")] == pytest.approx(0.2)
    assert state[1000 // 5 - 1, names.index("minutes_since_jump_1000w")] == 1440
    assert np.isnan(state[1000 // 5 - 1, names.index("power_before_jump_1000w")])
    assert state[(1000 + 3000) // 5, names.index("minutes_since_jump_1000w")] == 1440
