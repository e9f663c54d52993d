"""Dagster's private API is used in one file, with the version it was checked with."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from smartgrid_pipeline.orchestration import dagster_private

ROOT = Path(__file__).parents[2]
CHECK = dg.AssetCheckKey(dg.AssetKey("asset"), "holds")
MONTH = dg.StaticPartitionsDefinition(["good", "bad", "later"])


def test_dagster__is_the_version_that_the_private_api_was_checked_with() -> None:
    assert dg.__version__.startswith(f"{dagster_private.CHECKED_VERSION}.")


def test_requirement__allows_no_other_minor_version_of_dagster() -> None:
    major, minor = map(int, dagster_private.CHECKED_VERSION.split("."))
    demanded = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert f"dagster>={major}.{minor},<{major}.{minor + 1}" in demanded


def test_private_api__is_used_in_one_file_only() -> None:
    private = re.compile(r"dagster\._|event_log_storage|_event_storage|\bdg\._")
    files = (ROOT / "smartgrid_pipeline").rglob("*.py")
    assert {path.stem for path in files if private.search(path.read_text())} == {"dagster_private"}


@pytest.mark.filterwarnings("ignore::dagster.BetaWarning", "ignore::dagster.PreviewWarning")
def test_check_statuses__are_those_of_the_partition() -> None:
    spec = dg.AssetCheckSpec("holds", asset="asset", partitions_def=MONTH)

    @dg.asset(partitions_def=MONTH, check_specs=[spec])
    def asset(context: dg.AssetExecutionContext) -> Iterator[object]:
        result = dg.AssetCheckResult(check_name="holds", passed=context.partition_key == "good")
        yield dg.MaterializeResult(check_results=[result])

    with dg.DagsterInstance.ephemeral() as instance:
        for partition in ("good", "bad"):
            dg.materialize([asset], instance=instance, partition_key=partition)
        found = [dagster_private.check_statuses(instance, [CHECK], key) for key in ("good", "bad", "later")]
    assert found == [{CHECK: "succeeded"}, {CHECK: "failed"}, {}]


def test_job__is_what_define_asset_job_returns() -> None:
    job = dg.define_asset_job("everything", selection=dg.AssetSelection.all())
    assert isinstance(job, dagster_private.AssetJob)
