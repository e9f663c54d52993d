"""What the tiny forecaster's logged model runs, as model_code.py does for the real ones."""

from mlflow.models import set_model

from smartgrid_pipeline.registry.pyfunc import ForecastModel
from smartgrid_pipeline_tests.registry.tiny import LOADERS

set_model(ForecastModel(lambda: LOADERS))
