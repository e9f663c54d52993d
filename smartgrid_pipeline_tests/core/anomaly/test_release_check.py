import pandas as pd

from smartgrid_pipeline.core.anomaly import release_check
from smartgrid_pipeline.core.anomaly.detection import Detection
from smartgrid_pipeline.core.anomaly.drift import moved_inputs

INDEX = pd.date_range("2010-03-01", periods=31 * 288, freq="5min")


def detection(*starts: str) -> Detection:
    begins = pd.to_datetime(list(starts))
    events = pd.DataFrame({"start": begins, "end": begins + pd.Timedelta("1h")})
    return Detection(pd.DataFrame(index=INDEX), events, ())


def defects(*starts: str) -> pd.DataFrame:
    begins = pd.to_datetime(list(starts))
    return pd.DataFrame({"start": begins, "end": begins + pd.Timedelta("30min"), "kind": "gap"})


def test_release_check__passes_a_detector_that_keeps_its_promise_and_finds_the_defects() -> None:
    found = release_check.figures(detection("2010-03-04", "2010-03-20"), defects("2010-03-04 00:30"), 1.0)
    assert (found.rate.alarms, found.defects, found.defects_found) == (1, 1, 1)
    assert release_check.verdict(found, "2010-03").passed


def test_release_check__refuses_alarms_beyond_the_promise_and_defects_missed() -> None:
    many = detection(*[f"2010-03-{day:02d}" for day in range(2, 9)])
    crowded = release_check.verdict(release_check.figures(many, defects(), 1.0), "2010-03")
    assert [finding.rule for finding in crowded.failures] == ["alarms within what was promised"]
    blind = release_check.verdict(
        release_check.figures(detection("2010-03-20"), defects("2010-03-04"), 1.0), "2010-03"
    )
    assert [finding.rule for finding in blind.failures] == ["real defects found"]


def test_moved_inputs__put_the_one_that_moved_first() -> None:
    import numpy as np

    rng = np.random.default_rng(0)
    before = {"still": rng.normal(0, 1, 5_000), "moved": rng.normal(0, 1, 5_000)}
    after = {"still": rng.normal(0, 1, 1_000), "moved": rng.normal(1, 1, 1_000)}
    table = moved_inputs(before, after)
    assert table["input"].tolist() == ["moved", "still"]
    assert table["moved"].tolist() == [True, False]
