import numpy as np
import pandas as pd

from smartgrid_pipeline import quality
from smartgrid_pipeline.core.schema import (
    ACTIVE_POWER,
)
from smartgrid_pipeline_tests.conftest import HOUSE, make_table

MONTH = "2010-02"


def test_features__of_a_good_month_pass_and_of_a_spoilt_one_fail(recorded: dict[str, pd.DataFrame]) -> None:
    table = make_table(recorded[HOUSE.meter_id], HOUSE).loc[MONTH]
    good = quality.audit_feature_months({MONTH: table}, HOUSE)[0]
    assert good.passed, good.summary()
    spoilt = {
        "lags are earlier rows": table.assign(power_lag_5min_kw=table[ACTIVE_POWER]),
        "features are finite": table.assign(power_factor=np.float32(np.inf)),
        "calendar features are those of their interval": table.assign(hour_sin=np.float32(0)),
        "columns are present": table.drop(columns="hour_cos"),
        "rows are present": table.iloc[:0],
        "intervals are regular and of the month": table.drop(index=table.index[5]),
        "observed_share is within bounds": table.assign(observed_share=np.float32(2)),
        "active_power_kw is known": table.assign(active_power_kw=np.float32(np.nan)),
    }
    for rule, frame in spoilt.items():
        verdict = quality.audit_feature_months({MONTH: frame}, HOUSE)[0]
        assert not verdict.passed
        assert rule in [finding.rule for finding in verdict.failures], verdict.summary()
