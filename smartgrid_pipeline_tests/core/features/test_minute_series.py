"""Minute series: no row depends on later ones, and a recent part holds all that a window reaches back to."""

import numpy as np
import pytest

from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.features.minute_series import MinuteSeries
from smartgrid_pipeline.core.features.windows import (
    LeadTable,
    lead_features,
    padded_same_time_lags,
    recent_features,
)
from smartgrid_pipeline.core.forecasting.leads import is_short
from smartgrid_pipeline.core.schema import leads_for
from smartgrid_pipeline_tests.conftest import HOME, make_history
from smartgrid_pipeline_tests.core.forecasting.spoiling import SPOILS, spoiled

ORIGIN = np.datetime64("2010-01-24T18:35")


@pytest.mark.parametrize("how", SPOILS)
def test_series__rows_depend_on_earlier_rows_only(how: str, house_history: History) -> None:
    honest = MinuteSeries.of(house_history, 1.0)
    row = int(honest.rows(np.array([ORIGIN]))[0])
    other = MinuteSeries.of(spoiled(house_history, ORIGIN, how), 1.0)
    for name in ("power_kw", "observed", "channels", "state", "supply"):
        np.testing.assert_array_equal(getattr(honest, name)[:row], getattr(other, name)[:row])


def test_series__reaches_back_as_far_as_any_window() -> None:
    history = make_history(520, HOME)
    origins = history.starts[-3:]
    whole, recent = MinuteSeries.of(history, 1.0), MinuteSeries.reaching(history, origins, 1.0)
    assert len(recent.power_kw) < len(whole.power_kw)
    leads = tuple(lead for lead in leads_for(30) if not is_short(lead))
    features = []
    for series in (whole, recent):
        rows, table = series.rows(origins), LeadTable.of(leads, series.step_minutes)
        chosen = np.tile(np.arange(len(leads)), (3, 1))
        features.append([recent_features(series, rows), *lead_features(series, rows, table, chosen),
                         padded_same_time_lags(series, rows, table, chosen, 28)])  # fmt: skip
    for left, right in zip(*features, strict=True):
        np.testing.assert_allclose(left, right, atol=1e-5)
