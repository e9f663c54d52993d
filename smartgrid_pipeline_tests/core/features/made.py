"""Histories made of chosen readings."""

import numpy as np

from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.schema import ACTIVE_POWER, SUB_METERS, Meter


def minute_history(power_kw: np.ndarray, subs_kw: tuple[np.ndarray, ...] = ()) -> History:
    """One-minute readings of power and sub-meters (n,), a multiple of five of them, from 2010-01-04 on."""
    channels = (ACTIVE_POWER, *SUB_METERS[: len(subs_kw)])
    within = {
        name: np.asarray(values, np.float32).reshape(-1, 5)
        for name, values in zip(channels, (power_kw, *subs_kw), strict=True)
    }
    means = np.stack([values.mean(1) for values in within.values()], 1)
    share = np.mean(~np.isnan(within[ACTIVE_POWER]), 1, dtype=np.float32)
    starts = np.datetime64("2010-01-04", "m") + 5 * np.arange(len(means))
    return History(Meter("made", channels=channels), starts, means[:, 0], share, means, within)
