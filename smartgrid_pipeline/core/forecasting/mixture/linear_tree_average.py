"""What the experts lean on beyond the next hour: ridge and boosted trees averaged, small and hard to fool.

Day-ahead targets follow the past days almost linearly; a straight line and a few shallow trees err otherwise
than networks do, and cost a tenth of their weights.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import lightgbm
import numpy as np

from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.forecasting.baselines.forests import ERROR_LEVELS, Ridge, errors_of
from smartgrid_pipeline.core.forecasting.baselines.gradient_boosting import LIGHTGBM_PARAMS, LightGBM
from smartgrid_pipeline.core.forecasting.baselines.per_lead_group import (
    LeadGroupModel,
    PerLeadGroupForecaster,
    TargetOffset,
)
from smartgrid_pipeline.core.forecasting.baselines.ridge import RidgeModel
from smartgrid_pipeline.core.forecasting.baselines.samples import Rows, Sample, feature_names
from smartgrid_pipeline.core.forecasting.forecaster import Forecast
from smartgrid_pipeline.core.forecasting.leads import LeadGroup, is_short
from smartgrid_pipeline.core.learning import lightgbm_text
from smartgrid_pipeline.core.learning.storage import Arrays
from smartgrid_pipeline.core.schema import Floats, LeadInterval, Meter, Times


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
    origin_minutes: ClassVar[dict[str, int]] = LightGBM.origin_minutes

    def _families(self, meter: Meter) -> tuple[LeadGroup, ...]:
        return tuple(family for family in super()._families(meter) if not family.is_short)

    def predict(self, history: History, origins: Times, leads: tuple[LeadInterval, ...]) -> Forecast:
        """Forecast the far leads; NaN for the near ones, which are not anchored."""
        found = super().predict(history, origins, leads)
        near = [j for j, lead in enumerate(leads) if is_short(lead)]
        found.mean_kw[:, near], found.quantiles_kw[:, near] = np.nan, np.nan
        return found

    def _fit_family(
        self, family: LeadGroup, meter: Meter, learn: Sample, later: Sample, seed: int
    ) -> LeadGroupModel:
        base, penalty = TargetOffset.of(family, meter, learn), Ridge.penalties[family.name]
        line = RidgeModel.fit(base, feature_names(meter, family), learn, penalty, Ridge.waves[family.name])
        known = (line.mean(learn.inputs), learn), (line.mean(later.inputs), later)
        plan = LIGHTGBM_PARAMS[family.name]
        settings = LightGBM(self.budget).settings(seed) | plan.mean_settings(learn)
        data = lightgbm.Dataset(learn.inputs, learn.observed_kw, weight=learn.weights, params=settings)
        trees = lightgbm.train(settings, data, LightGBM(self.budget).trees(plan.trees, learn))
        return LinearTreeModel(
            line.with_errors(errors_of(known, ERROR_LEVELS[family.name])), lightgbm_text.slim(trees)
        )

    @classmethod
    def _read_family(cls, arrays: Arrays, prefix: str) -> LeadGroupModel:
        return LinearTreeModel.from_arrays(arrays, prefix)
