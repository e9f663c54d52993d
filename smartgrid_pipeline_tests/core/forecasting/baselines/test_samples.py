"""Training samples: observed pairs inside their window, midnights preferred, columns as named."""

import numpy as np
import pytest

from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.forecasting.baselines.samples import (
    MIDNIGHT_SHARE,
    build_features,
    burn_in_end,
    feature_names,
    sample_pairs,
)
from smartgrid_pipeline.core.forecasting.leads import LeadGroup, lead_groups
from smartgrid_pipeline_tests.conftest import HOME, HOUSE
from smartgrid_pipeline_tests.core.forecasting.spoiling import spoiled, unobserved

GROUPS = {group.name: group for group in lead_groups(HOUSE)}
DAY = np.timedelta64(1440, "m")


@pytest.mark.parametrize("name", ["next_5min", "day_1h", "next_day"])
def test_sample__reads_nothing_after_its_window(name: str, house_history: History) -> None:
    start, end = house_history.starts[0] + 7 * DAY, house_history.end - 9 * DAY
    sample, other = (
        sample_pairs(history, GROUPS[name], start, end, 300, 60, seed=1)
        for history in (house_history, spoiled(house_history, end, "huge"))
    )
    assert 0 < len(sample.observed_kw) <= 300
    for field in ("inputs", "observed_kw", "weights", "groups"):
        np.testing.assert_array_equal(getattr(sample, field), getattr(other, field))


def test_sample__holds_observed_targets_only(house_history: History) -> None:
    start, end = house_history.starts[0], house_history.end
    gap = unobserved(house_history, start + 10 * DAY, start + 30 * DAY)
    sample = sample_pairs(gap, GROUPS["next_hour"], start, end, 10_000, 60, seed=0)
    whole = sample_pairs(house_history, GROUPS["next_hour"], start, end, 10_000, 60, seed=0)
    assert np.isfinite(sample.observed_kw).all()
    assert len(whole.observed_kw) - len(sample.observed_kw) == 20 * 24


def test_sample__gives_the_midnights_their_share_of_the_weight(house_history: History) -> None:
    group, end = GROUPS["day_1h"], house_history.end
    sample = sample_pairs(house_history, group, house_history.starts[0], end, 2_000, 60, seed=0)
    column = feature_names(HOUSE, group).index("target_hour")
    assert sample.weights.mean() == pytest.approx(1, abs=1e-4)
    assert sample.inputs[:, column].min() >= 0
    assert len(np.unique(sample.weights)) == 2
    heavy = sample.weights > 1
    assert sample.weights[heavy].sum() / sample.weights.sum() == pytest.approx(MIDNIGHT_SHARE, abs=1e-3)


@pytest.mark.parametrize("name", GROUPS)
def test_features__have_the_columns_they_are_named_after(name: str, house_history: History) -> None:
    group, origins = GROUPS[name], house_history.starts[[3_000, 3_001, 3_000]]
    features = build_features(house_history, group, origins, np.zeros(3, np.int64))
    names = feature_names(HOUSE, group)
    assert features.shape == (3, len(names)) and len(set(names)) == len(names)
    np.testing.assert_array_equal(features[0], features[2])


def test_features__of_a_group_that_is_not_seasonal_hide_the_time_of_year(home_history: History) -> None:
    seasonal = next(group for group in lead_groups(HOME) if group.name == "day_1h")
    plain = LeadGroup(seasonal.name, seasonal.leads, seasonal=False)
    origins = home_history.starts[[2_000]]
    with_season, without = (
        build_features(home_history, group, origins, np.zeros(1, np.int64)) for group in (seasonal, plain)
    )
    hidden = np.isfinite(with_season[0]) & np.isnan(without[0])
    names = np.array(feature_names(HOME, seasonal))[hidden]
    assert len(names) and all("day_of_year" in name or "year_ago" in name for name in names)


def test_burn_in__is_a_week_or_an_eighth() -> None:
    start = np.datetime64("2010-01-01", "m")
    assert burn_in_end(start, start + 365 * DAY) == start + 7 * DAY
    assert burn_in_end(start, start + 16 * DAY) == start + 2 * DAY


def test_thinned_sample__keeps_every_kth_pair(house_history: History) -> None:
    start, end = house_history.starts[0], house_history.end
    sample = sample_pairs(house_history, GROUPS["next_hour"], start, end, 101, 60, seed=0)
    thin = sample.thinned(50)
    assert len(thin.observed_kw) == 34  # every third
    np.testing.assert_array_equal(thin.inputs, sample.inputs[::3])
