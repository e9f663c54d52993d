"""Every model of a month: trained on what came before, evaluated on the month. The value is its forecasts."""

import dagster as dg
import pandas as pd

from smartgrid_pipeline.core.schema import EXPERT_NAMES
from smartgrid_pipeline.orchestration import checks, metadata
from smartgrid_pipeline.orchestration.partitions import EVERYTHING_UNTIL, month_of
from smartgrid_pipeline.orchestration.resources import Resources

RETRAIN_POOL = "retrain"
"""Dagster's concurrency pool of everything that trains: one at a time."""

SINGLE_MODELS = {
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
"""Models that are fitted on the feature table alone, one asset each: description and library."""


def assets(months: dg.MonthlyPartitionsDefinition) -> list[dg.AssetsDefinition]:
    """References, baselines, experts and the mixture of these months."""
    single = [_single_model(months, name, text, kind) for name, (text, kind) in SINGLE_MODELS.items()]
    return [_references(months), *single, _mixture(months)]


def _single_model(
    months: dg.MonthlyPartitionsDefinition, name: str, text: str, library: str
) -> dg.AssetsDefinition:
    @dg.asset(
        name=name,
        description=text,
        partitions_def=months,
        ins={"feature_table": dg.AssetIn(partition_mapping=EVERYTHING_UNTIL)},
        group_name="candidates",
        kinds={library, "mlflow"},
        owners=["team:forecasting"],
        pool=RETRAIN_POOL,
    )
    def candidate(
        context: dg.AssetExecutionContext,
        feature_table: pd.DataFrame,
        resources: dg.ResourceParam[Resources],
    ) -> dg.MaterializeResult[pd.DataFrame]:
        from smartgrid_pipeline.orchestration.flows import train
        from smartgrid_pipeline.orchestration.flows.training_context import TrainingContext

        checks.require_passed(context, *checks.DATA_CHECKS)
        training = TrainingContext.from_features(feature_table, resources, month_of(context.partition_key))
        fit = train.fit_by_name(name, resources.budget)
        evaluated = train.train_and_evaluate(resources, training, name, fit, run_tags(context))
        return dg.MaterializeResult(value=evaluated.forecasts, metadata=metadata.candidate(evaluated))

    return candidate


def _references(months: dg.MonthlyPartitionsDefinition) -> dg.AssetsDefinition:
    @dg.asset(
        partitions_def=months,
        ins={"feature_table": dg.AssetIn(partition_mapping=EVERYTHING_UNTIL)},
        group_name="candidates",
        kinds={"numpy", "mlflow"},
        owners=["team:forecasting"],
        pool=RETRAIN_POOL,
    )
    def references(
        context: dg.AssetExecutionContext,
        feature_table: pd.DataFrame,
        resources: dg.ResourceParam[Resources],
    ) -> dg.MaterializeResult[pd.DataFrame]:
        """Persistence, last day, last week, 7- and 28-day analogues: what every model has to beat."""
        from smartgrid_pipeline.orchestration.flows import train
        from smartgrid_pipeline.orchestration.flows.training_context import TrainingContext

        checks.require_passed(context, *checks.DATA_CHECKS)
        training = TrainingContext.from_features(feature_table, resources, month_of(context.partition_key))
        evaluated = train.evaluate_references(resources, training, run_tags(context))
        forecasts = train.join_forecasts(evaluated)
        return dg.MaterializeResult(value=forecasts, metadata=metadata.candidates(evaluated))

    return references


def _mixture(months: dg.MonthlyPartitionsDefinition) -> dg.AssetsDefinition:
    @dg.asset(
        partitions_def=months,
        ins={"feature_table": dg.AssetIn(partition_mapping=EVERYTHING_UNTIL)},
        deps=list(EXPERT_NAMES),
        group_name="candidates",
        kinds={"pytorch", "mlflow"},
        owners=["team:forecasting"],
        pool=RETRAIN_POOL,
    )
    def mixture_of_experts(
        context: dg.AssetExecutionContext,
        feature_table: pd.DataFrame,
        resources: dg.ResourceParam[Resources],
    ) -> dg.MaterializeResult[pd.DataFrame]:
        """Four experts weighted by a gate, blended with base learners; its own calibrated quantiles."""
        from smartgrid_pipeline.orchestration.flows import train
        from smartgrid_pipeline.orchestration.flows.training_context import TrainingContext

        checks.require_passed(context, *checks.DATA_CHECKS)
        training = TrainingContext.from_features(feature_table, resources, month_of(context.partition_key))
        name, fit = "mixture_of_experts", train.fit_mixture(resources, training)
        evaluated = train.train_and_evaluate(resources, training, name, fit, run_tags(context))
        forecasts = train.with_ablations(resources, training, evaluated)
        return dg.MaterializeResult(value=forecasts, metadata=metadata.candidate(evaluated))

    return mixture_of_experts


def run_tags(context: dg.AssetExecutionContext) -> dict[str, str]:
    """Tags of a tracking run that name the Dagster run and asset it belongs to."""
    return {"dagster.run_id": context.run.run_id, "dagster.asset": context.asset_key.to_user_string()}
