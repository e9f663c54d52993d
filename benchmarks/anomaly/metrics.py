"""How well anomalies are found: intervals of shares, and areas under precision–recall curves.

Areas are taken at a fixed prevalence, so that they do not depend on how rare the faults of a test are, over
thresholds that are dense at the few highest scores. VUS-PR is the volume under the surface of Paparrizos et
al. 2022 (Volume under the surface, PVLDB 15).
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

from smartgrid_pipeline.core.anomaly.interval_array import Array, Flags

PREVALENCE = 0.05


def wilson(found: int, tried: int) -> tuple[float, float]:
    """95 % interval of the share ``found / tried`` (Wilson 1927, Probable inference, JASA 22); (0, 1) without
    any try.
    """
    if tried == 0:
        return 0.0, 1.0
    interval = binomtest(found, tried).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)


@dataclass(frozen=True)
class Scored:
    """Scores around one event: ``inside`` marks the rows that are truly anomalous."""

    scores: Array
    inside: Flags


def thresholds(normal: Array, events: list[Scored], count: int = 400) -> Array:
    """Distinct scores at log-spaced ranks from the highest down, of events and of normal rows alike."""
    chosen = []
    for values in (np.concatenate([e.scores for e in events]), normal):
        ranked = np.sort(values[np.isfinite(values)])[::-1]
        if len(ranked):
            ranks = np.unique(np.round(np.geomspace(1, len(ranked), count)).astype(int)) - 1
            chosen.append(ranked[ranks])
    return np.unique(np.concatenate(chosen))[::-1]


def _soft(inside: Flags, buffer: int) -> Array:
    """Label of each row: 1 inside the event, falling to 0 with the root of the distance within ``buffer``."""
    labels = inside.astype(float)
    rows = np.flatnonzero(inside)
    if buffer == 0 or len(rows) == 0:
        return labels
    distance = np.minimum(
        np.abs(np.arange(len(inside)) - rows[0]), np.abs(np.arange(len(inside)) - rows[-1])
    ).astype(float)
    softened = np.sqrt(np.maximum(1 - distance / (buffer + 1), 0.0))
    return np.where(
        (np.arange(len(inside)) > rows[0]) & (np.arange(len(inside)) < rows[-1]),
        labels,
        np.maximum(labels, softened),
    )


def area(normal: Array, events: list[Scored], buffer: int = 0, prevalence: float = PREVALENCE) -> float:
    """Area under the precision–recall curve of events of equal weight, at a fixed prevalence.

    ``normal`` are scores of fault-free rows. Recall is the mean share of an event's rows above the threshold,
    rows in the soft buffer counted by their label, times the share of events with any such row. Precision
    weighs true rows by ``prevalence`` and false ones, as a share of ``normal``, by 1 − ``prevalence``. A
    perfect score has 1, a random one about ``prevalence``.
    """
    normal = np.sort(np.nan_to_num(normal, nan=-np.inf))
    levels = thresholds(normal, events)
    false = 1 - np.searchsorted(normal, levels, side="left") / max(len(normal), 1)
    found = np.zeros(len(levels))
    touched = np.zeros(len(levels))
    for event in events:
        labels = _soft(event.inside, buffer)
        scores = np.nan_to_num(event.scores, nan=-np.inf)
        order = np.argsort(-scores, kind="stable")
        mass = np.concatenate([[0.0], np.cumsum(labels[order])])
        above = np.searchsorted(-scores[order], -levels, side="right")
        found += np.minimum(mass[above] / max(event.inside.sum(), 1), 1.0)
        touched += mass[above] > 0
    found, touched = found / len(events), touched / len(events)
    true_weight, false_weight = prevalence * found, (1 - prevalence) * false
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(true_weight + false_weight > 0, true_weight / (true_weight + false_weight), 1.0)
    recall = np.maximum.accumulate(found * touched)
    return float(np.sum(np.diff(np.concatenate([[0.0], recall])) * precision))


def vus_pr(
    normal: Array, events: list[Scored], longest_buffer: int = 12, prevalence: float = PREVALENCE
) -> float:
    """VUS-PR (Paparrizos et al. 2022): ``area`` averaged over buffers of 0 to ``longest_buffer`` rows."""
    buffers = np.unique(np.linspace(0, longest_buffer, 5).astype(int))
    return float(np.mean([area(normal, events, int(buffer), prevalence) for buffer in buffers]))
