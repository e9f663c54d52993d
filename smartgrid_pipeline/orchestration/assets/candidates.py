"""Every model of the month, trained on what came before it and judged on it; the value is its forecasts."""

import dagster as dg
import pandas as pd

from smartgrid_pipeline.core.schema import EXPERT_NAMES
from smartgrid_pipeline.orchestration import checks, metadata
from smartgrid_pipeline.orchestration.partitions import EVERYTHING_UNTIL, month_of
from smartgrid_pipeline.orchestration.resources import Resources

POOL = "retrain"
ALONE = {
    "lightgbm": (
        "Gradient-boosted quantiles on the same inputs as the experts: the strong reference.",
        "lightgbm",
    ),
    "ridge": ("Ridge regression with calibrated residual quantiles.", "scikitlearn"),
    "random_forest": ("Random forest with calibrated residual quantiles.", "scikitlearn"),
    "extra_trees": ("Extremely randomised trees with calibrated residual quantiles.", "scikitlearn"),
    "gru": ("Expert: a gated recurrent unit over coarse tokens of the past.", "pytorch"),
    "cnn_lstm": ("Expert: strided convolutions and an LSTM over the fine tail of the past.", "pytorch"),
    "transformer": ("Expert: self-attention over patches of the past.", "pytorch"),
    "attention": ("Expert: lead intervals attend to the same hours of past days.", "pytorch"),
}
"""Models that need nothing but the feature table: description and kind."""


def assets(months: dg.MonthlyPartitionsDefinition) -> list[dg.AssetsDefinition]:
    """References, baselines, experts and the mixture over the months given."""
    alone = [_alone(months, name, text, kind) for name, (text, kind) in ALONE.items()]
    return [_references(months), *alone, _mixture(months)]


def _alone(months: dg.MonthlyPartitionsDefinition, name: str, text: str, kind: str) -> dg.AssetsDefinition:
    @dg.asset(
        name=name,
        description=text,
        partitions_def=months,
        ins={"feature_table": dg.AssetIn(partition_mapping=EVERYTHING_UNTIL)},
        group_name="candidates",
        kinds={kind, "mlflow"},
        owners=["team:forecasting"],
        pool=POOL,
    )
    def candidate(
        context: dg.AssetExecutionContext,
        feature_table: pd.DataFrame,
        resources: dg.ResourceParam[Resources],
    ) -> dg.MaterializeResult[pd.DataFrame]:
        from smartgrid_pipeline.orchestration.flows import train

        checks.require_passed(context, *checks.DATA_CHECKS)
        occasion = train.TrainingContext.of(feature_table, resources, month_of(context.partition_key))
        fit = train.fit_named(name, resources.budget)
        judged = train.train_and_judge(resources, occasion, name, fit, tags(context))
        return dg.MaterializeResult(value=judged.forecasts, metadata=metadata.judged(judged))

    return candidate


def _references(months: dg.MonthlyPartitionsDefinition) -> dg.AssetsDefinition:
    @dg.asset(
        partitions_def=months,
        ins={"feature_table": dg.AssetIn(partition_mapping=EVERYTHING_UNTIL)},
        group_name="candidates",
        kinds={"numpy", "mlflow"},
        owners=["team:forecasting"],
        pool=POOL,
    )
    def references(
        context: dg.AssetExecutionContext,
        feature_table: pd.DataFrame,
        resources: dg.ResourceParam[Resources],
    ) -> dg.MaterializeResult[pd.DataFrame]:
        """Persistence, last day, last week, 7- and 28-day analogues: what every model has to beat."""
        from smartgrid_pipeline.orchestration.flows import train

        checks.require_passed(context, *checks.DATA_CHECKS)
        occasion = train.TrainingContext.of(feature_table, resources, month_of(context.partition_key))
        judged = train.judge_references(resources, occasion, tags(context))
        return dg.MaterializeResult(value=train.joined(judged), metadata=metadata.judged_many(judged))

    return references


def _mixture(months: dg.MonthlyPartitionsDefinition) -> dg.AssetsDefinition:
    @dg.asset(
        partitions_def=months,
        ins={"feature_table": dg.AssetIn(partition_mapping=EVERYTHING_UNTIL)},
        deps=list(EXPERT_NAMES),
        group_name="candidates",
        kinds={"pytorch", "mlflow"},
        owners=["team:forecasting"],
        pool=POOL,
    )
    def mixture_of_experts(
        context: dg.AssetExecutionContext,
        feature_table: pd.DataFrame,
        resources: dg.ResourceParam[Resources],
    ) -> dg.MaterializeResult[pd.DataFrame]:
        """The four experts weighted by a learned gate, with its own calibrated quantiles."""
        from smartgrid_pipeline.orchestration.flows import train

        checks.require_passed(context, *checks.DATA_CHECKS)
        occasion = train.TrainingContext.of(feature_table, resources, month_of(context.partition_key))
        fit = train.fit_mixture(resources, occasion)
        judged = train.train_and_judge(resources, occasion, "mixture_of_experts", fit, tags(context))
        forecasts = train.with_fixed_weights(resources, occasion, judged)
        return dg.MaterializeResult(value=forecasts, metadata=metadata.judged(judged))

    return mixture_of_experts


def tags(context: dg.AssetExecutionContext) -> dict[str, str]:
    """What ties a tracking run to its Dagster run."""
    return {"dagster.run_id": context.run.run_id, "dagster.asset": context.asset_key.to_user_string()}
