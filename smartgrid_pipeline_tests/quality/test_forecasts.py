import numpy as np
import pandas as pd

from smartgrid_pipeline import quality
from smartgrid_pipeline.core.schema import (
    FORECAST_COLUMNS,
    QUANTILE_COLUMNS,
    Meter,
    tasks_for,
)
from smartgrid_pipeline_tests.conftest import HOME

MONTH = "2010-02"


def _forecasts(meter: Meter) -> pd.DataFrame:
    origins = pd.date_range("2010-02-01", periods=21, freq="1D")
    rows = [
        (card.name, origin, origin + pd.Timedelta(minutes=a), origin + pd.Timedelta(minutes=b), 0.5, 0.6)
        for card in tasks_for(meter.working_minutes)
        for origin in origins
        for a, b in ((lead.start_minutes, lead.end_minutes) for lead in card.leads)
    ]
    frame = pd.DataFrame(rows, columns=list(FORECAST_COLUMNS[:6]))
    for i, column in enumerate(QUANTILE_COLUMNS):
        frame[column] = 0.1 * (i + 1)
    return frame


def test_forecasts__good_ones_pass_and_impossible_ones_fail() -> None:
    frame = _forecasts(HOME)
    good = quality.audit_forecasts(frame, HOME, "ridge 2010-02")
    assert good.passed, good.summary()
    first = QUANTILE_COLUMNS[0]
    spoilt = {
        "quantiles are ordered": frame.assign(**{first: 0.95}),
        "quantiles have width": frame.assign(**dict.fromkeys(QUANTILE_COLUMNS, 0.5)),
        "mean_kw is known": frame.assign(mean_kw=np.nan),
        f"{first} is within bounds": frame.assign(**{first: -1.0}),
        "mean_kw is within bounds": frame.assign(mean_kw=1e6),
        "forecasts come once": pd.concat([frame, frame.iloc[:1]]),
        "T4 is forecast and scored": frame[frame["card"] != "T4"],
        "T5 is forecast and scored": frame.assign(observed_kw=np.nan),
        "columns are present": frame.drop(columns="origin"),
        "rows are present": frame.iloc[:0],
    }
    for rule, table in spoilt.items():
        verdict = quality.audit_forecasts(table, HOME, "ridge 2010-02")
        assert not verdict.passed
        assert rule in [finding.rule for finding in verdict.failures], (rule, verdict.summary())
