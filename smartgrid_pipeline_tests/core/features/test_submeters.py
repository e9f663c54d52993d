"""What each circuit drew: hand-made days, no future, gaps left out, nothing of meters without sub-meters."""

import numpy as np

from smartgrid_pipeline.core.features import submeters
from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.features.submeters import SubmeterLoads
from smartgrid_pipeline.core.schema import ACTIVE_POWER, CHANNELS, SUB_METERS, Meter
from smartgrid_pipeline_tests.core.features.made import minute_history

HOUSE = Meter("house", channels=CHANNELS)
PLAIN = Meter("plain", channels=(ACTIVE_POWER,))


def _readings(days: int = 40, seed: int = 0) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    rng = np.random.default_rng(seed)
    subs = tuple(rng.gamma(1, 0.3, days * 1440).astype(np.float32) for _ in SUB_METERS)
    return (sum(subs) + rng.gamma(2, 0.2, days * 1440)).astype(np.float32), subs


def test_submeter_loads__are_means_of_the_last_minutes_and_of_this_clock_time() -> None:
    power, subs = _readings()
    power, boiler = power.copy(), subs[2].copy()
    boiler[:] = 0
    for day in range(40):
        boiler[day * 1440 + 600 : day * 1440 + 660] = 0.01 * (day + 1)  # an hour from ten on
    power = power - subs[2] + boiler
    found = SubmeterLoads.transform(minute_history(power, (*subs[:2], boiler))).at(
        np.array([30 * 1440 + 599])
    )[0]
    features = dict(zip(submeters.names(HOUSE, 1), found**2, strict=True))
    name = f"load_{SUB_METERS[2]}"
    assert np.isclose(features[f"{name}_day_1_60min"], 0.30)
    assert np.isclose(features[f"{name}_day_7_15min"], 0.24)
    assert np.isclose(np.sqrt(features[f"{name}_weeks_4_60min"]), np.mean(np.sqrt([0.24, 0.17, 0.1, 0.03])))
    assert np.isclose(features[f"{name}_mean_60min"], 0)
    assert np.isclose(features[f"{name}_mean_1440min"], 0.30 / 24)
    rest = (power - subs[0] - subs[1] - boiler)[30 * 1440 + 599]
    assert np.isclose(features["load_remainder_reading_0"], rest, atol=1e-6)


def test_submeter_loads__sum_to_the_total() -> None:
    power, subs = _readings()
    found = SubmeterLoads.transform(minute_history(power, subs))
    rows = np.array([100, 5_000])
    expected = [power[row : row + 60].mean() for row in rows]
    np.testing.assert_allclose(found.targets(rows, 60).sum(1), expected, rtol=1e-5)
    np.testing.assert_allclose(found.latest(rows).sum(1), power[rows], rtol=1e-5)


def test_submeter_loads__do_not_depend_on_later_readings() -> None:
    power, subs = _readings()
    rows = np.arange(0, 30_000, 37)
    expected = SubmeterLoads.transform(minute_history(power, subs)).at(rows)
    for level in (np.nan, 1e9):
        for values in (power, *subs):
            values[30_000:] = level
        np.testing.assert_array_equal(SubmeterLoads.transform(minute_history(power, subs)).at(rows), expected)
    assert expected.shape[1] == len(submeters.names(HOUSE, 1))


def test_submeter_loads__leave_gaps_out() -> None:
    power, subs = _readings()
    rows = np.array([20_000])
    power[19_950:19_990] = np.nan
    found = SubmeterLoads.transform(minute_history(power, subs))
    features = dict(zip(submeters.names(HOUSE, 1), found.at(rows)[0], strict=True))
    seen = np.r_[19_941:19_950, 19_990:20_001]
    assert np.isclose(features[f"load_{SUB_METERS[0]}_mean_60min"] ** 2, subs[0][seen].mean(), rtol=1e-4)
    assert np.isnan(found.targets(np.array([19_940]), 60)).all()
    assert np.isnan(found.at(np.array([5]))[0]).any()  # nothing a week before the first week


def test_submeter_loads__are_one_where_there_are_no_sub_meters(home_history: History) -> None:
    assert submeters.names(PLAIN, 1) == () and submeters.load_names(PLAIN) == ("remainder",)
    assert home_history.block(SubmeterLoads).at_rows(np.arange(3)).shape == (3, 0)
