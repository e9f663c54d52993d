"""The grid voltage as a clock: its daily pattern tells when a meter's clock is off, and by how much."""

import numpy as np

from smartgrid_pipeline.core.anomaly.interval_array import Array
from smartgrid_pipeline.core.anomaly.physics.hours import HourlyAggregates

PROFILE_DAYS = 42
FARTHEST_SHIFT_MINUTES = 200

QUIETEST = 1e-3
"""No frequency counts for more than if its noise were this share of the loudest one's."""


def _daily_profile(day: Array) -> Array:
    """Mean of each slot over the last PROFILE_DAYS days, (days, slots); 0 where fewer than 10 were seen."""
    seen = ~np.isnan(day)
    zero = np.zeros((PROFILE_DAYS, day.shape[1]))
    total = np.concatenate([zero, np.cumsum(np.where(seen, day, 0.0), 0)])
    count = np.concatenate([zero, np.cumsum(seen, 0)])
    n = count[PROFILE_DAYS:] - count[:-PROFILE_DAYS]
    return np.where(n >= 10, (total[PROFILE_DAYS:] - total[:-PROFILE_DAYS]) / np.maximum(n, 1), 0.0)


def _by_day(hours: HourlyAggregates) -> tuple[Array, int]:
    """Slots from the first midnight on, (days, slots) with NaN around them, and the first hour of the day."""
    per = 60 // hours.working_minutes
    begun = int((hours.first_hour - hours.first_hour.astype("datetime64[D]")).astype(int))
    padded = np.concatenate([np.full(begun * per, np.nan), hours.slots])
    padded = np.concatenate([padded, np.full(-len(padded) % (24 * per), np.nan)])
    return padded.reshape(-1, 24 * per), begun


def learn_noise(hours: HourlyAggregates) -> Array:
    """Mean power of what a day differs by from its usual profile, per frequency, (slots / 2 + 1,); in shares
    of the largest. All ones where no day has a profile yet.
    """
    day, _ = _by_day(hours)
    usual = _daily_profile(day)[:-1]
    known = (np.isnan(day[1:]).mean(1) < 0.1) & np.any(usual != 0, axis=1)
    if not known.any():
        return np.ones(day.shape[1] // 2 + 1)
    noise = (np.abs(np.fft.rfft(np.nan_to_num(day[1:] - usual)[known], axis=1)) ** 2).mean(0)
    return np.maximum(noise / max(noise.max(), 1e-12), QUIETEST)


def shift_scores(hours: HourlyAggregates, days: int) -> tuple[Array, Array]:
    """Match of the last days' supply voltage with its usual daily profile, for each shift of the clock.

    A correlation in which each frequency weighs the less the noisier it is: the matched filter in coloured
    noise (Turin, An introduction to matched filters, IRE Trans. Inf. Theory 6, 1960).
    Returns the shifts in minutes, up to FARTHEST_SHIFT_MINUTES either way, and (hours, shifts).
    """
    per = 60 // hours.working_minutes
    slots = 24 * per
    day, begun = _by_day(hours)
    profile, weight = _daily_profile(day), 1 / hours.learned["clock_noise"]
    flat = np.concatenate([np.zeros(days * slots), np.nan_to_num(day.ravel())])
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
        matched = _matched(fold, usual, weight)
        out[first : first + 4096] = matched[:, shifts]
    return (shifts * hours.working_minutes).astype(float), out


def _matched(recent: Array, usual: Array, weight: Array) -> Array:
    """Weighted correlation of rows at each circular shift; NaN where one has no pattern at all."""
    a, b = np.fft.rfft(recent), np.fft.rfft(usual)
    energy = [np.fft.irfft(np.abs(x) ** 2 * weight, recent.shape[1])[:, :1] for x in (a, b)]
    size = np.sqrt(np.maximum(energy[0] * energy[1], 0.0))
    cross = np.fft.irfft(a * np.conj(b) * weight, recent.shape[1])
    return cross / np.where(size > 1e-9, size, np.nan)


def clock(hours: HourlyAggregates) -> dict[str, Array]:
    """How much better another time of day fits the last days than the recorded one does."""
    found = {}
    for days in (2, 3, 5):
        minutes, scores = shift_scores(hours, days)
        away = np.abs(minutes) >= 10
        found[f"{days}d"] = scores[:, away].max(1) - scores[:, np.abs(minutes) < 10].max(1)
    return found
