"""The grid voltage as a clock: its daily pattern tells when a meter's clock is off, and by how much."""

import numpy as np

from smartgrid_pipeline.core.anomaly.hours import Hours
from smartgrid_pipeline.core.anomaly.stream import Array

PROFILE_DAYS = 42
FARTHEST_SHIFT_MINUTES = 200


def _daily_profile(day: Array) -> Array:
    """Mean of each slot over the last PROFILE_DAYS days, (days, slots); 0 where fewer than 10 were seen."""
    seen = ~np.isnan(day)
    zero = np.zeros((PROFILE_DAYS, day.shape[1]))
    total = np.concatenate([zero, np.cumsum(np.where(seen, day, 0.0), 0)])
    count = np.concatenate([zero, np.cumsum(seen, 0)])
    n = count[PROFILE_DAYS:] - count[:-PROFILE_DAYS]
    return np.where(n >= 10, (total[PROFILE_DAYS:] - total[:-PROFILE_DAYS]) / np.maximum(n, 1), 0.0)


def shift_scores(hours: Hours, days: int) -> tuple[Array, Array]:
    """Correlation of the last days' supply voltage with its usual daily profile, for each shift of the clock.

    Returns the shifts in minutes, up to FARTHEST_SHIFT_MINUTES either way, and (hours, shifts).
    """
    per = 60 // hours.working_minutes
    slots = 24 * per
    begun = int((hours.first_hour - hours.first_hour.astype("datetime64[D]")).astype(int))
    padded = np.concatenate([np.full(begun * per, np.nan), hours.slots])
    padded = np.concatenate([padded, np.full(-len(padded) % slots, np.nan)])
    profile = _daily_profile(padded.reshape(-1, slots))
    flat = np.concatenate([np.zeros(days * slots), np.nan_to_num(padded)])
    ends = (begun + np.arange(hours.n) + 1) * per  # slots since the first midnight, exclusive
    most = FARTHEST_SHIFT_MINUTES * per // 60
    shifts = np.arange(-most, most + 1)
    out = np.zeros((hours.n, len(shifts)))
    back = np.arange(slots)
    for first in range(hours.from_row, hours.n, 4096):  # bounded memory
        end = ends[first : first + 4096, None]
        newest = end + days * slots - 1 - back
        recent = np.sum([flat[newest - k * slots] for k in range(days)], axis=0)
        fold = np.zeros_like(recent)
        np.put_along_axis(fold, (end - 1 - back) % slots, recent, axis=1)
        row = (end[:, 0] - 1) // slots - days - 1
        usual = np.where(row[:, None] >= 0, profile[np.maximum(row, 0)], 0.0)
        cross = np.fft.irfft(np.fft.rfft(fold) * np.conj(np.fft.rfft(usual)), slots)
        size = np.sqrt((fold**2).sum(1) * (usual**2).sum(1))
        size = np.where(size > 1e-9, size, np.nan)  # no pattern is known yet: nothing can be said
        out[first : first + 4096] = cross[:, shifts] / size[:, None]
    return (shifts * hours.working_minutes).astype(float), out


def clock(hours: Hours) -> dict[str, Array]:
    """How much better another time of day fits the last days than the recorded one does."""
    found = {}
    for days in (2, 3, 5):
        minutes, scores = shift_scores(hours, days)
        away = np.abs(minutes) >= 10
        found[f"{days}d"] = scores[:, away].max(1) - scores[:, np.abs(minutes) < 10].max(1)
    return found
