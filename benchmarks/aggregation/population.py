"""Sums of homes: of real ones, and of a simulated population whose dependence is that of the real ones.

The simulation. Mean power per home of N homes is C(t) · L_N + e_N(t).

* C, the common component (weather, calendar, what all do): the mean of the real homes, split into a slow
  smooth profile of workdays and free days and the deviation from it. Each band of frequencies of the
  deviation is scaled by √κ, κ the share of its variance that random halves of the homes have in common
  (raised from half to all homes by Spearman–Brown): what is left has the common variance in each band,
  the rest is the chance of few homes.
* L_N, the level of the homes drawn over that of all, and e_N, what homes do on their own: the mean over the
  drawn homes of r_i = y_i − C · level_i, each moved by a whole number of weeks, at most SHIFT_WEEKS, so that
  copies of one home are taken as independent while its habits keep clock and season; no copy is drawn twice.
  Beyond MEMBERS homes both are those of MEMBERS homes, scaled by √(MEMBERS / N). Where fewer homes were
  observed than drawn, e_N is scaled to the variance of those drawn.

Homes are independent of each other given C. Beyond some thousands of homes all that is left is C.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

Doubles = npt.NDArray[np.float64]

PRESENT_SHARE = 0.8
"""A half-hour counts when so many of the chosen homes were observed; the sum is their mean times N."""

WEEK, PER_DAY = 336, 48
PROFILE_WEEKS, WAVES = 9, 8

BANDS = (1 / 28, 1 / 14, 1 / 7, 1 / 3.5, 0.5, 0.8, 1.2, 1.8, 2.2, 3, 4.5, 6.5, 10, 16)
"""Edges between bands of frequencies, in cycles a day."""
MEMBERS, SHIFT_WEEKS = 400, 6
HALVES = 40


def mean_power(homes: pd.DataFrame, members: npt.NDArray[np.int64]) -> pd.Series:
    """Mean power per home (kW) of some homes, NaN where too few were observed."""
    chosen = homes.iloc[:, members]
    present = chosen.notna().mean(axis=1)
    return chosen.mean(axis=1).where(present >= PRESENT_SHARE)


@dataclass(frozen=True)
class Population:
    """What is estimated from real homes, to simulate a population of any size."""

    index: pd.DatetimeIndex
    common: Doubles
    levels: Doubles
    residuals: Doubles  # (homes, half-hours), NaN where a home was not observed
    shares: tuple[float, ...]

    @classmethod
    def of(cls, homes: pd.DataFrame, seed: int) -> "Population":
        """Estimate it from real homes (half-hours × homes, kW); the first half-hour begins a Monday."""
        levels = (homes.mean() / homes.mean().mean()).to_numpy()
        scaled = homes / levels
        shares = _common_shares(scaled, np.random.default_rng(seed))
        everybody = _everybody(scaled)
        profile = _profile(everybody)
        spectrum = np.fft.rfft(everybody - profile)
        common = profile + np.fft.irfft(spectrum * np.sqrt(shares)[_bands(len(profile))], len(profile))
        residuals = homes.to_numpy().T - np.outer(levels, common)
        return cls(pd.DatetimeIndex(homes.index), common, levels, residuals, tuple(shares.tolist()))

    def mean_power(self, count: int, rng: np.random.Generator) -> pd.Series:
        """Mean power per home (kW) of a population of ``count`` homes."""
        shifts = 2 * SHIFT_WEEKS + 1
        pool = len(self.residuals) * shifts
        copies = rng.choice(pool, min(count, MEMBERS, pool), replace=False)
        drawn, weeks = copies // shifts, copies % shifts - SHIFT_WEEKS
        n = self.residuals.shape[1]
        total, seen = np.zeros(n), np.zeros(n)
        for each, shift in zip(drawn, weeks * WEEK, strict=True):
            moved = np.full(n, np.nan)
            moved[max(shift, 0) : n + min(shift, 0)] = self.residuals[each][
                max(-shift, 0) : n - max(shift, 0)
            ]
            known = np.isfinite(moved)
            total += np.where(known, moved, 0)
            seen += known
        chance = np.sqrt(len(drawn) / count)
        level = 1 + chance * (self.levels[drawn].mean() - 1)
        power = self.common * level + chance * total / np.sqrt(np.maximum(seen, 1) * len(drawn))
        return pd.Series(np.maximum(power, 0.02), index=self.index)


def _everybody(scaled: pd.DataFrame) -> Doubles:
    return scaled.mean(axis=1).interpolate(limit_direction="both").to_numpy()


def _bands(n: int) -> npt.NDArray[np.int64]:
    """Band of each frequency of a real series of n half-hours."""
    return np.searchsorted(BANDS, np.fft.rfftfreq(n) * PER_DAY)


def _common_shares(scaled: pd.DataFrame, rng: np.random.Generator) -> Doubles:
    """Share of the variance of the mean of all homes that is common to homes, by band of frequencies."""
    bands = _bands(len(scaled))
    sums = np.zeros((3, len(BANDS) + 1))
    for _ in range(HALVES):
        spectra = []
        for part in np.array_split(rng.permutation(scaled.shape[1]), 2):
            half = _everybody(scaled.iloc[:, part])
            spectra.append(np.fft.rfft(half - _profile(half)))
        a, b = spectra
        for row, values in enumerate(((a * b.conj()).real, np.abs(a) ** 2, np.abs(b) ** 2)):
            sums[row] += np.bincount(bands, values, len(BANDS) + 1)
    r = np.clip(sums[0] / np.sqrt(sums[1] * sums[2]), 0, 1)
    return 2 * r / (1 + r)


def _profile(power: Doubles) -> Doubles:
    """Mean of the same half-hour of neighbouring workdays, or free days, without the fastest waves: what is
    fixed must not hold the chance of single weeks.
    """
    days = -(-len(power) // PER_DAY)
    padded = np.full(days * PER_DAY, np.nan)
    padded[: len(power)] = power
    table, free = padded.reshape(days, PER_DAY), np.arange(days) % 7 >= 5
    out = np.empty_like(table)
    for same_type in (free, ~free):
        own = pd.DataFrame(np.where(same_type[:, None], table, np.nan))
        near = own.rolling(7 * PROFILE_WEEKS, center=True, min_periods=1).mean().to_numpy()
        out[same_type] = near[same_type]
    waves = np.fft.rfft(out, axis=1)
    waves[:, WAVES + 1 :] = 0
    return np.fft.irfft(waves, PER_DAY, axis=1).ravel()[: len(power)]
