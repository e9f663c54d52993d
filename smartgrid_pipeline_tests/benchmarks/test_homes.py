"""The acceptance of homes, on as little of it as a test affords; skipped where the homes are not at hand."""

import numpy as np
import pytest

from benchmarks.homes.protocol import ANALOGUE, OURS, last_hours, quarter, score_cold_start, score_models
from benchmarks.shared.half_hourly import half_hourly_file, with_a_year
from smartgrid_pipeline_tests.conftest import HOME, make_history

FILE = half_hourly_file()


def test_last_hours__are_no_more_than_asked_for() -> None:
    history = make_history(9, HOME)
    origin = history.end - np.timedelta64(1440, "m")
    assert len(last_hours(history, origin, 24).starts) == 48
    assert last_hours(history, origin, 24).end == origin
    assert np.isnan(last_hours(history, origin, 0).power_kw).all()


@pytest.mark.parametrize(("hours", "tier"), [(0, "typical_home"), (24, "past_days")])
def test_cold_start__names_the_tier_that_forecast(hours: int, tier: str) -> None:
    history = make_history(40, HOME)
    found = score_cold_start(history, history.end - np.timedelta64(9 * 1440, "m"), hours)
    assert found["tier"] == tier
    assert found["crps_kw"] > 0


@pytest.mark.slow
@pytest.mark.skipif(FILE is None, reason="the development homes are not on this machine")
def test_homes__of_development_beat_the_analogue() -> None:
    assert FILE is not None
    for meter_id, history in with_a_year(FILE, 2, skip=12).items():
        scores = score_models(history, quarter(history, "last_91_days"), (ANALOGUE, OURS))
        assert scores[OURS]["crps_kw"] < scores[ANALOGUE]["crps_kw"], meter_id
