"""Two months of readings of a fine and of a coarse meter."""

import pandas as pd
import pytest

from smartgrid_pipeline_tests.conftest import HOME, HOUSE, make_readings


@pytest.fixture(scope="module")
def recorded() -> dict[str, pd.DataFrame]:
    """January and February 2010 of the fine house and of the half-hourly home."""
    return {meter.meter_id: make_readings(59, "2010-01-01", meter) for meter in (HOUSE, HOME)}
