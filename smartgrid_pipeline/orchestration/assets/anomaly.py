"""The anomaly detector of a month, and the events it finds in the month."""

import dagster as dg
import pandas as pd

from smartgrid_pipeline.orchestration import checks, metadata
from smartgrid_pipeline.orchestration.assets.candidates import RETRAIN_POOL, run_tags
from smartgrid_pipeline.orchestration.partitions import EVERYTHING_UNTIL, month_of
from smartgrid_pipeline.orchestration.resources import Resources

BEFORE_MODELS = {"dagster/priority": "1"}
"""Op tags: the comparison report shows the month's alarms, although it does not depend on them."""


def assets(months: dg.MonthlyPartitionsDefinition) -> list[dg.AssetsDefinition]:
    """The detector and its report of these months."""
    ins = {"raw_readings": dg.AssetIn(partition_mapping=EVERYTHING_UNTIL)}

    @dg.asset(
        partitions_def=months,
        ins=ins,
        deps=["validated_readings"],
        group_name="anomaly",
        kinds={"scikitlearn", "pytorch", "mlflow"},
        owners=["team:operations"],
        pool=RETRAIN_POOL,
        op_tags=BEFORE_MODELS,
    )
    def anomaly_detector(
        context: dg.AssetExecutionContext,
        raw_readings: pd.DataFrame,
        resources: dg.ResourceParam[Resources],
    ) -> dg.MaterializeResult[pd.DataFrame]:
        """Rules, physics monitors, IsolationForest, One-Class SVM, autoencoder; thresholds from one year."""
        from smartgrid_pipeline.orchestration.flows import fit_detector

        checks.require_passed(context, "readings_pass_audit")
        month = month_of(context.partition_key)
        detection_context = fit_detector.DetectionContext.from_readings(raw_readings, resources, month)
        run = fit_detector.find_or_fit(resources, detection_context, run_tags(context))
        return dg.MaterializeResult(value=metadata.parameters(run), metadata=metadata.tracking_run(run))

    @dg.asset(
        partitions_def=months,
        ins=ins,
        deps=[anomaly_detector],
        group_name="anomaly",
        kinds={"html"},
        owners=["team:operations"],
        op_tags=BEFORE_MODELS,
    )
    def anomaly_report(
        context: dg.AssetExecutionContext,
        raw_readings: pd.DataFrame,
        resources: dg.ResourceParam[Resources],
    ) -> dg.MaterializeResult[pd.DataFrame]:
        """The month's events with energy at stake and explanation; alarms against the promised rate."""
        from smartgrid_pipeline.orchestration.flows import report_anomalies
        from smartgrid_pipeline.orchestration.flows.fit_detector import DetectionContext

        checks.require_passed(context, "readings_pass_audit")
        month = month_of(context.partition_key)
        detection_context = DetectionContext.from_readings(raw_readings, resources, month)
        detection = report_anomalies.detect_month(resources, detection_context)
        figures = report_anomalies.draw(resources, detection_context, detection)
        page = report_anomalies.write_page(resources, detection_context, detection, figures)
        assessment = report_anomalies.assess(resources, detection_context, detection)
        shown = metadata.events(detection.events, figures, page) | metadata.assessment(assessment)
        return dg.MaterializeResult(value=detection.events, metadata=shown)

    return [anomaly_detector, anomaly_report]
