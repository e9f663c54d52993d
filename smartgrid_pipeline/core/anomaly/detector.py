"""The anomaly detector of one meter: fit on its past, detect in new readings, save and load."""

from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from smartgrid_pipeline.core import meter_data
from smartgrid_pipeline.core.anomaly import inputs
from smartgrid_pipeline.core.anomaly.detection import Detection
from smartgrid_pipeline.core.anomaly.ensemble import features
from smartgrid_pipeline.core.anomaly.ensemble.ensemble import Ensemble
from smartgrid_pipeline.core.anomaly.ensemble.members import MEMBERS, Matrix
from smartgrid_pipeline.core.anomaly.events.events import build_events
from smartgrid_pipeline.core.anomaly.events.scores_table import detector_scores, scores_table
from smartgrid_pipeline.core.anomaly.inputs import DetectorInputs
from smartgrid_pipeline.core.anomaly.interval_array import Array, Flags, IntervalArray
from smartgrid_pipeline.core.anomaly.physics import hourly, monitors
from smartgrid_pipeline.core.anomaly.physics.hourly import HourlyAggregates
from smartgrid_pipeline.core.anomaly.rules import limits, rules
from smartgrid_pipeline.core.anomaly.scoring import alarms, scores, tails, thresholds
from smartgrid_pipeline.core.anomaly.scoring.thresholds import Calibration
from smartgrid_pipeline.core.anomaly.storage import DetectorFile
from smartgrid_pipeline.core.schema import DataError, Meter, ModelError

__all__ = ["AnomalyDetector", "Detection"]

SHORT_CONTEXT_DAYS = 10
"""Days of readings before the first scored one that rules and features need."""

CONTEXT_DAYS = hourly.REFERENCE_DAYS + hourly.LAG_DAYS + 9
"""Days of readings before the first scored one that all scores depend on."""

MIN_DAYS = 14
"""Clean days that are needed for training, and again for calibration."""

PROMISE_KEY = "budget_per_month"
"""Key of the promised false alarms a month in saved detectors and tracking runs."""


class AnomalyDetector:
    """Finds faults in a meter's readings at about ``false_alarms_per_month`` false alarms a month."""

    def __init__(
        self, false_alarms_per_month: float = 1.0, seed: int = 0, price_per_kwh: float = 0.25
    ) -> None:
        if not false_alarms_per_month > 0:
            raise ModelError(
                f"The rate of false alarms must be above 0 a month: found {false_alarms_per_month}."
            )
        self.false_alarms_per_month = false_alarms_per_month
        self.seed = seed
        self.price_per_kwh = price_per_kwh
        self._meter: Meter | None = None
        self._contaminated = False
        self._calibration: Calibration | None = None

    # --- fit ---------------------------------------------------------------------------------------------

    def fit(
        self,
        readings: pd.DataFrame,
        meter: Meter,
        calibrate_from: np.datetime64,
        contaminated: bool = False,
    ) -> None:
        """Train on clean rows before ``calibrate_from``, then set tails and thresholds.

        Ensemble members are calibrated on clean intervals after ``calibrate_from``, monitors also on earlier
        clean intervals, where their references are full. ``readings`` are as recorded, on the
        meter's grid. ``contaminated`` readings are to be searched themselves and may hold the very faults
        that are sought. Their thresholds are set for the promised rate itself, not divided by DRIFT_FACTOR.
        Raises DataError when either part is short.
        """
        recorded = IntervalArray.from_readings(readings, meter)
        clean = np.zeros(len(recorded.times), bool)
        defects = meter_data.defect_types(readings).to_numpy()
        clean[recorded.first_row : recorded.first_row + recorded.rows] = defects == ""
        early = clean & (recorded.times < calibrate_from.astype("datetime64[m]"))
        if early.sum() * meter.step_minutes < MIN_DAYS * 1440:
            raise DataError(
                f"Too little to learn from: found {early.sum()} clean readings before {calibrate_from}, at "
                f"least {MIN_DAYS} days are needed."
            )
        self._meter, self._contaminated = meter, contaminated
        training = clean if contaminated else early
        self._limits = limits.learn_limits(recorded, training, contaminated)
        if contaminated:
            hits = rules.hits(recorded, self._limits)
            training = training & ~inputs.masked_by_rules(recorded, hits)
        known = recorded.where(training)
        self._learned = hourly.learn_constants(known)
        self._learned |= monitors.learn_references(hourly.aggregate(known, self._learned))
        prepared = self.prepare(recorded)
        merge_distance = recorded.per_hours(alarms.MERGE_HOURS)
        clean = recorded.any(clean) & ~alarms.dilate(prepared.masked, merge_distance)
        warm = np.arange(len(recorded.intervals)) >= recorded.per_hours(24 * features.CONTEXT_DAYS)
        early = clean & warm & (recorded.intervals < calibrate_from)
        self._ensemble = Ensemble.fit(prepared.features, early, self.seed)
        self._calibrate(prepared, clean, clean & (recorded.intervals >= calibrate_from))

    def _calibrate(self, prepared: DetectorInputs, clean: Flags, holdout: Flags) -> None:
        """Fit tails and set thresholds on ``clean`` intervals, of which ``holdout`` are after the training.

        Members are calibrated on the holdout only. Monitors are not trained: they are calibrated on all clean
        intervals but those before the holdout whose reference is not full.
        """
        rows_per_day = prepared.recorded.per_hours(24)
        days = holdout.sum() / rows_per_day
        if days < MIN_DAYS:
            raise DataError(
                f"Too little to calibrate on: found {days:.1f} clean days, at least {MIN_DAYS} are needed; "
                "choose an earlier calibrate_from or give more readings."
            )
        warm = np.arange(len(clean)) >= CONTEXT_DAYS * rows_per_day
        full = clean & (self._contaminated | holdout | warm)
        months = alarms.months(int(full.sum()), rows_per_day)
        faults = thresholds.max_faults(months) if self._contaminated else 0
        held_out = {name: values[holdout] for name, values in prepared.features.items()}
        self._tails = tails.fit_tails(self._ensemble.scores(held_out)) | scores.fit_monitor_tails(
            self.meter.channels, prepared.hourly, prepared.recorded.intervals, full, rows_per_day, faults
        )
        merge_distance = 60 * alarms.MERGE_HOURS // self.meter.working_minutes
        holdout_months = days / alarms.MONTH_DAYS
        collected = {}
        for name, values in self.score(prepared).items():
            rows, length = (full, months) if name in monitors.BY_NAME else (holdout, holdout_months)
            collected[name] = thresholds.collect(values, rows, holdout, merge_distance, length, faults)
        self._calibration = Calibration(collected, holdout_months, merge_distance)
        self.set_thresholds(self.false_alarms_per_month)

    def set_thresholds(self, false_alarms_per_month: float) -> None:
        """Set thresholds for another promised rate of false alarms. Raises ModelError on a loaded detector.

        Calibration readings are to raise the promised rate divided by DRIFT_FACTOR, or the promised rate
        itself where they are the readings to be searched (``contaminated``). Members alone get the promised
        rate.
        """
        calibration = self._require_calibration()
        self.false_alarms_per_month = false_alarms_per_month
        detectors = ["ensemble", *(name for name in monitors.BY_NAME if name in calibration.scores)]
        rate = (
            false_alarms_per_month
            if self._contaminated
            else thresholds.calibration_rate(false_alarms_per_month)
        )
        self._thresholds = calibration.thresholds(detectors, rate)
        self._thresholds |= {name: self.single_threshold(name, false_alarms_per_month) for name in MEMBERS}

    def single_threshold(self, name: str, false_alarms_per_month: float) -> float:
        """The threshold at which one detector or member alone raises this many alarms a month on the
        calibration readings; the rate is not divided by DRIFT_FACTOR. Raises ModelError on a loaded detector.
        """
        return self._require_calibration().single_threshold(name, false_alarms_per_month)

    def _require_calibration(self) -> Calibration:
        if self._calibration is None:
            raise ModelError(
                "A loaded detector keeps its thresholds: fit again for another rate of false alarms."
            )
        return self._calibration

    # --- detect ------------------------------------------------------------------------------------------

    def detect(self, readings: pd.DataFrame, since: np.datetime64 | None = None) -> Detection:
        """Scores and events of readings as recorded; rows before ``since`` are context only.

        Scores depend on nothing older than ``context_days`` before them. Raises ModelError when not fitted.
        """
        return self.detect_prepared(self.prepare(IntervalArray.from_readings(readings, self.meter)), since)

    def prepare(
        self, recorded: IntervalArray, earlier: HourlyAggregates | None = None, with_rules: bool = True
    ) -> DetectorInputs:
        """Inputs of all detectors. With ``earlier`` hours, of inputs before these, the readings need only
        reach SHORT_CONTEXT_DAYS back.
        """
        return inputs.prepare(recorded, self._limits, self._learned, earlier, with_rules)

    def score(self, prepared: DetectorInputs, first: int = 0) -> dict[str, Array]:
        """Anomaly score of every detector and member in each interval from row ``first`` on."""
        intervals = prepared.recorded.intervals[first:]
        recent = {name: values[first:] for name, values in prepared.features.items()}
        members = tails.anomaly_scores(self._tails, self._ensemble.scores(recent))
        found = scores.monitor_scores(self._tails, self.meter.channels, prepared.hourly, intervals)
        found["ensemble"] = scores.ensemble_score(members, prepared.hourly, intervals)
        return found | members

    def scaled_features(self, prepared: DetectorInputs, first: int = 0) -> Matrix:
        """Scaled features of the members from row ``first`` on, (intervals, features)."""
        return self._ensemble.scaled({name: values[first:] for name, values in prepared.features.items()})

    def detect_prepared(self, prepared: DetectorInputs, since: np.datetime64 | None = None) -> Detection:
        """Scores and events of prepared inputs from ``since`` on."""
        first = 0 if since is None else int(np.searchsorted(prepared.recorded.intervals, since))
        return self.build_detection(prepared, first, self.score(prepared, first))

    def build_detection(
        self, prepared: DetectorInputs, first: int, anomaly_scores: dict[str, Array]
    ) -> Detection:
        """The scores table and the events of anomaly scores that begin with row ``first``."""
        detectors = detector_scores(anomaly_scores, self._thresholds)
        members = {name: anomaly_scores[name] for name in MEMBERS}
        votes = np.sum([values >= self._thresholds[name] for name, values in members.items()], axis=0)
        table = scores_table(prepared, detectors, members, votes, first)
        events = build_events(prepared, detectors, first, self._ensemble, self.price_per_kwh)
        return Detection(table, events, self.inactive_monitors)

    # --- what was learned --------------------------------------------------------------------------------

    @property
    def meter(self) -> Meter:
        """The meter this detector was fitted on. Raises ModelError when it was not fitted."""
        if self._meter is None:
            raise ModelError("This detector was not fitted: call fit or load first.")
        return self._meter

    @property
    def thresholds(self) -> dict[str, float]:
        """Anomaly score at which each detector raises an alarm and each member votes."""
        return dict(self._thresholds)

    @property
    def learned(self) -> dict[str, Array]:
        """Constants and references that the monitors learned of this meter."""
        return dict(self._learned)

    @property
    def context_days(self) -> int:
        """Days of readings before the first scored one that all scores depend on."""
        return CONTEXT_DAYS

    @property
    def inactive_monitors(self) -> tuple[str, ...]:
        """Names of the rules and monitors that this meter's channels do not allow."""
        if self._meter is None:
            return ()
        have = set(self._meter.channels)
        off = [rule.name for rule in rules.RULES if not set(rule.channels) <= have]
        return tuple(off + [name for name in monitors.BY_NAME if not scores.has_tail(self._tails, name)])

    def parameters(self) -> dict[str, Any]:
        """Settings and what was learned, flat, for the tracking run."""
        flat: dict[str, Any] = self._settings()
        if self._meter is not None:
            flat |= {"meter_id": self._meter.meter_id, "inputs": len(self._ensemble.names)}
            flat |= {f"threshold_{name}": value for name, value in self._thresholds.items()}
            flat |= {f"limit_{name}": value for name, value in self._limits.items()}
            flat["monitors_off"] = ",".join(self.inactive_monitors)
        return flat

    # --- save and load -----------------------------------------------------------------------------------

    def _settings(self) -> dict[str, Any]:
        return {
            PROMISE_KEY: self.false_alarms_per_month,
            "seed": self.seed,
            "price_per_kwh": self.price_per_kwh,
        }

    def save(self, directory: Path) -> None:
        """Write the detector into an existing directory. Raises ModelError when not fitted."""
        DetectorFile(
            self._settings(), self.meter, self._limits, self._thresholds, self._tails, self._ensemble,
            self._learned,
        ).write(directory)  # fmt: skip

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Read what ``save`` wrote. Raises ModelError when files are missing or of another format."""
        found = DetectorFile.read(directory)
        settings = dict(found.settings)
        detector = cls(settings.pop(PROMISE_KEY), **settings)
        detector._meter, detector._limits, detector._thresholds = found.meter, found.limits, found.thresholds
        detector._tails, detector._ensemble, detector._learned = found.tails, found.ensemble, found.learned
        return detector
