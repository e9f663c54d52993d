"""A check is reported for each month, and a later run is refused where it has not passed."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from smartgrid_pipeline.core.schema import Finding, Verdict
from smartgrid_pipeline.orchestration import checks
from smartgrid_pipeline.orchestration.partitions import key_of, months, previews_accepted
from smartgrid_pipeline.orchestration.resources import Resources
from smartgrid_pipeline.settings import Settings
from smartgrid_pipeline_tests.orchestration.conftest import LAST

CHECK = "readings_pass_audit"


def verdict(passed: bool) -> Verdict:
    return Verdict("readings", LAST, (Finding("every row is there", passed, "1 of 2", "2 of 2"),))


@pytest.fixture
def resources(tmp_path: Path) -> Resources:
    return Resources(Settings(home=tmp_path))


def audited_asset(resources: Resources, passed: bool) -> dg.AssetsDefinition:
    """An asset whose only check has this outcome."""
    partitions = months("2010-01")
    with previews_accepted():
        spec = checks.specs(partitions)[CHECK]

        @dg.asset(partitions_def=partitions, check_specs=[spec])
        def validated_readings(context: dg.AssetExecutionContext) -> Iterator[object]:
            frame = pd.DataFrame({"month": [LAST]})
            yield from checks.publish_if_passed(context, resources, {CHECK: [verdict(passed)]}, frame, {})

    return validated_readings


def later_asset() -> dg.AssetsDefinition:
    """An asset of a later run, which demands the check."""

    @dg.asset(partitions_def=months("2010-01"))
    def later(context: dg.AssetExecutionContext) -> None:
        checks.require_passed(context, CHECK)

    return later


def run(asset: dg.AssetsDefinition, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    return dg.materialize([asset], partition_key=key_of(LAST), instance=instance, raise_on_error=False)


def reason(result: dg.ExecuteInProcessResult) -> str:
    (event,) = result.get_step_failure_events()
    data = event.step_failure_data.user_failure_data
    assert data is not None
    return str(data.description)


def test_specs__are_blocking_and_name_the_asset_they_guard() -> None:
    with previews_accepted():
        specs = checks.specs(months("2010-01"))
    assert all(spec.blocking and spec.description for spec in specs.values())
    assert {name: spec.asset_key.to_user_string() for name, spec in specs.items()} == {
        name: asset for name, (asset, _) in checks.CHECKED.items()
    }


@pytest.mark.parametrize("passed", [True, False])
def test_later_run__is_refused_unless_the_check_passed(passed: bool, resources: Resources) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        assert "readings_pass_audit never run" in reason(run(later_asset(), instance))
        audited = run(audited_asset(resources, passed), instance)
        assert audited.success == passed and resources.verdicts.all() == [verdict(passed)]
        later = run(later_asset(), instance)
    assert later.success == passed
    if not passed:
        assert "found 1 of 2, demanded 2 of 2" in reason(audited)
        assert f"Refused for {LAST}: checks have not passed" in reason(later)
