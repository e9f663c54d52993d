"""The monthly policy: keep what is fresh, recalibrate each month, refit when due or when anything changed."""

from dataclasses import dataclass

import numpy as np
import pytest

from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.forecasting.forecaster import Split
from smartgrid_pipeline.core.forecasting.monthly_policy import ONE_FIT, MonthlyAction, MonthlyPolicy
from smartgrid_pipeline.core.schema import ModelError

FITTED = np.datetime64("2010-01-29T00:00", "m")


def month(name: str) -> np.datetime64:
    return np.datetime64(name, "M").astype("datetime64[m]")


@pytest.mark.parametrize(
    ("begin", "changed", "action"),
    [
        ("2010-01", False, MonthlyAction.KEEP),
        ("2010-02", False, MonthlyAction.RECALIBRATE),
        ("2010-12", False, MonthlyAction.RECALIBRATE),
        ("2011-01", False, MonthlyAction.REFIT),
        ("2010-02", True, MonthlyAction.REFIT),
    ],
)
def test_action__depends_on_the_age_of_the_fit_and_on_what_changed(
    begin: str, changed: bool, action: MonthlyAction
) -> None:
    assert MonthlyPolicy(refit_months=12).action(FITTED, month(begin), changed) is action


def test_action__is_a_fit_before_the_first_one_and_with_one_fit_never_again() -> None:
    assert ONE_FIT.action(None, month("2010-02")) is MonthlyAction.REFIT
    assert ONE_FIT.action(FITTED, month("2020-02")) is MonthlyAction.RECALIBRATE


@dataclass(frozen=True)
class Corrected:
    """A forecaster that keeps the split it was recalibrated on, and the end of what it was given."""

    split: Split | None = None
    end: np.datetime64 | None = None

    def recalibrated(self, history: History, split: Split) -> "Corrected":
        return Corrected(split, history.end)


def test_apply__recalibrates_on_the_past_only(home_history: History) -> None:
    begin = month("2010-03")
    found = ONE_FIT.apply(Corrected(), home_history, FITTED, begin)
    assert found.split is not None and found.split.end == begin == found.end
    assert ONE_FIT.apply(found, home_history, begin, begin) is found


def test_apply__leaves_a_forecaster_alone_that_cannot_be_recalibrated(home_history: History) -> None:
    model = object()
    assert ONE_FIT.apply(model, home_history, FITTED, month("2010-03")) is model


def test_apply__fits_on_the_past_when_a_refit_is_due(home_history: History) -> None:
    begin, policy = month("2010-03"), MonthlyPolicy(refit_months=1)
    found = policy.apply(
        Corrected(), home_history, FITTED, begin, lambda past, split: Corrected(split, past.end)
    )
    assert found.end == begin and found.split is not None and found.split.start == home_history.starts[0]
    with pytest.raises(ModelError, match="fitted again"):
        policy.apply(Corrected(), home_history, FITTED, begin)
