"""What is unusual: a detector fitted on the past, and the month's events."""

import dagster as dg
import pandas as pd

from smartgrid_pipeline.orchestration import checks, metadata
from smartgrid_pipeline.orchestration.assets.candidates import POOL, tags
from smartgrid_pipeline.orchestration.partitions import EVERYTHING_UNTIL, month_of
from smartgrid_pipeline.orchestration.resources import Resources

FIRST = {"dagster/priority": "1"}
"""Before the models, so that the comparison report can name the month's alarms without depending on them."""


def assets(months: dg.MonthlyPartitionsDefinition) -> list[dg.AssetsDefinition]:
    """The detector and its report over the months given."""
    ins = {"raw_readings": dg.AssetIn(partition_mapping=EVERYTHING_UNTIL)}

    @dg.asset(
        partitions_def=months,
        ins=ins,
        deps=["validated_readings"],
        group_name="anomaly",
        kinds={"scikitlearn", "pytorch", "mlflow"},
        owners=["team:operations"],
        pool=POOL,
        op_tags=FIRST,
    )
    def anomaly_detector(
        context: dg.AssetExecutionContext,
        raw_readings: pd.DataFrame,
        resources: dg.ResourceParam[Resources],
    ) -> dg.MaterializeResult[pd.DataFrame]:
        """Rules, IsolationForest, One-Class SVM and autoencoder; thresholds frozen on the last year."""
        from smartgrid_pipeline.orchestration.flows import fit_detector

        checks.require_passed(context, "readings_pass_audit")
        watch = fit_detector.DetectionContext.of(raw_readings, resources, month_of(context.partition_key))
        run = fit_detector.find_or_fit(resources, watch, tags(context))
        return dg.MaterializeResult(value=metadata.parameters(run), metadata=metadata.run(run))

    @dg.asset(
        partitions_def=months,
        ins=ins,
        deps=[anomaly_detector],
        group_name="anomaly",
        kinds={"html"},
        owners=["team:operations"],
        op_tags=FIRST,
    )
    def anomaly_report(
        context: dg.AssetExecutionContext,
        raw_readings: pd.DataFrame,
        resources: dg.ResourceParam[Resources],
    ) -> dg.MaterializeResult[pd.DataFrame]:
        """The month's events with energy at stake and explanation; whether the detector kept its promise."""
        from smartgrid_pipeline.orchestration.flows import fit_detector

        checks.require_passed(context, "readings_pass_audit")
        watch = fit_detector.DetectionContext.of(raw_readings, resources, month_of(context.partition_key))
        detection = fit_detector.detect_month(resources, watch)
        drawn = fit_detector.figures(resources, watch, detection)
        path = fit_detector.write_report(resources, watch, detection, drawn)
        assessment = fit_detector.assess(resources, watch, detection)
        return dg.MaterializeResult(
            value=detection.events,
            metadata=metadata.events(detection.events, drawn, path) | metadata.assessment(assessment),
        )

    return [anomaly_detector, anomaly_report]
