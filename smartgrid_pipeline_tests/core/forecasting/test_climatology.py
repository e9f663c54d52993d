"""Climatology: by the hour of the target, from the split only, and refused where nothing was observed."""

import numpy as np
import pytest

from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.forecasting.climatology import DAY_ROW, HOURS, Climatology
from smartgrid_pipeline.core.forecasting.forecaster import Split
from smartgrid_pipeline.core.schema import QUANTILES, DataError, LeadInterval
from smartgrid_pipeline_tests.core.forecasting.spoiling import spoiled, unobserved

ORIGIN = np.array(["2010-02-01T18:00"], "datetime64[m]")
HOUR = LeadInterval(0, 60)


def _fit(history: History) -> Climatology:
    return Climatology.fit(history, Split.before(history.end, history))


def test_climatology__has_mean_and_quantiles_of_each_clock_hour(house_history: History) -> None:
    origins = house_history.origins(house_history.starts[0], house_history.end, 60)
    observed = house_history.targets(origins, (HOUR,))[:, 0]
    evening = observed[(origins - origins.astype("datetime64[D]")).astype(int) == 18 * 60]
    evening = evening[np.isfinite(evening)]
    expected = [evening.mean(), *np.quantile(evening, QUANTILES)]
    np.testing.assert_allclose(_fit(house_history).kw[18], expected, rtol=1e-5)


def test_climatology__uses_the_hour_of_the_target(house_history: History) -> None:
    climatology = _fit(house_history)
    leads = (HOUR, LeadInterval(540, 600), LeadInterval(0, 1440))
    evening, night, day = climatology.predict(ORIGIN, leads)[0]
    np.testing.assert_array_equal(evening, climatology.kw[18])
    np.testing.assert_array_equal(night, climatology.kw[3])
    np.testing.assert_array_equal(day, climatology.kw[DAY_ROW])
    assert evening[0] > night[0]


def test_climatology__ignores_what_comes_after_the_split(house_history: History) -> None:
    before = house_history.end - np.timedelta64(5 * 1440, "m")
    split = Split.before(before, house_history)
    other = Climatology.fit(spoiled(house_history, before, "huge"), split)
    np.testing.assert_array_equal(Climatology.fit(house_history, split).kw, other.kw)


def test_climatology__of_an_hour_never_observed_is_that_of_all_hours(home_history: History) -> None:
    gap = home_history
    for day in np.arange(home_history.starts[0], home_history.end, np.timedelta64(1440, "m")):
        night = day.astype("datetime64[D]").astype("datetime64[m]") + np.timedelta64(120, "m")
        gap = unobserved(gap, night, night + np.timedelta64(60, "m"))
    kw = _fit(gap).kw
    assert np.isfinite(kw).all()
    others = np.delete(kw[:HOURS, 0], 2)
    assert kw[2, 0] == pytest.approx(others.mean(), rel=0.02)


def test_climatology__of_nothing_observed_is_refused(home_history: History) -> None:
    nothing = unobserved(home_history, home_history.starts[0], home_history.end)
    with pytest.raises(DataError, match="No whole hour was observed"):
        _fit(nothing)
