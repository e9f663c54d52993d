"""A mixture that is updated or settled again: a new model, the same bits each time, the old one as it was."""

from itertools import pairwise

import numpy as np
import pytest

from smartgrid_pipeline.core.evaluation.scoring.backtest import forecast_tasks
from smartgrid_pipeline.core.evaluation.scoring.comparison import paired
from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.forecasting.forecaster import Forecast, Split, TrainingBudget
from smartgrid_pipeline.core.forecasting.mixture.mixture import MixtureOfExperts
from smartgrid_pipeline.core.schema import LeadInterval
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


def _ask(mixture: MixtureOfExperts, house: History) -> Forecast:
    return mixture.predict(house, house.origins(house.end - 2 * DAY, house.end, 720), LEADS)


@pytest.mark.parametrize("how", ["updated", "recalibrated"])
def test_newer_mixture__is_another_one_and_leaves_the_old(
    how: str, mixture: MixtureOfExperts, house: History
) -> None:
    before, split = _ask(mixture, house), Split.before(house.end - DAY, house)
    newer = [_ask(getattr(mixture, how)(house, split), house) for _ in range(2)]
    np.testing.assert_array_equal(newer[0].quantiles_kw, newer[1].quantiles_kw)
    assert not np.array_equal(newer[0].quantiles_kw, before.quantiles_kw)
    np.testing.assert_array_equal(_ask(mixture, house).quantiles_kw, before.quantiles_kw)


def test_recalibration__hears_what_is_new_and_keeps_what_was_heard(
    mixture: MixtureOfExperts, house: History
) -> None:
    heard = [mixture]
    for end in (house.end - 3 * DAY, house.end - DAY):
        heard.append(heard[-1].recalibrated(house, Split.before(end, house)))
    targets = [each._heard.target for each in heard if each._heard is not None]
    assert len(targets[0]) < len(targets[1]) < len(targets[2])
    for earlier, later in pairwise(targets):
        np.testing.assert_array_equal(later[: len(earlier)], earlier)


def test_updated_mixture__forecasts_no_worse_than_one_fitted_afresh(house: History) -> None:
    """On four days after the update; benchmarks/training tells it on eight weeks of the real house."""
    first, second = house.end - 8 * DAY, house.end - 4 * DAY
    budget, past = TrainingBudget(max_steps=10, max_rows=600, max_trees=4), house.until(second)
    mixtures = [MixtureOfExperts(budget) for _ in range(2)]
    for mixture, end in zip(mixtures, (first, second), strict=True):
        mixture.fit(house.until(end), Split.before(end, house.until(end)))
    updated = mixtures[0].updated(past, Split.before(second, past))
    frames = [forecast_tasks(model, house, second, house.end) for model in (updated, mixtures[1])]
    for card in ("T1", "T2", "T3", "T4"):
        assert paired(frames[0], frames[1], card).mean_difference_percent < 5, card
