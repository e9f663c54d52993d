"""A recalibrated mixture: a new model, the same bits each time, the old one as it was."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.forecasting.forecaster import Forecast, Split, TrainingBudget
from smartgrid_pipeline.core.forecasting.leads import is_short
from smartgrid_pipeline.core.forecasting.mixture.mixture import MixtureOfExperts
from smartgrid_pipeline.core.schema import ALL_LEADS, LeadInterval, ModelError
from smartgrid_pipeline_tests.conftest import make_history

LEADS = (LeadInterval(0, 5), LeadInterval(0, 60), LeadInterval(1380, 1440), LeadInterval(0, 1440))
DAY = np.timedelta64(1440, "m")


@pytest.fixture(scope="module")
def house() -> History:
    return make_history(30)


@pytest.fixture(scope="module")
def mixture(house: History) -> MixtureOfExperts:
    made = MixtureOfExperts(TrainingBudget(max_steps=2, max_rows=200, max_trees=2))
    made.fit(house, Split.before(house.end - 4 * DAY, house))
    return made


def _predict(mixture: MixtureOfExperts, house: History) -> Forecast:
    return mixture.predict(house, house.origins(house.end - 2 * DAY, house.end, 720), LEADS)


def test_recalibration__gives_another_mixture_and_leaves_the_old(
    mixture: MixtureOfExperts, house: History
) -> None:
    before, split = _predict(mixture, house), Split.before(house.end - DAY, house)
    newer = [_predict(mixture.recalibrated(house, split), house) for _ in range(2)]
    np.testing.assert_array_equal(newer[0].quantiles_kw, newer[1].quantiles_kw)
    assert not np.array_equal(newer[0].quantiles_kw, before.quantiles_kw)
    np.testing.assert_array_equal(_predict(mixture, house).quantiles_kw, before.quantiles_kw)


def test_recalibration__adds_the_newest_days_to_the_holdout(
    mixture: MixtureOfExperts, house: History
) -> None:
    mixtures = [mixture]
    for end in (house.end - 3 * DAY, house.end - DAY):
        mixtures.append(mixtures[-1].recalibrated(house, Split.before(end, house)))
    targets = [each._holdout.target for each in mixtures if each._holdout is not None]
    assert len(targets[0]) < len(targets[1]) < len(targets[2])
    for earlier, later in pairwise(targets):
        np.testing.assert_array_equal(later[: len(earlier)], earlier)


def test_mixture__is_read_back_to_the_same_bits_and_can_still_be_recalibrated(
    mixture: MixtureOfExperts, house: History, tmp_path: Path
) -> None:
    mixture.save(tmp_path)
    again = MixtureOfExperts.load(tmp_path)
    before = _predict(mixture, house).quantiles_kw
    np.testing.assert_array_equal(_predict(again, house).quantiles_kw, before)
    newer = _predict(again.recalibrated(house, Split.before(house.end - DAY, house)), house).quantiles_kw
    assert np.isfinite(newer).all() and not np.array_equal(newer, before)


def test_mixture_of_an_older_format__is_refused_with_what_to_do(
    mixture: MixtureOfExperts, tmp_path: Path
) -> None:
    mixture.save(tmp_path)
    facts = json.loads((tmp_path / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps({**facts, "format": 0}))
    with pytest.raises(ModelError, match=r"format 0, this version reads .*Train it again"):
        MixtureOfExperts.load(tmp_path)
    (tmp_path / "model.json").rename(tmp_path / "mixture.json")
    with pytest.raises(ModelError, match="Train it again"):
        MixtureOfExperts.load(tmp_path)


def test_base_learners__are_two_for_long_leads_and_one_at_most_for_short_ones(
    mixture: MixtureOfExperts,
) -> None:
    covering = {lead: sum(learner.covers(lead) for learner in mixture._learners) for lead in ALL_LEADS}
    assert covering[LeadInterval(0, 5)] == 1
    assert all(count <= 1 if is_short(lead) else count == 2 for lead, count in covering.items())
