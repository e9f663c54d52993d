"""Systems without rules to compare the detector with: its members, the same on raw channels, controls."""

from dataclasses import dataclass, field
from typing import Self

import numpy as np

from benchmarks.anomaly.controls import CONTROLS, Controls
from smartgrid_pipeline.core.anomaly.detector import AnomalyDetector
from smartgrid_pipeline.core.anomaly.ensemble.ensemble import Ensemble
from smartgrid_pipeline.core.anomaly.ensemble.members import MEMBERS
from smartgrid_pipeline.core.anomaly.inputs import DetectorInputs
from smartgrid_pipeline.core.anomaly.interval_array import Array, Flags, IntervalArray
from smartgrid_pipeline.core.anomaly.scoring import alarms, tails, thresholds
from smartgrid_pipeline.core.anomaly.scoring.tails import Tail

SYSTEMS = (*CONTROLS, "raw_trio", *MEMBERS, "vote_2_of_3", "ensemble", "ensemble_and_physics")
"""From no information at all to everything but rules."""


def raw_channels(recorded: IntervalArray) -> dict[str, Array]:
    """The channels themselves by name, (intervals,): features of the project that this one replaced."""
    return {channel: recorded.mean(values) for channel, values in recorded.values.items()}


@dataclass(frozen=True)
class SystemScores:
    """Scores and alarms of every system by its name, (intervals,)."""

    scores: dict[str, Array]
    flags: dict[str, Flags]


@dataclass
class Baselines:
    """Systems that get readings unmasked, each with the whole false-alarm rate to itself.

    ``raw`` is the ensemble on raw channels with its ``raw_tails``; ``clean`` are scores and alarms in the
    clean test year, and ``false_alarms`` the alarms a month there.
    """

    thresholds: dict[str, float]
    raw: Ensemble
    raw_tails: dict[str, Tail]
    controls: Controls
    clean: "SystemScores" = field(default_factory=lambda: SystemScores({}, {}))
    false_alarms: dict[str, float] = field(default_factory=dict)

    @classmethod
    def fit(
        cls,
        detector: AnomalyDetector,
        prepared: DetectorInputs,
        clean_rows: Flags,
        calibrate_from: np.datetime64,
        single_thresholds: dict[str, float],
    ) -> Self:
        """Train on ``clean_rows`` (intervals) before ``calibrate_from``, set thresholds on those after it.

        ``single_thresholds`` are those of the detector's members and ensemble alone.
        """
        recorded, channels = prepared.recorded, raw_channels(prepared.recorded)
        early = clean_rows & (recorded.intervals < calibrate_from)
        holdout = clean_rows & ~early
        raw = Ensemble.fit(channels, early, detector.seed)
        held_out = {name: values[holdout] for name, values in channels.items()}
        rows = detector.scaled_features(prepared)
        baselines = cls(
            {}, raw, tails.fit_tails(raw.scores(held_out)), Controls.fit(rows[early], detector.seed)
        )
        scores = baselines.controls.scores(rows, recorded, 0)
        scores["raw_trio"] = baselines._trio(recorded, 0)
        merge_distance = 60 * alarms.MERGE_HOURS // detector.meter.working_minutes
        months = alarms.months(int(holdout.sum()), 1440 // detector.meter.working_minutes)
        for name, score in scores.items():
            peaks = alarms.peaks(np.where(holdout, score, np.nan), merge_distance)
            baselines.thresholds[name] = thresholds.threshold_for(
                peaks, detector.false_alarms_per_month * months
            )
        baselines.thresholds |= single_thresholds
        return baselines

    def score(
        self, detector: AnomalyDetector, prepared: DetectorInputs, before: DetectorInputs | None, first: int
    ) -> "SystemScores":
        """Scores and alarms of every system from row ``first`` on; ``before`` are inputs of earlier days."""
        unmasked = detector.prepare(prepared.recorded, before.hourly if before else None, with_rules=False)
        anomaly_scores = detector.score(unmasked, first)
        scores = {name: anomaly_scores[name] for name in anomaly_scores if name in self.thresholds}
        flags = {name: alarms.hysteresis(score, self.thresholds[name]) for name, score in scores.items()}
        others = {"raw_trio": self._trio(prepared.recorded, first)}
        others |= self.controls.scores(detector.scaled_features(unmasked, first), prepared.recorded, first)
        flags |= {name: score >= self.thresholds[name] for name, score in others.items()}
        flags["vote_2_of_3"] = np.sum([flags[member] for member in MEMBERS], axis=0) >= 2
        shares = [anomaly_scores[member] / self.thresholds[member] for member in MEMBERS]
        detector_thresholds = {k: v for k, v in detector.thresholds.items() if k not in MEMBERS}
        flags["ensemble_and_physics"] = np.any(
            [
                alarms.hysteresis(anomaly_scores[name], threshold)
                for name, threshold in detector_thresholds.items()
            ],
            axis=0,
        )
        scores |= others | {
            "vote_2_of_3": np.sort(shares, axis=0)[1],
            "ensemble_and_physics": np.fmax.reduce(
                [anomaly_scores[n] / threshold for n, threshold in detector_thresholds.items()]
            ),
        }
        return SystemScores(scores, flags)

    def _trio(self, recorded: IntervalArray, first: int) -> Array:
        channels = {name: values[first:] for name, values in raw_channels(recorded).items()}
        scores = tails.anomaly_scores(self.raw_tails, self.raw.scores(channels))
        return np.mean(list(scores.values()), axis=0)
