"""One regression per lead group: refusals."""

import numpy as np
import pytest

from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.forecasting.baselines.ridge import Ridge
from smartgrid_pipeline.core.forecasting.forecaster import TINY, Split
from smartgrid_pipeline.core.schema import LeadInterval, ModelError

NEXT = LeadInterval(0, 60)


def test_models_of_other_inputs__are_refused(house_history: History) -> None:
    model, split = Ridge(TINY), Split.before(house_history.end, house_history)
    model.fit(house_history, split)
    model._fitted_on = model._fitted_on | {"inputs": "of before"}
    with pytest.raises(ModelError, match="another version of this software: its inputs were of before"):
        model.predict(house_history, np.array([house_history.end]), (NEXT,))
