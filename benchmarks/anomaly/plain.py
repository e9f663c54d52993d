"""What the detector is measured against: its members alone, the raw-channel trio, and controls."""

from dataclasses import dataclass, field
from typing import Self

import numpy as np

from benchmarks.anomaly.controls import CONTROLS, Controls
from smartgrid_pipeline.core.anomaly.detector import AnomalyDetector
from smartgrid_pipeline.core.anomaly.ensemble.ensemble import Ensemble
from smartgrid_pipeline.core.anomaly.ensemble.members import MEMBERS
from smartgrid_pipeline.core.anomaly.events.events import DetectorInputs
from smartgrid_pipeline.core.anomaly.interval_array import Array, Flags, IntervalArray
from smartgrid_pipeline.core.anomaly.scoring import alarms

SYSTEMS = (*CONTROLS, "raw_trio", *MEMBERS, "vote_2_of_3", "ensemble", "ensemble_and_physics")
"""From nothing to everything but rules."""


def raw_inputs(stream: IntervalArray) -> dict[str, Array]:
    """The channels themselves, as the replaced project gave them to its three members."""
    return {channel: stream.mean(values) for channel, values in stream.values.items()}


@dataclass(frozen=True)
class Said:
    """Scores and alarms of every plain system, by its name, one for each interval."""

    scores: dict[str, Array]
    flags: dict[str, Flags]


@dataclass
class Plain:
    """Systems that see readings as recorded, each with the whole budget to itself."""

    thresholds: dict[str, float]
    raw: Ensemble
    controls: Controls
    clean: "Said" = field(default_factory=lambda: Said({}, {}))
    false_alarms: dict[str, float] = field(default_factory=dict)

    @classmethod
    def fit(
        cls,
        detector: AnomalyDetector,
        prepared: DetectorInputs,
        quiet: Flags,
        calibrate_from: np.datetime64,
        alone: dict[str, float],
    ) -> Self:
        """Fit them like the detector's own; ``quiet`` are clean intervals before the test year."""
        stream, inputs = prepared.stream, raw_inputs(prepared.stream)
        early = quiet & (stream.intervals < calibrate_from)
        later = quiet & ~early
        raw = Ensemble.fit(inputs, early, detector.seed)
        raw.calibrate(inputs, later)
        rows = detector.scaled_inputs(prepared)
        plain = cls({}, raw, Controls.fit(rows[early], detector.seed))
        scores = plain.controls.scores(rows, stream, 0)
        scores["raw_trio"] = plain._trio(stream, 0)
        gap = 60 * alarms.MERGE_HOURS // detector.meter.working_minutes
        months = alarms.months(int(later.sum()), 1440 // detector.meter.working_minutes)
        for name, score in scores.items():
            heights = alarms.peaks(np.where(later, score, np.nan), gap)
            plain.thresholds[name] = alarms.threshold_for(heights, detector.budget_per_month * months)
        plain.thresholds |= alone
        return plain

    def hear(
        self, detector: AnomalyDetector, prepared: DetectorInputs, before: DetectorInputs | None, first: int
    ) -> "Said":
        """What every plain system says from row ``first`` on."""
        unmasked = detector.prepare(prepared.stream, before.hours if before else None, with_rules=False)
        rarities = detector.listen(unmasked, first)
        scores = {name: rarities[name] for name in rarities if name in self.thresholds}
        flags = {name: alarms.hysteresis(score, self.thresholds[name]) for name, score in scores.items()}
        others = {"raw_trio": self._trio(prepared.stream, first)}
        others |= self.controls.scores(detector.scaled_inputs(unmasked, first), prepared.stream, first)
        flags |= {name: score >= self.thresholds[name] for name, score in others.items()}
        flags["vote_2_of_3"] = np.sum([flags[member] for member in MEMBERS], axis=0) >= 2
        shares = [rarities[member] / self.thresholds[member] for member in MEMBERS]
        voices = {k: v for k, v in detector.thresholds.items() if k not in MEMBERS}
        flags["ensemble_and_physics"] = np.any(
            [alarms.hysteresis(rarities[name], height) for name, height in voices.items()], axis=0
        )
        scores |= others | {
            "vote_2_of_3": np.sort(shares, axis=0)[1],
            "ensemble_and_physics": np.fmax.reduce([rarities[n] / height for n, height in voices.items()]),
        }
        return Said(scores, flags)

    def _trio(self, stream: IntervalArray, first: int) -> Array:
        inputs = {name: values[first:] for name, values in raw_inputs(stream).items()}
        return np.mean(list(self.raw.rarities(inputs).values()), axis=0)
