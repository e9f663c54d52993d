"""The grid voltage as a clock: its daily profile shows whether a meter's clock is off, and by how much."""

import numpy as np

from smartgrid_pipeline.core.anomaly.interval_array import Array
from smartgrid_pipeline.core.anomaly.physics.hourly import HourlyAggregates

PROFILE_DAYS = 42
MIN_PROFILE_DAYS = 10
MAX_SHIFT_MINUTES = 200
TOLERANCE_MINUTES = 10
"""A clock is right when the best shift is below this."""

MIN_NOISE = 1e-3
"""Lower bound on the noise of a frequency, as a share of the largest: it bounds the frequency's weight."""


def _daily_profile(days: Array) -> Array:
    """Mean of each slot over the last PROFILE_DAYS days, (days, slots); 0 with under MIN_PROFILE_DAYS."""
    known = ~np.isnan(days)
    zero = np.zeros((PROFILE_DAYS, days.shape[1]))
    total = np.concatenate([zero, np.cumsum(np.where(known, days, 0.0), 0)])
    count = np.concatenate([zero, np.cumsum(known, 0)])
    n = count[PROFILE_DAYS:] - count[:-PROFILE_DAYS]
    mean = (total[PROFILE_DAYS:] - total[:-PROFILE_DAYS]) / np.maximum(n, 1)
    return np.where(n >= MIN_PROFILE_DAYS, mean, 0.0)


def _by_day(hourly: HourlyAggregates) -> tuple[Array, int]:
    """Slots by civil day, (days, slots) with NaN before the first and after the last, and the hour of the
    first day at which readings begin.
    """
    per = 60 // hourly.working_minutes
    first = int((hourly.first_hour - hourly.first_hour.astype("datetime64[D]")).astype(int))
    padded = np.concatenate([np.full(first * per, np.nan), hourly.slots])
    padded = np.concatenate([padded, np.full(-len(padded) % (24 * per), np.nan)])
    return padded.reshape(-1, 24 * per), first


def learn_noise(hourly: HourlyAggregates) -> Array:
    """Mean power spectrum of a day's deviation from its profile, (slots / 2 + 1,), as shares of the largest.

    All ones where no day has a profile yet.
    """
    days, _ = _by_day(hourly)
    profile = _daily_profile(days)[:-1]
    known = (np.isnan(days[1:]).mean(1) < 0.1) & np.any(profile != 0, axis=1)
    if not known.any():
        return np.ones(days.shape[1] // 2 + 1)
    noise = (np.abs(np.fft.rfft(np.nan_to_num(days[1:] - profile)[known], axis=1)) ** 2).mean(0)
    return np.maximum(noise / max(noise.max(), 1e-12), MIN_NOISE)


def shift_scores(hourly: HourlyAggregates, days: int) -> tuple[Array, Array]:
    """Correlation of the last days' supply voltage with its daily profile, at each shift of the clock.

    Each frequency is weighted by the inverse of its noise: the matched filter in coloured noise (Turin, An
    introduction to matched filters, IRE Trans. Inf. Theory 6, 1960). Returns the shifts in minutes, (shifts,)
    up to MAX_SHIFT_MINUTES either way, and the correlations, (hours, shifts).
    """
    per = 60 // hourly.working_minutes
    slots = 24 * per
    day, first_hour = _by_day(hourly)
    profile, weight = _daily_profile(day), 1 / hourly.learned["clock_noise"]
    flat = np.concatenate([np.zeros(days * slots), np.nan_to_num(day.ravel())])
    ends = (first_hour + np.arange(hourly.n) + 1) * per  # slots since the first midnight, exclusive
    farthest = MAX_SHIFT_MINUTES * per // 60
    shifts = np.arange(-farthest, farthest + 1)
    out = np.zeros((hourly.n, len(shifts)))
    back = np.arange(slots)
    for first in range(hourly.from_row, hourly.n, 4096):  # bounded memory
        end = ends[first : first + 4096, None]
        newest = end + days * slots - 1 - back
        recent = np.sum([flat[newest - k * slots] for k in range(days)], axis=0)
        folded = np.zeros_like(recent)
        np.put_along_axis(folded, (end - 1 - back) % slots, recent, axis=1)
        row = (end[:, 0] - 1) // slots - days - 1
        expected = np.where(row[:, None] >= 0, profile[np.maximum(row, 0)], 0.0)
        out[first : first + 4096] = _correlation(folded, expected, weight)[:, shifts]
    return (shifts * hourly.working_minutes).astype(float), out


def _correlation(recent: Array, expected: Array, weight: Array) -> Array:
    """Weighted correlation of rows at each circular shift, (rows, slots); NaN where a row is all zero."""
    a, b = np.fft.rfft(recent), np.fft.rfft(expected)
    energy = [np.fft.irfft(np.abs(x) ** 2 * weight, recent.shape[1])[:, :1] for x in (a, b)]
    size = np.sqrt(np.maximum(energy[0] * energy[1], 0.0))
    cross = np.fft.irfft(a * np.conj(b) * weight, recent.shape[1])
    return cross / np.where(size > 1e-9, size, np.nan)


def clock(hourly: HourlyAggregates) -> dict[str, Array]:
    """Best correlation at a shifted clock less that at the recorded one, over the last days."""
    found = {}
    for days in (2, 3, 5):
        minutes, scores = shift_scores(hourly, days)
        away = np.abs(minutes) >= TOLERANCE_MINUTES
        found[f"{days}d"] = scores[:, away].max(1) - scores[:, ~away].max(1)
    return found
