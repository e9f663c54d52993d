"""Histories with the same past and another future: what no forecaster may tell apart."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.forecasting.forecaster import Forecast

Floats = npt.NDArray[np.float32]


def _noise(values: Floats) -> Floats:
    return np.random.default_rng(1).normal(1, 9, values.shape).astype(np.float32)


SPOILS: dict[str, tuple[Callable[[Floats], Floats], float]] = {
    "nan": (lambda values: np.full_like(values, np.nan), 0.0),
    "huge": (lambda values: np.full_like(values, 1e9), 1.0),
    "noise": (_noise, 1.0),
}
"""What replaces the values after an origin, and the share of minutes that claims to be observed."""


def spoiled(history: History, origin: np.datetime64, how: str) -> History:
    """The history with every value that is not yet available at the origin replaced."""
    spoil, share = SPOILS[how]
    n = len(history.until(origin).starts)

    def after(values: Floats) -> Floats:
        return np.concatenate([values[:n], spoil(values[n:])])

    shares = history.observed_share.copy()
    shares[n:] = share
    return replace(
        history,
        power_kw=after(history.power_kw),
        observed_share=shares,
        features=after(history.features),
        within={channel: after(values) for channel, values in history.within.items()},
    )


def unobserved(history: History, start: np.datetime64, end: np.datetime64) -> History:
    """The history with nothing observed in [start, end)."""
    gone = (history.starts >= start) & (history.starts < end)

    def without(values: Floats) -> Floats:
        values = values.copy()
        values[gone] = np.nan
        return values

    return replace(
        history,
        power_kw=without(history.power_kw),
        observed_share=np.where(gone, 0, history.observed_share).astype(np.float32),
        features=without(history.features),
        within={channel: without(values) for channel, values in history.within.items()},
    )


def assert_same(left: Forecast, right: Forecast) -> None:
    """Bit for bit."""
    np.testing.assert_array_equal(left.mean_kw, right.mean_kw)
    np.testing.assert_array_equal(left.quantiles_kw, right.quantiles_kw)


def assert_legal(forecast: Forecast) -> None:
    """Finite, not negative, quantiles in order."""
    shape = (len(forecast.origins), len(forecast.leads))
    assert forecast.mean_kw.shape == shape
    assert forecast.quantiles_kw.shape == (*shape, 9)
    for values in (forecast.mean_kw, forecast.quantiles_kw):
        assert values.dtype == np.float32
        assert np.isfinite(values).all() and (values >= 0).all()
    assert (np.diff(forecast.quantiles_kw, axis=-1) >= 0).all()
