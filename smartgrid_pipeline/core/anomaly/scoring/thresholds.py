"""What each voice says of healthy readings: tails of the physical statistics, and the peaks of all voices."""

import numpy as np
import pandas as pd

from smartgrid_pipeline.core.anomaly.interval_array import Array, Flags, Times
from smartgrid_pipeline.core.anomaly.physics.hours import HourlyAggregates
from smartgrid_pipeline.core.anomaly.physics.monitor import Monitor
from smartgrid_pipeline.core.anomaly.scoring import alarms
from smartgrid_pipeline.core.anomaly.scoring.tails import FEWEST_SCORES, Tail

CALIBRATION_DAYS = 365

FEW_FAULTS = 3
"""So many faults, or one a month, may be in readings that judge themselves: more is a habit."""


def begins(first: pd.Timestamp, last: pd.Timestamp) -> np.datetime64:
    """Where fitting ends and thresholds are set from: the last year, or half of a shorter past."""
    half = max(last - pd.Timedelta(days=CALIBRATION_DAYS), first + (last - first) / 2)
    return np.datetime64(half.floor("D"), "m")


def most_faults(months: float) -> int:
    """How many faults readings of so many months may hold that are to be judged by what they teach."""
    return max(FEW_FAULTS, round(months))


def physical_tails(
    monitors: tuple[Monitor, ...], known: HourlyAggregates, intervals: Times, settled: Flags,
    rows_per_day: int, faults: int,
) -> dict[str, Tail]:  # fmt: skip
    """A tail for each window of each monitor that has enough to go by on the ``settled`` intervals."""
    tails = {}
    for monitor in monitors:
        for name, values in monitor.statistics(known).items():
            heard = np.where(settled, known.to_intervals(values, intervals), np.nan)
            if np.isfinite(heard).sum() >= FEWEST_SCORES:
                tails[f"{monitor.name}/{name}"] = Tail.of_returns(
                    heard, rows_per_day, faults, monitor.bell_shaped
                )
    return tails


def hear(
    rarity: Array, heard: Flags, later: Flags, gap_rows: int, months: float, faults: int
) -> alarms.CalibrationScores:
    """One voice on the intervals where it is heard; ``later`` marks those kept for what all say together.

    What is beyond habit does not count: it is to alarm, not to raise the threshold.
    """
    most = _beyond_habit(np.where(heard, rarity, np.nan), gap_rows, faults)
    rarity = np.where(rarity <= most, rarity, np.nan)
    rows = slice(int(np.flatnonzero(later)[0]), int(np.flatnonzero(later)[-1]) + 1)
    own = np.where(heard, rarity, np.nan)
    return alarms.CalibrationScores(
        alarms.peaks(own, gap_rows, alarms.HYSTERESIS),
        months,
        np.where(later, rarity, np.nan)[rows],
        None if heard is later else own,
        most,
    )


def _beyond_habit(rarity: Array, gap_rows: int, faults: int) -> float:
    """The rarity from which on readings that may hold so many faults hold one: ten times rarer than once in
    all of them. Infinite where what lies beyond comes too often for that.
    """
    if not faults:
        return float("inf")
    most = float(np.log10(max(np.isfinite(rarity).sum(), 1)) + 1)
    beyond = alarms.count(alarms.hysteresis(rarity, most), gap_rows)
    return most if beyond <= faults else float("inf")
