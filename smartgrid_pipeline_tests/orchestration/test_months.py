"""The months of rows are read from the time that a frame has."""

import numpy as np
import pandas as pd
import pytest

from smartgrid_pipeline.orchestration.months import bounds, in_months, months_of

TIMES = pd.to_datetime(["2010-01-31 23:30", "2010-02-01 00:00", "2010-03-05 12:00"])


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"x": 0}, index=TIMES),
        pd.DataFrame({"start": TIMES}),
        pd.DataFrame({"origin": TIMES}),
        pd.DataFrame({"month": ["2010-01", "2010-02", "2010-03"]}),
    ],
    ids=["index", "start", "origin", "month"],
)
def test_months_of__reads_the_time_that_the_frame_has(frame: pd.DataFrame) -> None:
    assert months_of(frame).tolist() == np.array(["2010-01", "2010-02", "2010-03"], "datetime64[M]").tolist()
    assert in_months(frame, ["2010-02", "2010-03"]).tolist() == [False, True, True]


def test_bounds__of_a_december_end_in_the_next_year() -> None:
    assert bounds("2010-12") == (pd.Timestamp("2010-12-01"), pd.Timestamp("2011-01-01"))
