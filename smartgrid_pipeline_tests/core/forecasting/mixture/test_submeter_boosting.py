"""LightGBM per sub-meter: sums, saved bits, cross-fitting."""

from pathlib import Path

import numpy as np
import pytest

from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.features.minute_series import MinuteSeries
from smartgrid_pipeline.core.features.windows import boosting_features
from smartgrid_pipeline.core.forecasting.forecaster import Split, TrainingBudget
from smartgrid_pipeline.core.forecasting.mixture import boosting_params, submeter_boosting
from smartgrid_pipeline.core.schema import LeadInterval

NEXT = LeadInterval(0, 60)


@pytest.fixture(scope="module")
def learned(house_history: History) -> tuple[MinuteSeries, Split, submeter_boosting.SubmeterBoosting]:
    past, split = MinuteSeries.of(house_history, 1.0), Split.before(house_history.end, house_history)
    budget = TrainingBudget(max_rows=3_000, max_trees=4)
    return (
        past,
        split,
        submeter_boosting.SubmeterBoosting.fit(past, split, tuple(boosting_params.LEAD_PARAMS), budget),
    )


def test_boost__a_mean_is_half_the_sum_of_its_circuits(
    learned: tuple[MinuteSeries, Split, submeter_boosting.SubmeterBoosting],
) -> None:
    past, split, found = learned
    rows = past.rows(np.array([split.train_end]))
    booster = found.boosters[NEXT]
    assert [len(models) for models in booster.circuits] == [boosting_params.FOLDS] * 4
    mine = boosting_features(past, rows)[:, booster.columns]
    parts = [np.mean([model.predict(mine)[0] for model in models]) for models in booster.circuits]
    whole = booster.whole[0].predict(np.array([[*mine[0], *parts, sum(parts)]]))[0]
    mean, quantiles = found.predict(past, rows, (NEXT,))
    assert np.isclose(mean[0, 0], (sum(parts) + whole) / 2, atol=1e-5)
    assert (np.diff(quantiles[0, 0]) >= 0).all()


def test_boost__is_read_back_to_the_same_bits_and_a_broken_file_is_refused(
    learned: tuple[MinuteSeries, Split, submeter_boosting.SubmeterBoosting], tmp_path: Path
) -> None:
    past, split, found = learned
    found.save(tmp_path)
    rows, leads = past.rows(np.array([split.train_end])), tuple(boosting_params.LEAD_PARAMS)
    again = submeter_boosting.SubmeterBoosting.load(tmp_path, found.facts())
    for one, other in zip(found.predict(past, rows, leads), again.predict(past, rows, leads), strict=True):
        np.testing.assert_array_equal(one, other)
    file = tmp_path / "boost_60min.txt.xz"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"boost_60min\.txt\.xz is broken"):
        submeter_boosting.SubmeterBoosting.load(tmp_path, found.facts())
    file.unlink()
    with pytest.raises(OSError, match="boost_60min"):
        submeter_boosting.SubmeterBoosting.load(tmp_path, found.facts())


def test_boost__the_whole_learns_from_forecasts_of_other_weeks(
    house_history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    past, split = MinuteSeries.of(house_history, 1.0), Split.before(house_history.end, house_history)
    folds = submeter_boosting._rows(
        past, split, NEXT, boosting_params.LEAD_PARAMS[NEXT], TrainingBudget(max_rows=3_000), 1
    )
    first, end = past.rows(np.array([split.start, split.train_end]))
    span = (end - past.steps(60) - first - (end - first) // 4) // 8
    stretches = [set((rows // span).tolist()) for rows in folds]
    assert len(stretches) == 2 and not stretches[0] & stretches[1]
    assert max(rows.max() for rows in folds) < end - past.steps(60)

    monkeypatch.setattr(submeter_boosting, "_ask", lambda model, seen: np.full(len(seen), model))
    found = submeter_boosting._out_of_fold([(1.0, 2.0), (3.0, 4.0)], np.zeros((5, 1), np.float32), [3, 2])
    assert found.tolist() == [[3, 4]] * 3 + [[1, 2]] * 2
