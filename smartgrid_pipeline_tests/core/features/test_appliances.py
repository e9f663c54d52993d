"""How appliances cycle: hand-made runs, no future, no coarse meters."""

import numpy as np

from smartgrid_pipeline.core.features import appliances
from smartgrid_pipeline.core.features.appliances import DutyCycles
from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.schema import ACTIVE_POWER, CHANNELS, SUB_METERS, Meter

HOUSE = Meter("house", channels=CHANNELS)
PLAIN = Meter("plain", channels=(ACTIVE_POWER,))


def _column(meter: Meter, name: str) -> int:
    return appliances.names(meter, 1).index(name)


def test_cycles__tell_how_long_runs_last_and_how_strong_they_are() -> None:
    power = np.tile(np.repeat([0.2, 1.4], [40, 20]), 12).astype(np.float32)
    found = DutyCycles.of(power, {}, 1).at(np.array([11 * 60 + 44]))[
        0
    ]  # five minutes into the twelfth on-run
    told = dict(zip(appliances.names(PLAIN, 1), found, strict=True))
    minutes = {
        name: np.expm1(told[f"cycle_rest_1000w_{name}"]) for name in ("elapsed", "length_1", "length_2")
    }
    assert (
        minutes["elapsed"] == 5
        and np.isclose(minutes["length_1"], 40)
        and np.isclose(minutes["length_2"], 20)
    )
    assert np.isclose(np.expm1(told["cycle_rest_1000w_usual_length"]), 20)
    assert np.isclose(told["cycle_rest_1000w_elapsed_relative"], 5 / 20)
    assert np.isclose(told["cycle_rest_1000w_mean_kw"], 1.4) and told["cycle_rest_1000w_on"] == 1
    assert np.isclose(told["cycle_rest_1000w_mean_1_kw"], 0.2)
    assert np.isclose(told["cycle_step_500w_0_kw"], 1.2) and np.expm1(told["cycle_step_500w_0_ago"]) == 4
    assert np.isclose(told["cycle_rest_lowest_30min_kw"], 0.2)


def test_cycles__know_nothing_of_runs_that_are_not_over() -> None:
    rng = np.random.default_rng(0)
    power = rng.gamma(1, 1, 3_000).astype(np.float32)
    subs = {sub: (np.repeat(rng.random(60), 50) > 0.5).astype(np.float32) for sub in SUB_METERS}
    rows = np.arange(2_000)
    expected = DutyCycles.of(power, subs, 1).at(rows)
    for level in (0.0, 9.0):
        power[2_000:] = level
        for values in subs.values():
            values[2_000:] = level
        np.testing.assert_array_equal(DutyCycles.of(power, subs, 1).at(rows), expected)
    assert expected.shape[1] == len(appliances.names(HOUSE, 1))


def test_cycles__hold_the_last_reading_through_gaps(house_history: History) -> None:
    found = appliances.at_rows(house_history, np.array([-1, 0, len(house_history.starts)]))
    assert np.isnan(found[[0, 2]]).all() and np.isfinite(found[1]).all()


def test_cycles__are_not_told_of_a_coarse_meter(home_history: History) -> None:
    assert appliances.names(home_history.meter, 30) == ()
    assert appliances.at_rows(home_history, np.arange(3)).shape == (3, 0)
