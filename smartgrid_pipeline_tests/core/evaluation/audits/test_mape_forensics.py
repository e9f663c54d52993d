from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest

from smartgrid_pipeline.core.evaluation.audits import mape_forensics
from smartgrid_pipeline.core.schema import CURRENT, VOLTAGE, DataError
from smartgrid_pipeline_tests.conftest import HOME, HOUSE, make_readings, make_table


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return make_table(make_readings(12))


@pytest.fixture(scope="module")
def found(table: pd.DataFrame) -> Iterator[mape_forensics.Forensics]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mape_forensics, "ROUNDS", 30)
        yield mape_forensics.investigate(table, HOUSE)


def test_forensics__prints_the_fraction_beside_the_truth(found: mape_forensics.Forensics) -> None:
    assert found.rows[0].study == "replaced task" and found.rows[0].split == "random"
    for row in found.rows:
        assert row.mape_percent == pytest.approx(100 * row.mape_fraction)
        assert row.printed == f"{row.mape_percent / 100:.2f} %"


def test_forensics__knows_power_from_voltage_and_current(
    found: mape_forensics.Forensics, table: pd.DataFrame
) -> None:
    alone = next(row for row in found.rows if row.rows_trained == 0)
    assert alone.rows_tested == len(table)
    product = table[VOLTAGE] * table[CURRENT] / 1000
    expected = 100 * np.mean(np.abs(product - table["active_power_kw"]) / table["active_power_kw"])
    assert alone.mape_percent == pytest.approx(expected, rel=1e-3)
    fitted = [row.mape_percent for row in found.rows if row.rows_trained]
    assert max(fitted) < 20  # horizon zero is physics even on a toy house


def test_forensics__repeats_itself(found: mape_forensics.Forensics, table: pd.DataFrame) -> None:
    assert mape_forensics.investigate(table, HOUSE) == found
    assert mape_forensics.Forensics.from_dict(found.to_dict()) == found


def test_forensics__does_not_apply_without_current() -> None:
    found = mape_forensics.investigate(make_table(make_readings(12, meter=HOME), HOME), HOME)
    assert not found.rows
    assert "no voltage_v, current_a, reactive_power_kvar" in found.not_applicable


def test_forensics__refuses_a_short_table(table: pd.DataFrame) -> None:
    with pytest.raises(DataError, match="Too few"):
        mape_forensics.investigate(table.head(500), HOUSE)
