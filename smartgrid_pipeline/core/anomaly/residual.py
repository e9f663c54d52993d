"""How far power was from what had been forecast for it, and how rare that is."""

import numpy as np

from smartgrid_pipeline.core.anomaly.interval_array import Array
from smartgrid_pipeline.core.anomaly.scoring.tails import Tail
from smartgrid_pipeline.core.schema import QUANTILES

SMALLEST_ROOT = 0.02
"""Halves of an interval are at least so wide on roots of kW: rounding is no surprise."""


def surprises(quantiles_kw: Array, observed_kw: Array) -> Array:
    """Distance of each observation from its median in halves of its 80 % interval, on roots of power.

    ``quantiles_kw`` (n, 9) at QUANTILES, ``observed_kw`` (n,); NaN where nothing was observed.
    """
    low, middle, high = (np.sqrt(quantiles_kw[:, QUANTILES.index(level)]) for level in (0.1, 0.5, 0.9))
    away = np.sqrt(np.maximum(observed_kw, 0.0)) - middle
    half = np.maximum(np.where(away >= 0, high - middle, middle - low), SMALLEST_ROOT)
    return np.abs(away) / half


def p_values(healthy: Array, surprise: Array) -> Array:
    """Share of healthy surprises at least as large, from their tail; NaN stays NaN. Raises DataError when too
    few healthy ones are known.
    """
    return np.asarray(10.0 ** -Tail.fit(healthy).rarity(surprise))
