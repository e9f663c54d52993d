"""Everything this package uses of Dagster that is not public API, in one file.

Checked with the version in ``CHECKED_VERSION``, which pyproject.toml pins. The tests of this file call each
function against a real instance: run them before raising the pin.
"""

from collections.abc import Sequence

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition
from dagster._core.storage.event_log.base import PartitionKeyFilter

CHECKED_VERSION = "1.13"

AssetJob = UnresolvedAssetJobDefinition
"""What ``dg.define_asset_job`` returns and ``dg.schedule`` takes; Dagster exports no name for it."""


def check_statuses(
    instance: dg.DagsterInstance, checks: Sequence[dg.AssetCheckKey], partition: str
) -> dict[dg.AssetCheckKey, str]:
    """Latest status of each asset check for one partition: "succeeded", "failed", "planned" and so on.

    A check that never ran for the partition is left out. The public API tells check results per asset, but
    not per partition.
    """
    records = instance.event_log_storage.get_latest_asset_check_execution_by_key(
        checks, partition_filter=PartitionKeyFilter(key=partition)
    )
    return {key: record.status.value.lower() for key, record in records.items()}


def free_pool_slots(instance: dg.DagsterInstance, run_id: str) -> None:
    """Give back the slots that a run holds in concurrency pools, and those it waits for."""
    instance.event_log_storage.free_concurrency_slots_for_run(run_id)
