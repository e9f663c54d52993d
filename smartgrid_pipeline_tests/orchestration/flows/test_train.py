"""What a candidate is audited on."""

import numpy as np
import pytest

from smartgrid_pipeline.orchestration.flows import train


@pytest.mark.parametrize("month", ["2010-02", "2010-04", "2010-10", "2012-02"])
def test_audit_origins__end_an_interval_of_every_meter_and_lie_in_the_month(month: str) -> None:
    """Between two readings no forecast is asked for; an audit there judged how models round time."""
    origins = train.audit_origins(month)
    assert (origins.astype("datetime64[m]").astype(int) % 60 == 0).all()
    assert (origins.astype("datetime64[M]") == np.datetime64(month)).all() and origins[0] < origins[1]
