"""What all detectors of a meter work on, computed once from recorded readings."""

from dataclasses import dataclass

import numpy as np

from smartgrid_pipeline.core.anomaly.ensemble import features
from smartgrid_pipeline.core.anomaly.interval_array import Array, Flags, IntervalArray
from smartgrid_pipeline.core.anomaly.physics.hourly import HourlyAggregates, Learned, aggregate
from smartgrid_pipeline.core.anomaly.rules import rules


@dataclass(frozen=True)
class DetectorInputs:
    """Inputs of all detectors.

    ``recorded`` are the readings and ``hits`` what the rules found in them. The rest is computed without the
    readings that rules mask: ``features`` of the ensemble, (intervals,) by name, and the ``hourly``
    aggregates of the monitors. ``masked`` marks intervals with masked readings, (intervals,).
    """

    recorded: IntervalArray
    hits: list[rules.Hit]
    masked: Flags
    features: dict[str, Array]
    hourly: HourlyAggregates


def prepare(
    recorded: IntervalArray,
    limits: rules.Limits,
    learned: Learned,
    earlier: HourlyAggregates | None = None,
    with_rules: bool = True,
) -> DetectorInputs:
    """Inputs of readings. ``earlier`` hours, if given, stand before those of the readings; without rules no
    reading is masked.
    """
    hits = rules.hits(recorded, limits) if with_rules else []
    masked = masked_by_rules(recorded, hits)
    kept = recorded.where(~masked)
    hourly = aggregate(kept, learned)
    return DetectorInputs(
        recorded,
        hits,
        recorded.any(masked),
        features.build(kept),
        hourly.after(earlier) if earlier else hourly,
    )


def masked_by_rules(recorded: IntervalArray, hits: list[rules.Hit]) -> Flags:
    """Readings that a rule calls faulty, (readings,), from when its alarm is raised: earlier intervals cannot
    know of it. Faults of the grid are real measurements and stay.
    """
    masked = np.zeros(len(recorded.times), bool)
    for hit in hits:
        if hit.rule.alarm_class != "grid":
            masked[hit.raised : hit.end] = True
    return masked
