"""What users of such systems lost time with; the numbers are the rows of the list of complaints."""

import numpy as np
import pandas as pd
import pytest

from smartgrid_pipeline.core.anomaly.detector import AnomalyDetector
from smartgrid_pipeline.core.schema import ACTIVE_POWER
from smartgrid_pipeline_tests.conftest import HOME, make_readings
from smartgrid_pipeline_tests.core.anomaly.conftest import FITTED_UNTIL

Fitted = tuple[AnomalyDetector, pd.DataFrame]


@pytest.mark.parametrize("level_kw", [0.003, 0.4])
def test_row_1__a_noisy_flatline_is_found_near_zero_and_above(home: Fitted, level_kw: float) -> None:
    detector, readings = home
    broken = readings.copy()
    flat = slice("2010-02-22 06:00", "2010-02-23 18:00")
    rng = np.random.default_rng(0)
    rows = len(broken.loc[flat])
    broken.loc[flat, ACTIVE_POWER] = level_kw + 0.002 * rng.integers(0, 2, rows)
    events = detector.detect(broken, since=FITTED_UNTIL.to_datetime64()).events
    inside = events[(events["start"] < "2010-02-23 18:00") & (events["end"] > "2010-02-22 06:00")]
    assert set(",".join(inside["kinds"]).split(",")) & {"no_power", "flat"}


def test_contaminated__faults_are_found_in_the_readings_of_the_fit() -> None:
    readings = make_readings(70, meter=HOME, seed=8)
    readings.loc["2010-01-25":"2010-01-26", ACTIVE_POWER] = 0.4
    readings.loc["2010-02-20 10:00", ACTIVE_POWER] *= -1
    readings.loc["2010-03-01":"2010-03-03", ACTIVE_POWER] *= 0.1
    detector = AnomalyDetector(1.0)
    detector.fit(readings, HOME, np.datetime64("2010-02-08", "m"), contaminated=True)
    events = detector.detect(readings).events
    for day in ("2010-01-25 18:00", "2010-02-20 10:00", "2010-03-02"):
        at = pd.Timestamp(day)
        assert ((events["start"] <= at) & (events["end"] > at)).any(), day
    assert len(events) <= 14
