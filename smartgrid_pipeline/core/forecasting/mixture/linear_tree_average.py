"""Linear-tree average: the mean of a ridge regression and shallow boosted trees, for leads beyond an hour.

Day-ahead targets depend almost linearly on the past days. A ridge regression and a few shallow trees have
other errors than networks, at a tenth of their weights.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import lightgbm
import numpy as np

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
from smartgrid_pipeline.core.forecasting.leads import LeadGroup
from smartgrid_pipeline.core.learning import lightgbm_text
from smartgrid_pipeline.core.learning.storage import Arrays
from smartgrid_pipeline.core.schema import Floats, Meter, Rows


@dataclass(frozen=True)
class LinearTreeModel:
    """The models of one lead group: the ridge regression with its residual quantiles, and the trees."""

    ridge: RidgeModel
    trees: Any

    def predict(self, inputs: Floats, groups: Rows) -> tuple[Floats, Floats]:
        """Mean (n,) and quantiles (n, 9) in kW: the average of both, with the residuals of the ridge
        regression.
        """
        trees = self.trees.predict(inputs, num_threads=1).astype(np.float32)
        mean = (self.ridge.mean(inputs) + trees) / 2
        return mean, self.ridge.errors.apply(mean, groups)

    def to_arrays(self, prefix: str) -> Arrays:
        """Plain arrays for an npz file; the trees are their LightGBM text."""
        return {**self.ridge.to_arrays(prefix), f"{prefix}.trees": lightgbm_text.to_array([self.trees])}

    @classmethod
    def from_arrays(cls, arrays: Arrays, prefix: str) -> Self:
        """The inverse of ``to_arrays``."""
        (trees,) = lightgbm_text.from_array(arrays[f"{prefix}.trees"])
        return cls(RidgeModel.from_arrays(arrays, prefix), trees)


class LinearTreeAverage(PerLeadGroupForecaster):
    """A base learner of the mixture, for every lead that ends after the next hour."""

    name = "linear_tree_average"
    rows: ClassVar[dict[str, int]] = LightGBM.rows

    def _lead_groups(self, meter: Meter) -> tuple[LeadGroup, ...]:
        return tuple(group for group in super()._lead_groups(meter) if not group.is_short)

    def _fit_group(
        self, group: LeadGroup, meter: Meter, train: Sample, holdout: Sample, seed: int
    ) -> LeadGroupModel:
        ridge, params = fit_ridge(group, meter, train, holdout), LIGHTGBM_PARAMS[group.name]
        settings = shared_settings(self.budget, seed) | params.mean_settings(train)
        data = lightgbm.Dataset(train.inputs, train.observed_kw, weight=train.weights, params=settings)
        trees = lightgbm.train(settings, data, tree_count(self.budget, params.trees, train))
        return LinearTreeModel(ridge, lightgbm_text.slim(trees))

    @classmethod
    def _read_group(cls, arrays: Arrays, prefix: str) -> LeadGroupModel:
        return LinearTreeModel.from_arrays(arrays, prefix)
