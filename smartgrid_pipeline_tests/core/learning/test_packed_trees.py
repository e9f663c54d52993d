"""Packed trees answer as the forest they were packed from."""

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesRegressor, RandomForestRegressor

from smartgrid_pipeline.core.learning.packed_trees import PackedTrees


@pytest.mark.parametrize("estimator", [RandomForestRegressor, ExtraTreesRegressor])
def test_packed_trees__answer_as_the_forest_does(estimator: type) -> None:
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(600, 5)).astype(np.float32).round(1)  # ties with the cuts
    inputs[rng.random(inputs.shape) < 0.1] = np.nan
    target = np.nan_to_num(inputs[:, 0]) + (inputs[:, 1] > 0) + rng.normal(0, 0.1, 600)
    forest = estimator(7, min_samples_leaf=2, random_state=0).fit(inputs, target)
    packed = PackedTrees.from_sklearn([tree.tree_ for tree in forest.estimators_])
    fresh = rng.normal(size=(400, 5)).astype(np.float32).round(1)
    fresh[rng.random(fresh.shape) < 0.2] = np.nan
    np.testing.assert_allclose(packed.predict(fresh), forest.predict(fresh), rtol=1e-5, atol=1e-6)
    again = PackedTrees.from_arrays(packed.to_arrays("x"), "x")
    np.testing.assert_array_equal(packed.predict(fresh), again.predict(fresh))


def test_packed_trees__answer_a_row_alone_as_among_others() -> None:
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(300, 3)).astype(np.float32)
    forest = ExtraTreesRegressor(9, random_state=0).fit(inputs, inputs[:, 0])
    packed = PackedTrees.from_sklearn([tree.tree_ for tree in forest.estimators_])
    np.testing.assert_array_equal(
        packed.predict(inputs)[:3], [packed.predict(inputs[k : k + 1])[0] for k in range(3)]
    )
    assert packed.predict(inputs[:0]).shape == (0,)


def test_packed_trees__hold_any_number_in_their_leaves() -> None:
    inputs = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
    trees = [
        tree.tree_ for tree in RandomForestRegressor(4, random_state=0).fit(inputs, inputs[:, 0]).estimators_
    ]
    packed = PackedTrees.from_sklearn(trees, [np.arange(tree.node_count) for tree in trees])
    expected = np.stack([tree.apply(inputs) for tree in trees], 1)
    np.testing.assert_array_equal(packed.values(inputs), expected)
