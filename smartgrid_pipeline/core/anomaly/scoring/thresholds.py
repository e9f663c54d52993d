"""Thresholds that keep a promised false-alarm rate: its split over detectors, calibration scores, the search.

A detector's threshold is not a guess at how contaminated the data are: it is set so that fault-free
calibration readings raise a target number of alarms a month. The target is the promised number divided by
DRIFT_FACTOR, .56 for 1 promised. Two targets are not divided: those of single ensemble members, and those of
readings that are searched themselves.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from smartgrid_pipeline.core.anomaly.interval_array import Array, Flags
from smartgrid_pipeline.core.anomaly.scoring import alarms

ALARM_WEIGHTS = {
    "ensemble": 0.36,
    "base_load_high": 0.26,
    "sub_silence": 0.08,
    "steady_load_high": 0.06,
    "base_load_low": 0.06,
    "never_off": 0.06,
    "loop_impedance": 0.06,
    "sub_exchange": 0.05,
    "voltage_clock": 0.05,
    "sub_rest": 0.04,
    "gain": 0.02,
    "flat": 0.01,
    "excess": 0.005,
    "voltage_level": 0.005,
    "phase_angle": 0.005,
}
"""Weight of each detector in the false-alarm rate; a meter's own weights are divided by their sum. Physical
monitors that separate faults from normal operation well need little."""

DRIFT_FACTOR = 1.8
"""Homes change: in the year after they were set, thresholds raise this many times as many alarms."""

CALIBRATION_DAYS = 365

MIN_FAULTS = 3
"""Readings that are calibrated on and searched for faults may hold this many, or one a month if that is more;
what is seen more often is normal."""


def calibration_rate(false_alarms_per_month: float) -> float:
    """Target rate on calibration readings: the promised rate / DRIFT_FACTOR."""
    return false_alarms_per_month / DRIFT_FACTOR


def calibration_start(first: pd.Timestamp, last: pd.Timestamp) -> np.datetime64:
    """Where training ends and calibration begins: the last year, or the second half of a shorter history."""
    half = max(last - pd.Timedelta(days=CALIBRATION_DAYS), first + (last - first) / 2)
    return np.datetime64(half.floor("D"), "m")


def max_faults(months: float) -> int:
    """How many faults may be in ``months`` of readings that are calibrated on and searched for faults."""
    return max(MIN_FAULTS, round(months))


def threshold_for(peaks: Array, alarm_count: float) -> float:
    """The threshold at which a score with these peaks (highest first) raises about ``alarm_count`` alarms.

    Between whole numbers the threshold is interpolated. Below one alarm it lies above the highest peak by
    −log10 of the count: an anomaly score one higher is ten times rarer. Infinite without any peak.
    """
    peaks = peaks[np.isfinite(peaks)]
    if len(peaks) == 0:
        return float("inf")
    if alarm_count < 1:
        return float(peaks[0] - np.log10(max(alarm_count, 1e-3)))
    return float(np.interp(alarm_count, np.arange(1, len(peaks) + 1), peaks)) + 1e-9


@dataclass(frozen=True)
class CalibrationScores:
    """Anomaly scores of one detector on fault-free readings, from which its threshold is set.

    ``peaks``: peaks of the score, highest first, over ``months``. ``holdout``: the score on the held-out
    rows, which no ensemble member was trained on. ``full_span``: the score on the whole span, None for a
    detector that was trained on its first part (the ensemble). ``fault_score``: a score from which on there
    is a fault whatever the false-alarm rate.
    """

    peaks: Array
    months: float
    holdout: Array
    full_span: Array | None = None
    fault_score: float = np.inf


def collect(
    scores: Array, rows: Flags, holdout: Flags, merge_distance: int, months: float, faults: int
) -> CalibrationScores:
    """Calibration scores of one detector on the flagged ``rows``, ``months`` in all.

    Up to ``faults`` faults may be in the readings: scores beyond ``_fault_score`` are left out, since they
    are to raise alarms and not thresholds.
    """
    fault_score = _fault_score(np.where(rows, scores, np.nan), merge_distance, faults)
    scores = np.where(scores <= fault_score, scores, np.nan)
    span = slice(int(np.flatnonzero(holdout)[0]), int(np.flatnonzero(holdout)[-1]) + 1)
    own = np.where(rows, scores, np.nan)
    return CalibrationScores(
        alarms.peaks(own, merge_distance, alarms.HYSTERESIS),
        months,
        np.where(holdout, scores, np.nan)[span],
        None if rows is holdout else own,
        fault_score,
    )


def _fault_score(scores: Array, merge_distance: int, faults: int) -> float:
    """The score of what comes once in ten times the calibration readings: from there on it is a fault.

    Infinite where no faults are expected, or where more than ``faults`` alarms lie beyond that score.
    """
    if not faults:
        return float("inf")
    highest = float(np.log10(max(np.isfinite(scores).sum(), 1)) + 1)
    beyond = alarms.count(alarms.hysteresis(scores, highest), merge_distance)
    return highest if beyond <= faults else float("inf")


@dataclass(frozen=True)
class Calibration:
    """Calibration scores of all detectors and of the single ensemble members, by name.

    ``months`` is the length of the held-out part, ``merge_distance`` the intervals between separate alarms.
    """

    scores: dict[str, CalibrationScores]
    months: float
    merge_distance: int

    def single_threshold(self, name: str, false_alarms_per_month: float) -> float:
        """The threshold at which one detector alone raises this many alarms a month."""
        own = self.scores[name]
        return threshold_for(own.peaks, false_alarms_per_month * own.months)

    def thresholds(self, detectors: Iterable[str], false_alarms_per_month: float) -> dict[str, float]:
        """Thresholds at which these detectors together raise this many alarms a month.

        Each detector gets its share of the rate over its own calibration months. Since alarms of several
        detectors merge into one event, all shares are multiplied by one factor (found by bisection) until
        the combined rate is met as closely as whole alarms allow.
        """
        scores = {name: self.scores[name] for name in detectors}
        total = sum(ALARM_WEIGHTS[name] for name in scores)
        thresholds: dict[str, float] = {}
        low, high = 0.1, 10.0
        for _ in range(14):
            factor = (low * high) ** 0.5
            thresholds = {
                name: min(
                    threshold_for(
                        own.peaks, factor * ALARM_WEIGHTS[name] / total * false_alarms_per_month * own.months
                    ),
                    own.fault_score,
                )
                for name, own in scores.items()
            }
            if self._combined_rate(scores, thresholds) > false_alarms_per_month:
                high = factor
            else:
                low = factor
        return thresholds

    def _combined_rate(self, scores: dict[str, CalibrationScores], thresholds: dict[str, float]) -> float:
        """Alarms a month of all detectors together.

        Detectors with a full span are counted over it; the others contribute the alarms that they add to
        those of the former on the held-out rows.
        """
        holdout = {name: alarms.hysteresis(own.holdout, thresholds[name]) for name, own in scores.items()}
        events = alarms.count(np.any(list(holdout.values()), axis=0), self.merge_distance)
        full = {name: own.full_span for name, own in scores.items() if own.full_span is not None}
        if not full:
            return events / self.months
        events -= alarms.count(np.any([holdout[name] for name in full], axis=0), self.merge_distance)
        on = [alarms.hysteresis(values, thresholds[name]) for name, values in full.items()]
        full_months = scores[next(iter(full))].months
        return events / self.months + alarms.count(np.any(on, axis=0), self.merge_distance) / full_months
