import numpy as np
import pytest

from smartgrid_pipeline.core.anomaly.ensemble import members

RNG = np.random.default_rng(0)
ROWS = RNG.normal(0, 1, (3000, 6)).astype(np.float32)
FAR = np.full((5, 6), 5.0, np.float32)


def test_isolation_forest__numpy_scores_equal_scikit_learn_s() -> None:
    from sklearn.ensemble import IsolationForest

    ours = members.fit_isolation_forest(ROWS, seed=3, trees=20, samples=256)
    theirs = IsolationForest(n_estimators=20, max_samples=256, random_state=3).fit(ROWS)
    np.testing.assert_allclose(
        members.score_isolation_forest(ours, ROWS), -theirs.score_samples(ROWS), rtol=1e-5
    )


def test_one_class_svm__numpy_scores_equal_scikit_learn_s() -> None:
    from sklearn.svm import OneClassSVM

    ours = members.fit_one_class_svm(ROWS, seed=3, nu=0.01)
    theirs = OneClassSVM(gamma=1 / 18, nu=0.01).fit(ROWS.astype(np.float64))
    np.testing.assert_allclose(
        members.score_one_class_svm(ours, ROWS), -theirs.decision_function(ROWS), atol=2e-4
    )


@pytest.mark.parametrize("member", members.MEMBERS)
def test_members__score_far_rows_above_ordinary_ones(member: str) -> None:
    few = {"isolation_forest": {"trees": 20}, "one_class_svm": {}, "autoencoder": {"steps": 60, "batch": 256}}
    fitted = members.FIT[member](ROWS, 0, **few[member])
    scores = members.scores({member: fitted}, np.concatenate([ROWS, FAR]))[member]
    assert scores[-5:].min() > np.quantile(scores[:-5], 0.99)


def test_scaler__is_bounded_and_maps_missing_to_the_median() -> None:
    scaler = members.RobustScaler.fit(ROWS.astype(float))
    scaled = scaler.transform(np.array([[1e12, -1e12, np.nan, np.inf, 0.0, 0.0]]))
    assert np.abs(scaled).max() <= 6.0
    assert scaled[0, 2] == 0.0
