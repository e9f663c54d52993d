"""What users of neighbouring systems lost time with, and the test here that a naive system would fail.

The rows of other parts (models, anomalies, serving, fleet) are held by the tests of those parts.
"""

from pathlib import Path

import numpy as np
import pytest

from smartgrid_pipeline.core import meter_data
from smartgrid_pipeline.core.schema import ACTIVE_POWER, OBSERVED_SHARE, Meter
from smartgrid_pipeline_tests.conftest import HOME, HOUSE, make_readings

HERE = Path(__file__).parent
HELD_BY = {
    "OpenSTEF #798: a cryptic error on all-missing data": [
        "test_cli.py::test_unreadable_file__is_a_clear_error",
        "quality/test_readings.py::test_bad_month__fails_with_a_readable_finding",
    ],
    "Dagster #17005, #17251, #26854: a failed check still ran downstream": [
        "orchestration/test_data_gate.py::test_downstream_only__is_refused_after_a_bad_month",
        "orchestration/test_data_gate_elsewhere.py::test_bad_months__stop_in_the_multiprocess_executor",
        "orchestration/test_data_gate_elsewhere.py::test_bad_month__stops_the_command_with_its_verdict",
        "registry/champion/test_history.py::test_promote__names_every_missing_piece",
    ],
    "Dagster #17836, #15315: find the failed run of one partition": [
        "orchestration/test_automation.py::test_failed_run__is_found_by_its_month",
        "orchestration/test_month.py::test_month__tracks_one_finished_run_per_model",
    ],
    "MLflow #2169, #3016: who was in production, and an atomic swap": [
        "registry/champion/test_history.py::test_promote__moves_the_alias_and_writes_the_ledger",
        "registry/champion/test_history.py::test_promotion__is_whole_or_not_at_all_wherever_it_dies",
    ],
    "opennem #544: a frozen feed inflated the energy": [
        "test_field_reports.py::test_frozen_readings__never_enter_a_sum",
    ],
}
"""Thread and pain → tests. Memory on one long series (neuralforecast #521) and validation above a million
rows (great_expectations #4774) are measured by ``make bench-readings``."""


@pytest.mark.parametrize("row", HELD_BY)
def test_row__has_its_tests(row: str) -> None:
    for name in HELD_BY[row]:
        file, test = name.split("::")
        assert f"def {test}(" in (HERE / file).read_text(), name


@pytest.mark.parametrize("meter", [HOUSE, HOME], ids=lambda meter: meter.meter_id)
def test_frozen_readings__never_enter_a_sum(meter: Meter) -> None:
    """opennem #544: two days frozen at 3.8 times the load change no energy: unobserved, and listed."""
    readings = make_readings(40, meter=meter)
    frozen = (readings.index >= "2010-01-20") & (readings.index < "2010-01-22")
    channels = list(meter.channels)
    stuck = readings.copy()
    stuck.loc[frozen, channels] = (3.8 * readings.loc[frozen, channels].mean()).to_numpy()
    kinds = meter_data.defect_types(stuck)
    intervals = meter_data.resample(meter_data.mask(stuck, kinds), meter)
    inside = (intervals.index >= "2010-01-20 01:00") & (intervals.index < "2010-01-22")
    assert np.isnan(intervals.loc[inside, ACTIVE_POWER]).all()
    assert (intervals.loc[inside, OBSERVED_SHARE] == 0).all()
    table = meter_data.defect_table(kinds, meter.step_minutes, meter.channels)
    assert table.loc[table["minutes"].idxmax(), "kind"] == "freeze"
    honest = readings.loc[~frozen, ACTIVE_POWER].mean()
    assert intervals[ACTIVE_POWER].mean() == pytest.approx(honest, rel=0.01)
