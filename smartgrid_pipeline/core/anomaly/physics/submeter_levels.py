"""Power levels of sub-meters: how often each moves from level to level, and the levels it stays on."""

import numpy as np
import numpy.typing as npt

from smartgrid_pipeline.core.anomaly.interval_array import ALL_SUBS, Array, Flags, IntervalArray

EDGES_KW = np.array([0.03, 0.09, 0.15, 0.27, 0.57, 0.93, 1.11, 1.47, 2.07])
"""Edges between levels: steps of 1 Wh a minute while there are few of them, then constant ratios."""

LEVELS = len(EDGES_KW) + 1
TRANSITIONS = LEVELS * LEVELS

DWELL_EDGES_KW = np.concatenate([[0.09], 0.15 * 1.15 ** np.arange(22)])
DWELL_LEVELS = len(DWELL_EDGES_KW) + 1

BLUR = np.eye(DWELL_LEVELS)
BLUR[1:, 1:] += np.eye(len(DWELL_EDGES_KW), k=1) + np.eye(len(DWELL_EDGES_KW), k=-1)
"""Counts are shared with the neighbouring levels, the idle one excepted."""


def transitions(values: Array) -> tuple[Flags, npt.NDArray[np.int64]]:
    """For every reading whether it and the one before are known, and the index of the level transition."""
    known = ~np.isnan(values)
    levels = np.searchsorted(EDGES_KW, np.nan_to_num(values), side="right")
    before = np.concatenate([levels[:1], levels[:-1]])
    return known & np.concatenate([[False], known[:-1]]), before * LEVELS + levels


def count(recorded: IntervalArray, offset: int, hours: int) -> dict[str, Array]:
    """Per hour and sub-meter k: ``transitions_k`` (hours, TRANSITIONS) counts, and the number of readings
    that are above zero (``active_k``) and known (``observed_k``). ``offset`` readings are missing in hour 0.
    """
    hour = (offset + np.arange(len(recorded.times))) // (60 // recorded.meter.step_minutes)
    counts: dict[str, Array] = {}
    for k, sub in enumerate(ALL_SUBS):
        both, transition = transitions(recorded.values[sub])
        cells = hour[both] * TRANSITIONS + transition[both]
        flat = np.bincount(cells, minlength=hours * TRANSITIONS).astype(float)
        counts[f"transitions_{k}"] = flat.reshape(hours, TRANSITIONS)
        active = (np.nan_to_num(recorded.values[sub]) > 0).astype(float)
        observed = (~np.isnan(recorded.values[sub])).astype(float)
        counts[f"active_{k}"] = np.bincount(hour, active, hours).astype(float)
        counts[f"observed_{k}"] = np.bincount(hour, observed, hours).astype(float)
    return counts


def dwell(low: Array) -> Array:
    """The level that a sub-meter's lowest reading of each hour lies on, one-hot (hours, DWELL_LEVELS)."""
    level = np.searchsorted(DWELL_EDGES_KW, np.nan_to_num(low), side="right")
    out = np.zeros((len(low), DWELL_LEVELS))
    known = ~np.isnan(low)
    out[known, level[known]] = 1.0
    return out


def learn(recorded: IntervalArray) -> dict[str, Array]:
    """Counts of all transitions over clean readings, (3, TRANSITIONS)."""
    found = [transitions(recorded.values[sub]) for sub in ALL_SUBS]
    counts = [np.bincount(transition[both], minlength=TRANSITIONS) for both, transition in found]
    return {"submeter_transitions": np.stack(counts).astype(float)}
