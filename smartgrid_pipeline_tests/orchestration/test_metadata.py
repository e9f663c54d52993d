"""What people read in the Dagster UI."""

import pandas as pd

from smartgrid_pipeline.core.schema import Finding, Verdict
from smartgrid_pipeline.orchestration import metadata


def test_table__is_markdown_with_four_digits_and_says_how_many_rows_are_left_out() -> None:
    frame = pd.DataFrame({"model": ["a", "b", "c"], "crps_kw": [0.123456, 2.0, 3.0]})
    lines = str(metadata.table(frame, rows=2).value).splitlines()
    assert lines[0] == "| model | crps_kw |"
    assert lines[2:4] == ["| a | 0.1235 |", "| b | 2 |"]
    assert lines[-1] == "… 1 more rows"


def test_verdicts__show_what_passed_failed_and_warns() -> None:
    findings = (
        Finding("complete", True, "all", "all"),
        Finding("possible", False, "-1 kW", "at least 0"),
        Finding("usual", False, "high", "middling", "warning"),
    )
    text = metadata.as_markdown([Verdict("readings", "2010-02", findings)])
    assert "**readings of 2010-02: FAILED**" in text
    assert "| ✓ | complete | all | all |" in text
    assert "| ✗ | possible | -1 kW | at least 0 |" in text
    assert "| ! | usual | high | middling |" in text


def test_defects__are_counted_by_type() -> None:
    columns = ["start", "end", "type", "minutes", "channels"]
    assert metadata.defects(pd.DataFrame(columns=columns))["dagster/row_count"] == 0
