"""How appliances cycle: hand-made runs, no future, no coarse meters."""

import numpy as np

from smartgrid_pipeline.core.features import appliances
from smartgrid_pipeline.core.features.appliances import DutyCycles
from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.schema import ACTIVE_POWER, CHANNELS, SUB_METERS, Meter
from smartgrid_pipeline_tests.core.features.made import minute_history

HOUSE = Meter("house", channels=CHANNELS)
PLAIN = Meter("plain", channels=(ACTIVE_POWER,))


def _column(meter: Meter, name: str) -> int:
    return appliances.names(meter, 1).index(name)


def test_duty_cycles__give_length_and_power_of_finished_runs() -> None:
    power = np.tile(np.repeat([0.2, 1.4], [40, 20]), 12).astype(np.float32)
    block = DutyCycles.transform(minute_history(power))
    found = block.at(np.array([11 * 60 + 44]))[0]  # five minutes into the twelfth on-run
    features = dict(zip(appliances.names(PLAIN, 1), found, strict=True))
    name = "run_remainder_1000w"
    minutes = {what: np.expm1(features[f"{name}_{what}"]) for what in ("elapsed", "length_1", "length_2")}
    assert (
        minutes["elapsed"] == 5
        and np.isclose(minutes["length_1"], 40)
        and np.isclose(minutes["length_2"], 20)
    )
    assert np.isclose(np.expm1(features["run_remainder_1000w_median_length"]), 20)
    assert np.isclose(features["run_remainder_1000w_elapsed_relative"], 5 / 20)
    assert np.isclose(features[f"{name}_mean_kw"], 1.4) and features[f"{name}_on"] == 1
    assert np.isclose(features["run_remainder_1000w_mean_1_kw"], 0.2)
    assert np.isclose(features["step_500w_0_kw"], 1.2) and np.expm1(features["step_500w_0_ago"]) == 4
    assert np.isclose(features["remainder_lowest_30min_kw"], 0.2)


def test_duty_cycles__do_not_depend_on_later_readings() -> None:
    rng = np.random.default_rng(0)
    power = rng.gamma(1, 1, 3_000).astype(np.float32)
    subs = {sub: (np.repeat(rng.random(60), 50) > 0.5).astype(np.float32) for sub in SUB_METERS}
    rows = np.arange(2_000)
    expected = DutyCycles.transform(minute_history(power, tuple(subs.values()))).at(rows)
    for level in (0.0, 9.0):
        power[2_000:] = level
        for values in subs.values():
            values[2_000:] = level
        np.testing.assert_array_equal(
            DutyCycles.transform(minute_history(power, tuple(subs.values()))).at(rows), expected
        )
    assert expected.shape[1] == len(appliances.names(HOUSE, 1))


def test_duty_cycles__hold_the_last_reading_through_gaps(house_history: History) -> None:
    found = house_history.block(DutyCycles).at_rows(np.array([-1, 0, len(house_history.starts)]))
    assert np.isnan(found[[0, 2]]).all() and np.isfinite(found[1]).all()


def test_duty_cycles__have_no_columns_for_a_coarse_meter(home_history: History) -> None:
    assert appliances.names(home_history.meter, 30) == ()
    assert home_history.block(DutyCycles).at_rows(np.arange(3)).shape == (3, 0)
