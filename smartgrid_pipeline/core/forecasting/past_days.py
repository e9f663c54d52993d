"""Past days as an ensemble: the same interval on each of them, their mean and their spread."""

import numpy as np

from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.features.rolling import mean_of_observed
from smartgrid_pipeline.core.schema import QUANTILES, Floats, LeadInterval, Times


def past_days(
    history: History, origins: Times, leads: tuple[LeadInterval, ...], days: int
) -> tuple[Floats, Floats]:
    """Mean (origins, leads) and QUANTILES (origins, leads, 9) of the last days; NaN where all are missing."""
    members = history.same_time_lags(origins, leads, days)
    return mean_of_observed(members), ensemble_quantiles(members)


def ensemble_quantiles(members: Floats) -> Floats:
    """QUANTILES of the members that are not NaN, (…, members) → (…, 9); NaN where there is none.

    Member i of n stands for the level i / (n + 1), so that small ensembles are not too sure of themselves.
    """
    ordered = np.sort(members, -1)  # NaN last
    count = (~np.isnan(members)).sum(-1, keepdims=True)
    place = np.clip(np.array(QUANTILES) * (count + 1) - 1, 0, np.maximum(count - 1, 0))
    below = place.astype(np.int64)
    above = np.minimum(below + 1, np.maximum(count - 1, 0))
    low, high = (np.take_along_axis(ordered, at, -1) for at in (below, above))
    return (low + (place - below) * (high - low)).astype(np.float32)
