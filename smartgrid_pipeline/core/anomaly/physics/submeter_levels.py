"""How sub-meters move between levels: counts per hour, and how probable they are by a meter's own past."""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from smartgrid_pipeline.core.anomaly.interval_array import ALL_SUBS, Array, IntervalArray

if TYPE_CHECKING:
    from smartgrid_pipeline.core.anomaly.physics.hours import HourlyAggregates

    pass

EDGES_KW = np.array([0.03, 0.09, 0.15, 0.27, 0.57, 0.93, 1.11, 1.47, 2.07])
"""Between the levels of a sub-meter: whole watt-hours a minute while they are few, then by shares."""

LEVELS = len(EDGES_KW) + 1
MOVES = LEVELS * LEVELS
LEARNED_MINUTES = 20 * 1440
"""How much of what was learned stands in for reference days that are missing."""

SMALLEST_LOG = -9.0
MOST_NATS = 1.5
"""One minute may say so much for an exchange at most."""


def moves(values: Array) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
    """For every reading whether it and the one before are known, and the move between their levels."""
    known = ~np.isnan(values)
    levels = np.searchsorted(EDGES_KW, np.nan_to_num(values), side="right")
    before = np.concatenate([levels[:1], levels[:-1]])
    return known & np.concatenate([[False], known[:-1]]), before * LEVELS + levels


def count(stream: IntervalArray, lead: int, hours: int) -> dict[str, Array]:
    """How often each sub-meter made each move in each hour, (hours, MOVES), or showed anything at all."""
    hour = (lead + np.arange(len(stream.times))) // (60 // stream.meter.step_minutes)
    counts: dict[str, Array] = {}
    for k, sub in enumerate(ALL_SUBS):
        both, move = moves(stream.values[sub])
        cells = hour[both] * MOVES + move[both]
        flat = np.bincount(cells, minlength=hours * MOVES).astype(float)
        counts[f"moves_{k}"] = flat.reshape(hours, MOVES)
        shown = (np.nan_to_num(stream.values[sub]) > 0).astype(float)
        heard = (~np.isnan(stream.values[sub])).astype(float)
        counts[f"shown_{k}"] = np.bincount(hour, shown, hours).astype(float)
        counts[f"heard_{k}"] = np.bincount(hour, heard, hours).astype(float)
    return counts


def learn(stream: IntervalArray) -> dict[str, Array]:
    """Counts of all moves over clean readings, (3, MOVES); resting levels are learned as they come."""
    found = [moves(stream.values[sub]) for sub in ALL_SUBS]
    counts = [np.bincount(move[both], minlength=MOVES) for both, move in found]
    return {"sub_moves": np.stack(counts).astype(float)}


def log_probabilities(
    hours: "HourlyAggregates", name: str, learned_mass: float, blur: Array | None = None
) -> Array:
    """Log share of each move or resting level of each sub-meter on its own reference days, (days, 3, cells).

    Row 0 is before the first reference day; ``HourlyAggregates.reference_day() + 1`` is the row of an hour.
    """
    usual = hours.learned[f"sub_{name}"]
    usual = usual / np.maximum(usual.sum(1, keepdims=True), 1.0) * learned_mass
    logs = []
    for k in range(3):
        daily = hours.last_days(hours.sums[f"{name}_{k}"])
        missing = np.clip(1 - daily.sum(1) / learned_mass, 0, 1)
        counts = daily + missing[:, None] * usual[k]
        counts = (counts if blur is None else counts @ blur) + 0.2
        logs.append(np.log(counts / counts.sum(1, keepdims=True)))
    return np.maximum(np.stack(logs, axis=1), SMALLEST_LOG)


def _by_day(hours: "HourlyAggregates", days: int) -> list[tuple[int, slice]]:
    """Hours that share a reference day: its row and their rows."""
    row = np.clip(hours.reference_day() + 1, 0, days - 1)
    starts = np.flatnonzero(np.diff(row, prepend=-1))
    ends = np.append(starts[1:], hours.n)
    return [(int(row[a]), slice(int(a), int(b))) for a, b in zip(starts, ends, strict=True)]


def preferences(hours: "HourlyAggregates") -> Array:
    """How much better the past of sub-meter ``b`` explains what ``a`` recorded than its own, (hours, a, b).

    Bounded per move, so that one strange machine does not outweigh hours.
    """
    logs = log_probabilities(hours, "moves", LEARNED_MINUTES / hours.step_minutes)
    out = np.zeros((hours.n, 3, 3))
    for day, rows in _by_day(hours, len(logs)):
        for a in range(3):
            better = np.clip(logs[day] - logs[day, a], -MOST_NATS, MOST_NATS)
            out[rows, a] = hours.sums[f"moves_{a}"][rows] @ better.T
    return out * hours.step_minutes


def rest_surprises(hours: "HourlyAggregates") -> list[Array]:
    """How improbable the levels are that each sub-meter did not leave downwards, nats per hour."""
    return _surprises(hours, "rests", log_probabilities(hours, "rests", 20 * 24.0, BLUR))


def _surprises(hours: "HourlyAggregates", name: str, logs: Array) -> list[Array]:
    out = np.zeros((3, hours.n))
    for day, rows in _by_day(hours, len(logs)):
        for k in range(3):
            out[k, rows] = -(hours.sums[f"{name}_{k}"][rows] @ logs[day, k])
    return list(out)


REST_EDGES_KW = np.concatenate([[0.09], 0.15 * 1.15 ** np.arange(22)])

BLUR = np.eye(len(REST_EDGES_KW) + 1)
BLUR[1:, 1:] += np.eye(len(REST_EDGES_KW), k=1) + np.eye(len(REST_EDGES_KW), k=-1)
"""Levels next to a known one are as good as known, idleness excepted."""


def rests(low: Array) -> Array:
    """Which level a sub-meter never went below in each hour, one-hot (hours, levels); idle is the first."""
    level = np.searchsorted(REST_EDGES_KW, np.nan_to_num(low), side="right")
    out = np.zeros((len(low), len(REST_EDGES_KW) + 1))
    known = ~np.isnan(low)
    out[known, level[known]] = 1.0
    return out
