"""The script every logged model carries: MLflow runs it to load the model."""

from mlflow.models import set_model

from smartgrid_pipeline.core.forecasting.newest import Loaders
from smartgrid_pipeline.registry.pyfunc import ForecastModel


def _known_models() -> Loaders:
    from smartgrid_pipeline.core.forecasting.catalogue import loaders

    return loaders()  # imported when a model is loaded, not when one is logged


set_model(ForecastModel(_known_models))
