import numpy as np
import pandas as pd

from smartgrid_pipeline.quality import expectations


def _suite() -> expectations.Suite:
    suite = expectations.Suite(["a"])
    suite.between("a", 0, 1, "kW")
    suite.known("a", 0.5)
    return suite


def _passed(frame: pd.DataFrame) -> dict[str, bool]:
    return {finding.rule: finding.passed for finding in expectations.check(frame, _suite())}


def test_suite__finds_what_is_out_of_bounds_and_what_is_missing() -> None:
    assert all(_passed(pd.DataFrame({"a": [0.0, 1.0]})).values())
    assert not _passed(pd.DataFrame({"a": [0.0, 1.5]}))["a is within bounds"]
    assert not _passed(pd.DataFrame({"a": [0.5, np.nan, np.nan]}))["a is known"]
    assert not _passed(pd.DataFrame({"a": pd.Series([], dtype=float)}))["rows are present"]


def test_expectation__that_cannot_be_evaluated_fails() -> None:
    findings = expectations.check(pd.DataFrame({"b": [1.0]}), _suite())
    assert [finding.rule for finding in findings if finding.passed] == ["rows are present"]
    assert any(finding.found.startswith("not evaluated") for finding in findings)


def test_frames_checked_together__have_the_findings_of_each_alone() -> None:
    frames = {"good": pd.DataFrame({"a": [0.2, 0.4]}), "bad": pd.DataFrame({"a": [0.2, 4.0]})}
    together = expectations.check_each(frames, _suite())
    assert together == {name: expectations.check(frame, _suite()) for name, frame in frames.items()}
    assert all(f.passed for f in together["good"]) and not all(f.passed for f in together["bad"])
