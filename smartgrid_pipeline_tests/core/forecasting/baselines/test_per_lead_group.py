"""One regression per lead group: when past days take part, what it corrects, its residual quantiles."""

import numpy as np
import pytest

from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.forecasting.baselines.naive import past_days_forecast
from smartgrid_pipeline.core.forecasting.baselines.per_lead_group import (
    LEAST_REGRESSION_WEIGHT,
    PAST_DAYS,
    SEASON_DAYS,
    TargetOffset,
    residual_quantiles,
)
from smartgrid_pipeline.core.forecasting.baselines.ridge import Ridge
from smartgrid_pipeline.core.forecasting.baselines.samples import Sample, feature_names
from smartgrid_pipeline.core.forecasting.forecaster import TINY, Split
from smartgrid_pipeline.core.forecasting.leads import lead_groups
from smartgrid_pipeline.core.schema import QUANTILES, LeadInterval, ModelError
from smartgrid_pipeline_tests.conftest import HOME, HOUSE

GROUPS = {group.name: group for group in lead_groups(HOUSE)}


@pytest.fixture(scope="module")
def ridge(house_history: History) -> Ridge:
    model = Ridge(TINY)
    model.fit(house_history, Split.before(house_history.end, house_history))
    return model


def test_models_of_other_inputs__are_refused(house_history: History) -> None:
    model, split = Ridge(TINY), Split.before(house_history.end, house_history)
    model.fit(house_history, split)
    model._fitted_on = model._fitted_on | {"inputs": "of before"}
    with pytest.raises(ModelError, match="another version of this software: its inputs were of before"):
        model.predict(house_history, np.array([house_history.end]), (LeadInterval(0, 60),))


def test_weight_of_the_regression__grows_with_the_window(ridge: Ridge) -> None:
    weights = []
    for days in (10, 0.75 * SEASON_DAYS, 2 * SEASON_DAYS):
        ridge._days, before = days, ridge._days
        weights.append(ridge._regression_weight(GROUPS["day_1h"]))
        assert ridge._regression_weight(GROUPS["next_5min"]) == 1
        ridge._days = before
    assert weights == [LEAST_REGRESSION_WEIGHT, 0.75, 1]


def test_short_window__averages_long_leads_with_the_past_days(ridge: Ridge, house_history: History) -> None:
    origins, leads = house_history.starts[[-2_000]], (LeadInterval(1380, 1440),)
    columns, group = np.array([GROUPS["day_1h"].leads.index(leads[0])]), GROUPS["day_1h"]
    regression = ridge._predict_group(house_history, group, origins, columns)[0]
    days = past_days_forecast(house_history, origins, leads, PAST_DAYS)[0]
    found = ridge.predict(house_history, origins, leads).mean_kw
    np.testing.assert_allclose(found, np.maximum((regression + days) / 2, 0), rtol=1e-6)


def test_group_without_a_model__is_forecast_by_the_past_days(house_history: History) -> None:
    model = Ridge(TINY)
    model.fit(house_history, Split.before(house_history.end, house_history))
    del model._models["day_1h"]
    origins, leads = house_history.starts[[-2_000]], (LeadInterval(1380, 1440),)
    days = past_days_forecast(house_history, origins, leads, PAST_DAYS)[0]
    np.testing.assert_allclose(model.predict(house_history, origins, leads).mean_kw, days, rtol=1e-6)


@pytest.mark.parametrize(
    ("meter", "column"), [(HOUSE, "active_power_kw_reading_0"), (HOME, "active_power_kw")]
)
def test_offset__is_the_latest_reading_for_the_next_minutes_only(meter, column) -> None:  # noqa: ANN001
    group = GROUPS["next_5min"]
    names = feature_names(meter, group)
    sample = Sample(np.zeros((2, len(names)), "f4"), np.array([1, 3], "f4"), *(np.zeros(2),) * 2, 1.0)  # type: ignore[arg-type]
    offset = TargetOffset.for_group(group, meter, sample)
    assert names[offset.column] == column
    inputs = np.zeros((2, len(names)), np.float32)
    inputs[:, offset.column] = 0.7, np.nan
    np.testing.assert_allclose(offset(inputs), [0.7, 2.0])
    again = TargetOffset.from_arrays(offset.to_arrays("x"), "x")
    np.testing.assert_array_equal(again(inputs), offset(inputs))
    assert (TargetOffset.for_group(GROUPS["next_hour"], meter, sample)(inputs) == 0).all()


def test_residual_quantiles__are_those_of_all_given_errors() -> None:
    rng = np.random.default_rng(0)
    parts = []
    for shift in (-1.0, 1.0):
        observed = (2 + shift + rng.uniform(-1, 1, 5_000)).astype(np.float32)
        sample = Sample(np.zeros((5_000, 0), "f4"), observed, np.ones(5_000, "f4"), np.zeros(5_000, int), 1.0)
        parts.append((rng.uniform(1.9, 2.1, 5_000).astype(np.float32), sample))
    quantiles = residual_quantiles(GROUPS["day_1h"], parts).apply(np.array([2.0], "f4"), np.array([0]))[0]
    pooled = np.concatenate([sample.observed_kw for _, sample in parts])
    np.testing.assert_allclose(quantiles, np.quantile(pooled, QUANTILES), atol=0.25)
