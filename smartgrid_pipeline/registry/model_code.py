"""The script every logged model carries: MLflow runs it to load the model."""

from mlflow.models import set_model

from smartgrid_pipeline.core.models.catalogue import loaders
from smartgrid_pipeline.registry.pyfunc import ForecastModel

set_model(ForecastModel(loaders))
