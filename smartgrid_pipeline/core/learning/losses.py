"""Pinball loss of quantile forecasts, on arrays; ``network_losses`` has it on tensors."""

from typing import Any

import numpy as np
import numpy.typing as npt

from smartgrid_pipeline.core.schema import QUANTILES

Values = npt.NDArray[Any]


def pinball_kw(observed_kw: Values, quantiles_kw: Values) -> Values:
    """Pinball loss (kW) of each of QUANTILES: observations (…) and quantiles (…, 9) to (…, 9).

    max(q · (y − x), (q − 1) · (y − x)) for the quantile x at level q of an observation y (Koenker & Bassett
    1978); NaN stays NaN.
    """
    levels = np.array(QUANTILES, quantiles_kw.dtype)
    error = observed_kw[..., None] - quantiles_kw
    return np.maximum(levels * error, (levels - 1) * error)


def crps_kw(observed_kw: Values, quantiles_kw: Values) -> Values:
    """Twice the mean pinball loss over QUANTILES, (…) kW: estimates the CRPS (Gneiting & Raftery 2007)."""
    return 2 * pinball_kw(observed_kw, quantiles_kw).mean(-1)
