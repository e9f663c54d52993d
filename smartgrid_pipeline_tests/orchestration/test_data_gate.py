"""One month of bad data stops its run, publishes nothing, and is not walked around."""

from collections.abc import Callable

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from smartgrid_pipeline.core.schema import ACTIVE_POWER
from smartgrid_pipeline.definitions import create_definitions
from smartgrid_pipeline.orchestration import checks, launch
from smartgrid_pipeline.orchestration.launch import RunFailed
from smartgrid_pipeline.orchestration.partitions import key_of
from smartgrid_pipeline.settings import Settings
from smartgrid_pipeline_tests.conftest import HOME, make_readings
from smartgrid_pipeline_tests.orchestration.conftest import LAST, MONTHS, Place


def negative(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(**{ACTIVE_POWER: rows[ACTIVE_POWER].where(rows.index.hour != 5, -1.5)})


def frozen_day(rows: pd.DataFrame) -> pd.DataFrame:
    power = rows[ACTIVE_POWER].copy()
    power[(rows.index.day == 12)] = 0.742
    return rows.assign(**{ACTIVE_POWER: power})


def thousandfold(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(**{ACTIVE_POWER: rows[ACTIVE_POWER] * 1000})


def shuffled(rows: pd.DataFrame) -> pd.DataFrame:
    order = np.random.default_rng(1).permutation(len(rows))
    return rows.iloc[order]


def halved(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[np.random.default_rng(1).random(len(rows)) < 0.5]


SABOTAGE = [negative, frozen_day, thousandfold, shuffled, halved]


def spoil(place: Place, sabotage: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    readings = pd.read_parquet(place.source)
    last = readings.index.strftime("%Y-%m") == LAST
    before, after = readings[readings.index < f"{LAST}-01"], readings[readings.index >= "2010-05-01"]
    place.write(pd.concat([before, sabotage(readings[last]), after]))


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
    (verdict,) = place.workbench.verdicts.read("readings", [LAST])
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


def test_bad_month__stops_in_the_multiprocess_executor_too(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(place, frozen_day)
    for name, value in place.settings.model_dump(exclude_none=True).items():
        monkeypatch.setenv(f"SMARTGRID_{name.upper()}", str(value))
    before = {
        name: content for name, content in place.stored().items() if not name.startswith("raw_readings")
    }
    with place.instance() as instance:
        result = dg.execute_job(
            dg.reconstructable(multiprocess_job),
            instance=instance,
            tags={"dagster/partition": key_of(LAST)},
            raise_on_error=False,
        )
        assert not result.success
    (verdict,) = place.workbench.verdicts.read("readings", [LAST])
    assert not verdict.passed
    after = {name: content for name, content in place.stored().items() if not name.startswith("raw_readings")}
    assert after == before


def multiprocess_job() -> dg.JobDefinition:
    definitions = create_definitions(Settings())
    job = dg.define_asset_job(
        "readings_in_processes",
        selection=dg.AssetSelection.groups("readings"),
        executor_def=dg.multiprocess_executor,
    )
    merged = dg.Definitions.merge(definitions, dg.Definitions(jobs=[job]))
    return launch.resolve_job(merged, "readings_in_processes")


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
        intake = launch.take_in_history(
            place.definitions(), instance, place.workbench, "2010-04", lambda step, what: None
        )
        assert [verdict.subject for verdict in intake.refused] == ["2010-02"]
        assert intake.taken == ("2010-01", "2010-03")
        assert launch.missing_months(instance, place.workbench, "2010-04") == []
