"""Anomaly scores of the physical monitors and of the ensemble, on the scale that all detectors share."""

from dataclasses import replace

import numpy as np

from smartgrid_pipeline.core.anomaly.interval_array import Array, Flags, Times
from smartgrid_pipeline.core.anomaly.physics import loads, monitors
from smartgrid_pipeline.core.anomaly.physics.hourly import HourlyAggregates
from smartgrid_pipeline.core.anomaly.scoring.tails import MIN_SCORES, Tail


def fit_monitor_tails(
    channels: tuple[str, ...],
    hourly: HourlyAggregates,
    intervals: Times,
    clean: Flags,
    rows_per_day: int,
    max_faults: int,
) -> dict[str, Tail]:
    """A tail of every window of every monitor, by "monitor/window", from the ``clean`` intervals.

    Windows with fewer than MIN_SCORES known values there get none.
    """
    tails = {}
    for monitor in monitors.active(channels):
        for window, values in monitor.statistics(hourly).items():
            known = np.where(clean, hourly.to_intervals(values, intervals), np.nan)
            if np.isfinite(known).sum() >= MIN_SCORES:
                tails[f"{monitor.name}/{window}"] = Tail.fit_return_periods(
                    known, rows_per_day, max_faults, monitor.symmetric
                )
    return tails


def has_tail(tails: dict[str, Tail], monitor: str) -> bool:
    """Whether a monitor has a tail for any of its windows; without one it is off."""
    return any(key.startswith(f"{monitor}/") for key in tails)


def monitor_scores(
    tails: dict[str, Tail], channels: tuple[str, ...], hourly: HourlyAggregates, intervals: Times
) -> dict[str, Array]:
    """Anomaly score of each monitor in each interval: the highest of its windows, (intervals,)."""
    scores = {}
    first = (intervals[0] - hourly.first_hour.astype("datetime64[m]")) // np.timedelta64(60, "m") - 1
    hourly = replace(hourly, from_row=max(0, int(first)))
    for monitor in monitors.active(channels):
        if not has_tail(tails, monitor.name):
            continue
        by_window = [
            tails[key].anomaly_score(values)
            for window, values in monitor.statistics(hourly).items()
            if (key := f"{monitor.name}/{window}") in tails
        ]
        scores[monitor.name] = hourly.to_intervals(np.fmax.reduce(by_window), intervals)
    return scores


def ensemble_score(members: dict[str, Array], hourly: HourlyAggregates, intervals: Times) -> Array:
    """Mean anomaly score of the ensemble members, (intervals,); NaN in a vacant home, which is rare but no
    fault.
    """
    vacant = hourly.to_intervals(loads.is_vacant(hourly).astype(float), intervals) == 1.0
    return np.where(vacant, np.nan, np.mean(list(members.values()), axis=0))
