"""Blocking checks: what each asserts, how an audit reports it, and how later runs are held to it.

A blocking check stops its own run only. A later run may select just the downstream assets, without the check.
Those assets therefore call ``require_passed``, and the registry demands the verdicts once more at promotion.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import dagster as dg
import pandas as pd

from smartgrid_pipeline.core.schema import Verdict
from smartgrid_pipeline.orchestration.dagster_private import check_statuses
from smartgrid_pipeline.orchestration.metadata import Metadata, as_markdown
from smartgrid_pipeline.orchestration.partitions import month_of
from smartgrid_pipeline.orchestration.resources import Resources

CHECKED = {
    "readings_pass_audit": ("validated_readings", "Readings are complete, possible and in order."),
    "features_pass_audit": ("feature_table", "Features are complete and within their physical bounds."),
    "features_have_no_leakage": (
        "feature_table",
        "Feature rows before a cutoff do not change when later readings are altered.",
    ),
    "evidence_is_complete": (
        "comparison_report",
        "Every model was audited for leakage and scored on the same rows.",
    ),
}
"""Every blocking check: the asset it guards and what it asserts."""

Published = Iterator[dg.AssetCheckResult | dg.AssetCheckEvaluation | dg.MaterializeResult[pd.DataFrame]]

DATA_CHECKS = ("readings_pass_audit", "features_pass_audit", "features_have_no_leakage")
"""The checks that must have passed before any model of a month is trained or promoted."""


def specs(months: dg.PartitionsDefinition) -> dict[str, dg.AssetCheckSpec]:
    """The check specs by name, partitioned by month: each month has a status of its own."""
    return {
        name: dg.AssetCheckSpec(name, asset=asset, description=text, blocking=True, partitions_def=months)
        for name, (asset, text) in CHECKED.items()
    }


def publish_if_passed(
    context: dg.AssetExecutionContext,
    resources: Resources,
    audits: Mapping[str, Sequence[Verdict]],
    value: pd.DataFrame,
    metadata: Metadata | Callable[[], Metadata],
) -> Published:
    """Report every check, then publish the frame when all of them passed.

    ``audits`` maps a check's name to its verdicts, one for each month of the run. ``metadata`` may be a
    function; it is called only when all checks passed. Raises dg.Failure with the failed verdicts in words;
    the frame is not written then.
    """
    for verdicts in audits.values():
        for verdict in verdicts:
            resources.verdicts.write(verdict)
    page = str(resources.write_quality_page())
    results = [_result(context, name, verdicts, page) for name, verdicts in audits.items()]
    if len(context.partition_keys) > 1:
        yield from _each_month(context, audits)
    failed = [v for verdicts in audits.values() for v in verdicts if not v.passed]
    if failed:
        yield from results
        raise dg.Failure(
            description="Not published.\n"
            + "\n".join([*(verdict.summary() for verdict in failed), f"All verdicts: {page}"]),
            metadata={"verdict": dg.MetadataValue.md(as_markdown(failed))},
            allow_retries=False,
        )
    made = metadata() if callable(metadata) else metadata
    yield dg.MaterializeResult(value=value, check_results=results, metadata=made)


def _result(
    context: dg.AssetExecutionContext, name: str, verdicts: Sequence[Verdict], page: str
) -> dg.AssetCheckResult:
    failed = [verdict for verdict in verdicts if not verdict.passed]
    return dg.AssetCheckResult(
        check_name=name,
        asset_key=context.asset_key,
        passed=bool(verdicts) and not failed,
        metadata={
            "audited": len(verdicts),
            "failed": len(failed),
            "verdict": dg.MetadataValue.md(as_markdown(failed or verdicts[-1:])),
            "page": dg.MetadataValue.path(page),
        },
    )


def _each_month(
    context: dg.AssetExecutionContext, audits: Mapping[str, Sequence[Verdict]]
) -> Iterator[dg.AssetCheckEvaluation]:
    """One evaluation per month: in a run over many months Dagster records one status for all of them."""
    months = {month_of(key): key for key in context.partition_keys}
    for name, verdicts in audits.items():
        for verdict in verdicts:
            if verdict.subject in months:
                yield dg.AssetCheckEvaluation(
                    asset_key=context.asset_key,
                    check_name=name,
                    passed=verdict.passed,
                    partition=months[verdict.subject],
                    metadata={"verdict": dg.MetadataValue.md(as_markdown([verdict]))},
                    blocking=True,
                )


def require_passed(context: dg.AssetExecutionContext, *names: str) -> None:
    """Raise dg.Failure unless the newest status of each named check is "passed" for each month of the run."""
    keys = [dg.AssetCheckKey(dg.AssetKey(CHECKED[name][0]), name) for name in names]
    for partition in context.partition_keys:
        refused = _not_passed(context.instance, keys, partition)
        if refused:
            raise dg.Failure(
                description=f"Refused for {month_of(partition)}: checks have not passed "
                f"({'; '.join(refused)}). Correct the readings and materialise the checked assets again.",
                allow_retries=False,
            )


def _not_passed(instance: dg.DagsterInstance, keys: Sequence[dg.AssetCheckKey], partition: str) -> list[str]:
    """Each check whose latest status of the partition is not "succeeded", with that status."""
    found = check_statuses(instance, keys, partition)
    statuses = {key: found.get(key, "never run") for key in keys}
    return [
        f"{key.asset_key.to_user_string()}.{key.name} {status}"
        for key, status in statuses.items()
        if status != "succeeded"
    ]
