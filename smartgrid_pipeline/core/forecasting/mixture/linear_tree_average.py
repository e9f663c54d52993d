"""What the experts lean on beyond the next hour: ridge and boosted trees averaged, small and hard to fool.

Day-ahead targets follow the past days almost linearly; a straight line and a few shallow trees err otherwise
than networks do, and cost a tenth of their weights.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import lightgbm
import numpy as np

from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.forecasting.baselines.gradient_boosting import (
    LIGHTGBM_PARAMS,
    LightGBM,
    shared_settings,
    tree_count,
)
from smartgrid_pipeline.core.forecasting.baselines.per_lead_group import (
    LeadGroupModel,
    PerLeadGroupForecaster,
)
from smartgrid_pipeline.core.forecasting.baselines.ridge import RidgeModel, fit_ridge
from smartgrid_pipeline.core.forecasting.baselines.samples import Sample
from smartgrid_pipeline.core.forecasting.forecaster import Forecast
from smartgrid_pipeline.core.forecasting.leads import LeadGroup, is_short
from smartgrid_pipeline.core.learning import lightgbm_text
from smartgrid_pipeline.core.learning.storage import Arrays
from smartgrid_pipeline.core.schema import Floats, LeadInterval, Meter, Rows, Times


@dataclass(frozen=True)
class LinearTreeModel:
    """One far family: the line with its errors, and the trees."""

    line: RidgeModel
    trees: Any

    def predict(self, inputs: Floats, groups: Rows) -> tuple[Floats, Floats]:
        """The average of both, with the errors of the line around it."""
        trees = self.trees.predict(inputs, num_threads=1).astype(np.float32)
        mean = (self.line.mean(inputs) + trees) / 2
        return mean, self.line.errors.apply(mean, groups)

    def to_arrays(self, prefix: str) -> Arrays:
        """Plain arrays for an npz file; the trees are their LightGBM text."""
        return {**self.line.to_arrays(prefix), f"{prefix}.trees": lightgbm_text.to_array([self.trees])}

    @classmethod
    def from_arrays(cls, arrays: Arrays, prefix: str) -> Self:
        """The inverse of ``to_arrays``."""
        (trees,) = lightgbm_text.from_array(arrays[f"{prefix}.trees"])
        return cls(RidgeModel.from_arrays(arrays, prefix), trees)


class LinearTreeAverage(PerLeadGroupForecaster):
    """The support of the mixture for every lead that ends after the next hour."""

    name = "anchor"
    rows: ClassVar[dict[str, int]] = LightGBM.rows

    def _lead_groups(self, meter: Meter) -> tuple[LeadGroup, ...]:
        return tuple(group for group in super()._lead_groups(meter) if not group.is_short)

    def predict(self, history: History, origins: Times, leads: tuple[LeadInterval, ...]) -> Forecast:
        """Forecast the far leads; NaN for the near ones, which are not anchored."""
        found = super().predict(history, origins, leads)
        near = [j for j, lead in enumerate(leads) if is_short(lead)]
        found.mean_kw[:, near], found.quantiles_kw[:, near] = np.nan, np.nan
        return found

    def _fit_group(
        self, group: LeadGroup, meter: Meter, train: Sample, holdout: Sample, seed: int
    ) -> LeadGroupModel:
        line, params = fit_ridge(group, meter, train, holdout), LIGHTGBM_PARAMS[group.name]
        settings = shared_settings(self.budget, seed) | params.mean_settings(train)
        data = lightgbm.Dataset(train.inputs, train.observed_kw, weight=train.weights, params=settings)
        trees = lightgbm.train(settings, data, tree_count(self.budget, params.trees, train))
        return LinearTreeModel(line, lightgbm_text.slim(trees))

    @classmethod
    def _read_group(cls, arrays: Arrays, prefix: str) -> LeadGroupModel:
        return LinearTreeModel.from_arrays(arrays, prefix)
