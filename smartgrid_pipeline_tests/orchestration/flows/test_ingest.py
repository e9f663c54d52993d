"""From recorded rows to validated readings, defects and features, without Dagster."""

import numpy as np
import pandas as pd
import pytest

from smartgrid_pipeline.core.features.feature_table import names
from smartgrid_pipeline.core.schema import ACTIVE_POWER, DataError
from smartgrid_pipeline.orchestration.flows import ingest
from smartgrid_pipeline.orchestration.months import bounds
from smartgrid_pipeline_tests.conftest import HOME, make_readings

MONTHS = ["2010-01", "2010-02"]
RECORDED = make_readings(59, "2010-01-01", HOME)
LAST = pd.Timestamp("2010-03-05")


def test_select_months__keeps_their_rows_and_names_the_span_of_the_source() -> None:
    rows = ingest.select_months(RECORDED, ["2010-02"], "ends there")
    assert rows.index[0] == bounds("2010-02")[0] and len(rows) == 28 * 48
    with pytest.raises(DataError, match=r"no readings in 2011-01 … 2011-02: it ends there"):
        ingest.select_months(RECORDED, ["2011-01", "2011-02"], "ends there")


def test_validate__masks_defects_and_gives_each_month_a_verdict() -> None:
    recorded = RECORDED.copy()
    gap = slice(1_000, 1_010)
    recorded.iloc[gap] = np.nan
    clean, verdicts = ingest.validate(recorded, HOME, MONTHS, LAST)
    assert [(v.subject, v.passed) for v in verdicts] == [("2010-01", True), ("2010-02", True)]
    assert clean[ACTIVE_POWER].iloc[gap].isna().all() and (clean[ingest.DEFECT].iloc[gap] == "gap").all()
    found = ingest.defects_of(clean, HOME)
    assert found["minutes"].tolist() == [300] and found["kind"].tolist() == ["gap"]


def test_validate__demands_all_rows_of_a_month_that_has_ended() -> None:
    recorded = RECORDED.iloc[: 40 * 48]
    (running,) = ingest.validate(recorded, HOME, ["2010-02"], recorded.index[-1])[1]
    (ended,) = ingest.validate(recorded, HOME, ["2010-02"], LAST)[1]
    assert running.passed and not ended.passed


def test_features__are_built_for_the_months_asked_and_audited_for_leakage() -> None:
    clean, _ = ingest.validate(RECORDED, HOME, MONTHS, LAST)
    table, verdicts = ingest.build_features(clean, HOME, ["2010-02"])
    assert len(table) == 28 * 48 and set(names(HOME)) <= set(table)
    leakage = ingest.audit_leakage(clean, HOME, MONTHS)
    assert [v.subject for v in verdicts] == ["2010-02"] and [v.subject for v in leakage] == MONTHS
    assert all(v.passed for v in (*verdicts, *leakage))
