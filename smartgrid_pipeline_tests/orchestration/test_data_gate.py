"""One month of bad data stops its run, publishes nothing, and is not walked around."""

from collections.abc import Callable

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from smartgrid_pipeline.core.schema import ACTIVE_POWER, DataError, Finding, Verdict
from smartgrid_pipeline.orchestration import checks
from smartgrid_pipeline.orchestration.flows.training_context import TrainingContext
from smartgrid_pipeline.orchestration.months import load_months
from smartgrid_pipeline.orchestration.partitions import key_of
from smartgrid_pipeline.orchestration.runtime import launch
from smartgrid_pipeline.orchestration.runtime.launch import RunFailed
from smartgrid_pipeline_tests.conftest import HOME, make_readings
from smartgrid_pipeline_tests.orchestration.conftest import LAST, MONTHS, Place
from smartgrid_pipeline_tests.orchestration.sabotage import SABOTAGE, halved, negative, spoil


@pytest.mark.parametrize("sabotage", SABOTAGE, ids=lambda each: each.__name__)
def test_bad_month__stops_with_a_verdict_and_publishes_nothing(
    place: Place, sabotage: Callable[[pd.DataFrame], pd.DataFrame]
) -> None:
    before = {
        name: content for name, content in place.stored().items() if not name.startswith("raw_readings")
    }
    spoil(place, sabotage)
    with pytest.raises(RunFailed, match=rf"(?s)validated_readings.*readings of {LAST}: FAILED.*✗"):
        place.take_in(LAST)
    after = {name: content for name, content in place.stored().items() if not name.startswith("raw_readings")}
    assert after == before
    (verdict,) = place.resources.verdicts.read("readings", [LAST])
    assert not verdict.passed


def test_downstream_only__is_refused_after_a_bad_month(place: Place) -> None:
    spoil(place, negative)
    with pytest.raises(RunFailed):
        place.take_in(LAST)
    with place.instance() as instance:
        job = launch.resolve_job(place.definitions(), "monthly_retraining")
        for asset in ("feature_table", "ridge", "champion", "anomaly_report"):
            result = job.execute_in_process(
                instance=instance,
                partition_key=key_of(LAST),
                asset_selection=[dg.AssetKey(asset)],
                raise_on_error=False,
            )
            assert not result.success
            (failure,) = result.get_step_failure_events()
            assert "checks have not passed" in (failure.step_failure_data.user_failure_data.description or "")


def test_guard__reads_the_status_of_its_own_month_only(place: Place) -> None:
    key = dg.AssetCheckKey(dg.AssetKey("validated_readings"), "readings_pass_audit")
    with place.instance() as instance:
        assert checks._not_passed(instance, [key], key_of(LAST)) == []
        assert checks._not_passed(instance, [key], key_of("2010-05")) == [
            "validated_readings.readings_pass_audit never run"
        ]
    spoil(place, halved)
    with pytest.raises(RunFailed):
        place.take_in(LAST)
    with place.instance() as instance:
        assert checks._not_passed(instance, [key], key_of(LAST)) == [
            "validated_readings.readings_pass_audit failed"
        ]
        assert checks._not_passed(instance, [key], key_of(MONTHS[0])) == []


def test_range_taken_in_again__replaces_every_month(place: Place) -> None:
    """Readings that changed since are taken in over the same months, good ones and bad ones."""
    key = dg.AssetCheckKey(dg.AssetKey("validated_readings"), "readings_pass_audit")
    place.take_in(*MONTHS)
    spoil(place, negative)
    with pytest.raises(RunFailed, match="FAILED"):
        place.take_in(*MONTHS)
    with place.instance() as instance:
        assert checks._not_passed(instance, [key], key_of(MONTHS[0])) == []
        assert checks._not_passed(instance, [key], key_of(LAST)) != []


def test_forgotten_month__is_not_taken_for_a_bad_one(place: Place) -> None:
    """The schedule runs one month; months nobody took in before it are an error, not a gap in training."""
    (place.settings.data_dir / "feature_table" / "2010-02.parquet").unlink()
    table = load_months(place.settings.data_dir, "feature_table", MONTHS)
    assert table is not None
    with pytest.raises(DataError, match=r"1 months before 2010-04 were never taken in \(2010-02\)"):
        TrainingContext.from_features(table, place.resources, LAST)


def test_month_that_failed_later__is_left_out_of_training(place: Place) -> None:
    failed = Verdict("readings", "2010-02", (Finding("power is possible", False, "-1 kW", "at least 0"),))
    place.resources.verdicts.write(failed)
    table = load_months(place.settings.data_dir, "feature_table", MONTHS)
    assert table is not None
    training = TrainingContext.from_features(table, place.resources, LAST)
    assert training.left_out == ("2010-02",)
    inside = training.history.starts.astype("datetime64[M]") == np.datetime64("2010-02")
    assert np.isnan(training.history.power_kw[inside]).all()


def test_range_run__gives_every_month_its_own_status(taken_in: Place) -> None:
    keys = [dg.AssetCheckKey(dg.AssetKey(asset), name) for name, (asset, _) in checks.CHECKED.items()]
    data = [key for key in keys if key.name in checks.DATA_CHECKS]
    with taken_in.instance() as instance:
        assert all(checks._not_passed(instance, data, key_of(month)) == [] for month in MONTHS)


def test_one_month_alone__gives_the_same_bits_as_the_range(place: Place) -> None:
    before = place.stored()
    place.take_in(MONTHS[2])
    assert place.stored() == before


def test_history__goes_on_around_a_bad_month(tmp_path: object) -> None:
    place = Place(tmp_path)  # type: ignore[arg-type]
    readings = make_readings(125, "2010-01-01", HOME)
    bad = readings.index.strftime("%Y-%m") == "2010-02"
    place.write(readings.assign(**{ACTIVE_POWER: readings[ACTIVE_POWER].where(~bad, -1.0)}))
    with place.instance() as instance:
        history = launch.ingest_history(
            place.definitions(), instance, place.resources, "2010-04", lambda step, what: None
        )
        assert [verdict.subject for verdict in history.refused] == ["2010-02"]
        assert history.ingested == ("2010-01", "2010-03")
        assert launch.missing_months(instance, place.resources, "2010-04") == []
