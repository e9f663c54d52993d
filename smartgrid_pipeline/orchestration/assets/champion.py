"""From forecasts to a decision: the comparison report, and the champion."""

import dagster as dg
import pandas as pd

from smartgrid_pipeline.orchestration import checks, metadata
from smartgrid_pipeline.orchestration.assets.candidates import SINGLE_MODELS, run_tags
from smartgrid_pipeline.orchestration.partitions import EVERYTHING_UNTIL, month_of
from smartgrid_pipeline.orchestration.resources import Resources

CANDIDATES = ("references", *SINGLE_MODELS, "mixture_of_experts")
"""Assets whose forecasts are compared."""


def assets(months: dg.MonthlyPartitionsDefinition) -> list[dg.AssetsDefinition]:
    """The comparison report and the champion of these months."""
    until = dg.AssetIn(partition_mapping=EVERYTHING_UNTIL)
    check = checks.specs(months)["evidence_is_complete"]

    @dg.asset(
        partitions_def=months,
        ins=dict.fromkeys(("feature_table", *CANDIDATES), until),
        deps=["defects"],
        check_specs=[check],
        group_name="promotion",
        kinds={"html", "mlflow"},
        owners=["team:forecasting"],
    )
    def comparison_report(
        context: dg.AssetExecutionContext,
        feature_table: pd.DataFrame,
        resources: dg.ResourceParam[Resources],
        **forecasts: pd.DataFrame,
    ) -> checks.Published:
        """Every model on the same rows, with references, intervals, costs, and the decision of the gate."""
        from smartgrid_pipeline.orchestration.flows import compare, publish_report
        from smartgrid_pipeline.orchestration.flows.training_context import TrainingContext

        checks.require_passed(context, *checks.DATA_CHECKS)
        training = TrainingContext.from_features(feature_table, resources, month_of(context.partition_key))
        compared = compare.compare(resources, training, compare.split_models(forecasts))
        audits = {"evidence_is_complete": [compared.completeness]}

        def publish() -> metadata.Metadata:
            published = publish_report.publish(
                resources, training, compared, feature_table, run_tags(context)
            )
            return metadata.comparison(compared, *published)

        yield from checks.publish_if_passed(context, resources, audits, compared.table, publish)

    @dg.asset(
        partitions_def=months,
        deps=[comparison_report],
        group_name="promotion",
        kinds={"mlflow"},
        owners=["team:forecasting"],
        pool="promotion",
    )
    def champion(
        context: dg.AssetExecutionContext, resources: dg.ResourceParam[Resources]
    ) -> dg.MaterializeResult[pd.DataFrame]:
        """The model that forecasts from now on: the challenger if the gate passed it, else the incumbent."""
        from smartgrid_pipeline.orchestration.flows import compare, promote

        checks.require_passed(context, *checks.DATA_CHECKS, "evidence_is_complete")
        month = month_of(context.partition_key)
        promotion, outcome = promote.promote_challenger(resources, month, f"monthly retraining of {month}")
        ledger = pd.DataFrame([row.to_dict() for row in resources.registry.ledger()])
        shown = metadata.decision(compare.current_champion(resources)[0], promotion, outcome, ledger)
        return dg.MaterializeResult(value=ledger, metadata=shown)

    return [comparison_report, champion]
