"""From the source to features: raw_readings → validated_readings → feature_table, and defects."""

import dagster as dg
import pandas as pd

from smartgrid_pipeline.orchestration import checks, metadata
from smartgrid_pipeline.orchestration.flows import ingest
from smartgrid_pipeline.orchestration.partitions import WITH_MONTH_BEFORE, month_of
from smartgrid_pipeline.orchestration.resources import Resources


def assets(months: dg.MonthlyPartitionsDefinition) -> list[dg.AssetsDefinition]:
    """The data assets of these months."""
    specs = checks.specs(months)
    with_context = dg.AssetIn(partition_mapping=WITH_MONTH_BEFORE)

    @dg.asset(
        partitions_def=months,
        backfill_policy=dg.BackfillPolicy.single_run(),
        retry_policy=dg.RetryPolicy(max_retries=2, delay=5),
        group_name="readings",
        kinds={"parquet"},
        owners=["team:data"],
    )
    def raw_readings(
        context: dg.AssetExecutionContext, resources: dg.ResourceParam[Resources]
    ) -> dg.MaterializeResult[pd.DataFrame]:
        """The meter's readings of the month exactly as recorded, in canonical columns and units."""
        recorded = resources.readings
        resources.save_source_facts()
        rows = ingest.select_months(recorded.frame, run_months(context), recorded.fingerprint.span)
        return dg.MaterializeResult(value=rows, metadata=metadata.readings(rows) | metadata.source(recorded))

    @dg.asset(
        partitions_def=months,
        ins={"raw_readings": with_context},
        check_specs=[specs["readings_pass_audit"]],
        backfill_policy=dg.BackfillPolicy.single_run(),
        group_name="readings",
        kinds={"parquet", "great_expectations"},
        owners=["team:data"],
    )
    def validated_readings(
        context: dg.AssetExecutionContext,
        raw_readings: pd.DataFrame,
        resources: dg.ResourceParam[Resources],
    ) -> checks.Published:
        """Readings whose audit passed, on a regular civil grid; hidden gaps, copies, freezes masked."""
        requested = run_months(context)
        failed_before = ingest.failed_before(resources, requested[0])
        clean, verdicts = ingest.validate(
            raw_readings, resources.meter, requested, resources.last_reading, failed_before
        )
        audits = {"readings_pass_audit": verdicts}
        yield from checks.publish_if_passed(context, resources, audits, clean, metadata.readings(clean))

    @dg.asset(
        partitions_def=months,
        backfill_policy=dg.BackfillPolicy.single_run(),
        group_name="readings",
        kinds={"parquet"},
        owners=["team:data"],
    )
    def defects(
        validated_readings: pd.DataFrame, resources: dg.ResourceParam[Resources]
    ) -> dg.MaterializeResult[pd.DataFrame]:
        """What was found wrong with the month's readings: start, end, kind, minutes, channels."""
        found = ingest.defects_of(validated_readings, resources.meter)
        return dg.MaterializeResult(value=found, metadata=metadata.defects(found))

    @dg.asset(
        partitions_def=months,
        ins={"validated_readings": with_context},
        check_specs=[specs["features_pass_audit"], specs["features_have_no_leakage"]],
        backfill_policy=dg.BackfillPolicy.single_run(),
        group_name="readings",
        kinds={"parquet", "great_expectations"},
        owners=["team:data"],
    )
    def feature_table(
        context: dg.AssetExecutionContext,
        validated_readings: pd.DataFrame,
        resources: dg.ResourceParam[Resources],
    ) -> checks.Published:
        """The 31 causal features of each working interval of the month, beside the readings inside it."""
        checks.require_passed(context, "readings_pass_audit")
        meter, requested = resources.meter, run_months(context)
        table, verdicts = ingest.build_features(validated_readings, meter, requested)
        leakage = ingest.audit_leakage(validated_readings, meter, requested)
        audits = {"features_pass_audit": verdicts, "features_have_no_leakage": leakage}
        yield from checks.publish_if_passed(context, resources, audits, table, metadata.readings(table))

    return [raw_readings, validated_readings, defects, feature_table]


def run_months(context: dg.AssetExecutionContext) -> list[str]:
    """The months of this run ("2010-10"), in order."""
    return sorted(month_of(key) for key in context.partition_keys)
