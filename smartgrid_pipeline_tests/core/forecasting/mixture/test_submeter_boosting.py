"""Sub-meter boosting: stage 2 learns from out-of-fold predictions, and is stored to the same bits."""

from pathlib import Path

import numpy as np
import pytest

from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.features.minute_series import MinuteSeries
from smartgrid_pipeline.core.forecasting.forecaster import Split, TrainingBudget
from smartgrid_pipeline.core.forecasting.mixture import submeter_boosting
from smartgrid_pipeline.core.forecasting.mixture.boosting_params import FOLDS, LEAD_PARAMS
from smartgrid_pipeline.core.forecasting.mixture.submeter_boosting import SubmeterBoosting
from smartgrid_pipeline.core.schema import LeadInterval, ModelError

NEXT, HOUR = LEADS = tuple(LEAD_PARAMS)
BUDGET = TrainingBudget(max_rows=3_000, max_trees=4)


@pytest.fixture(scope="module")
def split(house_history: History) -> Split:
    return Split.before(house_history.end, house_history)


@pytest.fixture(scope="module")
def boosting(house_history: History, split: Split) -> SubmeterBoosting:
    return SubmeterBoosting.fit(house_history, split, LEADS, 1.0, BUDGET)


def test_boosting__covers_the_next_five_minutes_and_the_next_hour_only(boosting: SubmeterBoosting) -> None:
    assert boosting.covers(NEXT) and boosting.covers(HOUR)
    assert not boosting.covers(LeadInterval(5, 10)) and not boosting.covers(LeadInterval(60, 120))


def test_mean__is_half_the_sum_of_the_submeters_and_half_the_total(
    boosting: SubmeterBoosting, house_history: History, split: Split
) -> None:
    series = MinuteSeries.of(house_history, 1.0)
    rows = series.rows(np.array([split.train_end]))
    models = boosting.models[HOUR]
    assert [len(fold) for fold in models.submeters] == [FOLDS] * 4
    chosen = submeter_boosting.boosting_features(series, rows)[:, models.columns]
    parts = [np.mean([model.predict(chosen)[0] for model in fold]) for fold in models.submeters]
    total = models.total[0].predict(np.array([[*chosen[0], *parts, sum(parts)]]))[0]
    mean, knots = boosting.predict_knots(series, rows, (HOUR,))
    assert np.isclose(mean[0, 0], (sum(parts) + total) / 2, atol=1e-5)
    assert (np.diff(knots[0, 0]) >= 0).all()


def test_quantiles__pass_through_the_knots_in_the_shape_of_the_experts() -> None:
    experts = np.array([[1.0, 1.1, 1.2, 1.4, 2.0, 2.2, 2.4, 2.8, 4.0]], np.float32)
    found = submeter_boosting.rescale_to_knots(experts, np.array([[0.5, 1.0, 3.0]], np.float32))[0]
    np.testing.assert_allclose(found[[0, 4, 8]], [0.5, 1.0, 3.0], atol=1e-6)
    np.testing.assert_allclose(np.diff(found[4:]), np.diff(experts[0, 4:]), atol=1e-5)
    np.testing.assert_allclose(np.diff(found[:5]), np.diff(experts[0, :5]) / 2, atol=1e-5)


def test_boosting__is_read_back_to_the_same_bits_and_refused_when_broken(
    boosting: SubmeterBoosting, house_history: History, split: Split, tmp_path: Path
) -> None:
    boosting.save(tmp_path)
    origins, shape = np.array([split.train_end]), np.ones((1, 2, 9), np.float32)
    again = SubmeterBoosting.load(tmp_path)
    found = (each.predict(house_history, origins, LEADS, shape) for each in (boosting, again))
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)
    file = tmp_path / "model.npz"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ModelError, match="Train it again"):
        SubmeterBoosting.load(tmp_path)


def test_folds__share_no_week_and_end_before_the_holdout(house_history: History, split: Split) -> None:
    series = MinuteSeries.of(house_history, 1.0)
    folds = submeter_boosting._draw_rows(series, split, HOUR, LEAD_PARAMS[HOUR], BUDGET, 1)
    first, end = series.rows(np.array([split.start, split.train_end]))
    span = (end - series.steps(60) - first - (end - first) // 4) // 8
    stretches = [set((rows // span).tolist()) for rows in folds]
    assert len(stretches) == 2 and not stretches[0] & stretches[1]
    assert max(rows.max() for rows in folds) < end - series.steps(60)


def test_stage_2__learns_from_no_in_sample_prediction(
    house_history: History, split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that stage 2 learns from are predicted by models that never learned from their fold."""
    learned: list[set[bytes]] = []
    asked: list[tuple[int, set[bytes]]] = []

    def keys(features: np.ndarray) -> set[bytes]:
        return {row.tobytes() for row in np.ascontiguousarray(features)}

    class Fitted:
        def __init__(self, features: np.ndarray) -> None:
            self.data = features
            learned.append(keys(features))

    original = submeter_boosting._predict_out_of_fold
    monkeypatch.setattr(submeter_boosting.BinnedTable, "of", lambda features, budget: Fitted(features))
    monkeypatch.setattr(submeter_boosting, "_select_columns", lambda *_: np.arange(20))
    monkeypatch.setattr(
        submeter_boosting,
        "fit_submeters",
        lambda table, target, params: (len(learned) - 1,) * target.shape[1],
    )

    def predict(model: int, features: np.ndarray) -> np.ndarray:
        asked.append((model, keys(features)))
        return np.zeros(len(features), np.float32)

    def stop(fitted: list, features: np.ndarray, counts: list[int]) -> np.ndarray:
        original(fitted, features, counts)
        raise StopIteration

    monkeypatch.setattr(submeter_boosting, "_predict", predict)
    monkeypatch.setattr(submeter_boosting, "_predict_out_of_fold", stop)
    with pytest.raises(StopIteration):
        SubmeterBoosting.fit(house_history, split, (HOUR,), 1.0, BUDGET)
    assert len(learned) == FOLDS and len(asked) == FOLDS * 4
    for model, rows in asked:
        assert rows and not rows & learned[model]
