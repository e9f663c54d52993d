"""What the detector is measured against: its members alone, without rules, and the raw-channel trio."""

from dataclasses import dataclass, field
from typing import Self

import numpy as np

from smartgrid_pipeline.core.anomaly import fusion
from smartgrid_pipeline.core.anomaly.detector import AnomalyDetector
from smartgrid_pipeline.core.anomaly.ensemble import Ensemble
from smartgrid_pipeline.core.anomaly.events import Prepared
from smartgrid_pipeline.core.anomaly.members import MEMBERS
from smartgrid_pipeline.core.anomaly.stream import Array, Flags, Stream


def raw_inputs(stream: Stream) -> dict[str, Array]:
    """The channels themselves, as the replaced project gave them to its three members."""
    return {channel: stream.mean(values) for channel, values in stream.values.items()}


@dataclass
class Plain:
    """Systems that see readings as recorded, each with the whole budget to itself."""

    thresholds: dict[str, float]
    raw: Ensemble
    twins: dict[str, Flags] = field(default_factory=dict)
    false_alarms: dict[str, float] = field(default_factory=dict)

    @classmethod
    def fit(
        cls,
        detector: AnomalyDetector,
        stream: Stream,
        quiet: Flags,
        calibrate_from: np.datetime64,
        alone: dict[str, float],
    ) -> Self:
        """Fit the raw trio like the detector's own; ``quiet`` are clean intervals before the test year."""
        inputs = raw_inputs(stream)
        early = quiet & (stream.intervals < calibrate_from)
        later = quiet & ~early
        raw = Ensemble.fit(inputs, early, detector.seed)
        raw.calibrate(inputs, later)
        average = np.mean(list(raw.rarities({k: v[later] for k, v in inputs.items()}).values()), axis=0)
        gap = 60 * fusion.MERGE_HOURS // detector.meter.working_minutes
        months = fusion.months(int(later.sum()), 1440 // detector.meter.working_minutes)
        height = fusion.threshold_for(fusion.peaks(average, gap), detector.budget_per_month * months)
        return cls(alone | {"raw_trio": height}, raw)

    def flags(
        self, detector: AnomalyDetector, prepared: Prepared, before: Prepared | None, first: int
    ) -> dict[str, Flags]:
        """Alarms of every plain system from row ``first`` on."""
        unmasked = detector.prepare(prepared.stream, before.hours if before else None, with_rules=False)
        rarities = detector.listen(unmasked, first)
        raw = {k: v[first:] for k, v in raw_inputs(prepared.stream).items()}
        rarities["raw_trio"] = np.mean(list(self.raw.rarities(raw).values()), axis=0)
        found = {name: fusion.hysteresis(rarities[name], height) for name, height in self.thresholds.items()}
        votes = np.sum([found[member] for member in MEMBERS], axis=0)
        voices = {k: v for k, v in detector.thresholds.items() if k not in MEMBERS}
        physical = [fusion.hysteresis(rarities[name], height) for name, height in voices.items()]
        return found | {"vote_2_of_3": votes >= 2, "ensemble_and_physics": np.any(physical, axis=0)}
