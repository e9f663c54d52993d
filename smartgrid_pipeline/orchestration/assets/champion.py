"""From forecasts to a decision: the comparison report, and who is champion."""

import dagster as dg
import pandas as pd

from smartgrid_pipeline.orchestration import checks
from smartgrid_pipeline.orchestration import metadata as present
from smartgrid_pipeline.orchestration.assets.candidates import ALONE, tags
from smartgrid_pipeline.orchestration.partitions import EVERYTHING_UNTIL, month_of
from smartgrid_pipeline.orchestration.resources import Resources

CANDIDATES = ("references", *ALONE, "mixture_of_experts")
"""Assets whose forecasts are compared."""


def assets(months: dg.MonthlyPartitionsDefinition) -> list[dg.AssetsDefinition]:
    """The comparison report and the champion over the months given."""
    until = dg.AssetIn(partition_mapping=EVERYTHING_UNTIL)
    check = checks.specs(months)["evidence_is_complete"]

    @dg.asset(
        partitions_def=months,
        ins=dict.fromkeys(("feature_table", *CANDIDATES), until),
        deps=["defects"],
        check_specs=[check],
        group_name="release",
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
        from smartgrid_pipeline.orchestration.flows import compare, publish_report, train

        checks.require_passed(context, *checks.DATA_CHECKS)
        occasion = train.TrainingContext.of(feature_table, resources, month_of(context.partition_key))
        compared = compare.compare(resources, occasion, compare.split_models(forecasts))
        audits = {"evidence_is_complete": [compared.completeness]}

        def published() -> present.Metadata:
            done = publish_report.publish(resources, occasion, compared, feature_table, tags(context))
            return present.comparison(compared, *done)

        yield from checks.publish_if_passed(context, resources, audits, compared.table, published)

    @dg.asset(
        partitions_def=months,
        deps=[comparison_report],
        group_name="release",
        kinds={"mlflow"},
        owners=["team:forecasting"],
        pool="promotion",
    )
    def champion(
        context: dg.AssetExecutionContext, resources: dg.ResourceParam[Resources]
    ) -> dg.MaterializeResult[pd.DataFrame]:
        """Who answers from now on: the month's challenger if the gate let it through, else the incumbent."""
        from smartgrid_pipeline.orchestration.flows import compare

        checks.require_passed(context, *checks.DATA_CHECKS, "evidence_is_complete")
        month = month_of(context.partition_key)
        promotion, said = compare.settle(resources, month, f"monthly retraining of {month}")
        ledger = pd.DataFrame([row.to_dict() for row in resources.registry.ledger()])
        metadata = present.decision(resources.registry.champion(), promotion, said, ledger)
        return dg.MaterializeResult(value=ledger, metadata=metadata)

    return [comparison_report, champion]
