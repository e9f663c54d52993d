"""Forests: their quantiles come from errors of trees that did not see the row."""

import numpy as np
import pytest
from sklearn.ensemble import RandomForestRegressor

from smartgrid_pipeline.core.forecasting.baselines.forests import (
    ExtraTrees,
    ForestModel,
    RandomForest,
    _out_of_bag,
    _packed,
)
from smartgrid_pipeline.core.forecasting.baselines.per_lead_group import TargetOffset
from smartgrid_pipeline.core.forecasting.baselines.samples import Sample
from smartgrid_pipeline.core.forecasting.forecaster import TrainingBudget
from smartgrid_pipeline.core.forecasting.leads import LEAD_GROUP_NAMES, lead_groups
from smartgrid_pipeline_tests.conftest import HOUSE

NO_OFFSET = TargetOffset(-1, 0.0)
GROUPS = {group.name: group for group in lead_groups(HOUSE)}


def _noise(rows: int, seed: int) -> Sample:
    """Inputs that say nothing of the target: a forest can only memorise it."""
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(rows, 4)).astype(np.float32)
    observed = rng.normal(5, 1, rows).astype(np.float32)
    return Sample(inputs, observed, np.ones(rows, np.float32), np.zeros(rows, int), 400.0)


def test_out_of_bag_errors__are_those_of_fresh_rows_not_of_memorised_ones() -> None:
    sample, fresh = _noise(1_500, 0), _noise(1_500, 1)
    forest = RandomForestRegressor(30, min_samples_leaf=1, random_state=0).fit(
        sample.inputs, sample.observed_kw
    )
    model = _packed(np.arange(4), NO_OFFSET, forest)
    mean, part = _out_of_bag(forest, model, sample)
    memorised, unseen = (np.std(model.mean(each.inputs) - each.observed_kw) for each in (sample, fresh))
    assert np.nanstd(mean - part.observed_kw) == pytest.approx(unseen, rel=0.05)
    assert memorised < 0.6 * unseen


@pytest.mark.parametrize("forecaster", [RandomForest, ExtraTrees])
@pytest.mark.parametrize("group", ["next_hour", "next_day"])
def test_quantiles__cover_fresh_rows_although_trees_memorise(forecaster: type, group: str) -> None:
    budget = TrainingBudget(max_trees=20)
    model = forecaster(budget)._fit_group(GROUPS[group], HOUSE, _noise(1_500, 0), _noise(200, 1), seed=0)
    fresh = _noise(3_000, 2)
    _, quantiles = model.predict(fresh.inputs, fresh.groups)
    inside = (fresh.observed_kw >= quantiles[:, 0]) & (fresh.observed_kw <= quantiles[:, 8])
    assert inside.mean() == pytest.approx(0.8, abs=0.06)


def test_columns__that_explain_the_target_are_selected() -> None:
    sample = _noise(2_000, 0)
    sample.observed_kw[:] = 3 * sample.inputs[:, 2]
    columns = RandomForest()._select_columns(RandomForest.params["next_hour"], NO_OFFSET, sample, seed=0)
    assert columns[0] == 2


def test_model__survives_its_arrays() -> None:
    sample = _noise(300, 0)
    model = RandomForest(TrainingBudget(max_trees=3))._fit_group(
        GROUPS["next_hour"], HOUSE, sample, sample, 0
    )
    again = ForestModel.from_arrays(model.to_arrays("x"), "x")
    for left, right in zip(
        model.predict(sample.inputs, sample.groups), again.predict(sample.inputs, sample.groups), strict=True
    ):
        np.testing.assert_array_equal(left, right)


def test_params__exist_for_every_lead_group() -> None:
    for model in (RandomForest, ExtraTrees):
        assert tuple(model.params) == tuple(model.rows) == LEAD_GROUP_NAMES
