"""The anomaly detector of one meter: rules, physics and ensemble, fused under a budget of false alarms."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from smartgrid_pipeline.core import meter_data
from smartgrid_pipeline.core.anomaly.detection import Detection
from smartgrid_pipeline.core.anomaly.ensemble import ensemble, features
from smartgrid_pipeline.core.anomaly.ensemble.members import MEMBERS, Matrix
from smartgrid_pipeline.core.anomaly.events.events import DetectorInputs, describe
from smartgrid_pipeline.core.anomaly.interval_array import Array, Flags, IntervalArray, Times
from smartgrid_pipeline.core.anomaly.physics import hourly, hours, loads, monitors
from smartgrid_pipeline.core.anomaly.physics.hours import HourlyAggregates
from smartgrid_pipeline.core.anomaly.rules import limits, rules
from smartgrid_pipeline.core.anomaly.scoring import alarms, false_alarm_rate
from smartgrid_pipeline.core.anomaly.scoring import thresholds as calibration
from smartgrid_pipeline.core.anomaly.scoring.alarms import DetectorScore
from smartgrid_pipeline.core.anomaly.storage import Contents
from smartgrid_pipeline.core.schema import INTERVAL_START, DataError, Meter, ModelError

__all__ = ["AnomalyDetector", "Detection"]

SHORT_CONTEXT_DAYS = 10
"""Readings before the first judged one that rules and inputs need."""

CONTEXT_DAYS = hours.REFERENCE_DAYS + hours.LAG_DAYS + 9
"""Days before the first judged one that make every score what it is in the whole."""


class AnomalyDetector:
    """Learns what is normal for a meter and raises at most about ``budget_per_month`` false alarms."""

    def __init__(self, budget_per_month: float = 1.0, seed: int = 0, price_per_kwh: float = 0.25) -> None:
        if not budget_per_month > 0:
            raise ModelError(f"A budget must be above 0 alarms a month: found {budget_per_month}.")
        self.budget_per_month = budget_per_month
        self.seed = seed
        self.price_per_kwh = price_per_kwh
        self._meter: Meter | None = None
        self._judges_itself = False
        self._heard: dict[str, alarms.CalibrationScores] = {}

    def fit(
        self,
        readings: pd.DataFrame,
        meter: Meter,
        calibrate_from: np.datetime64,
        contaminated: bool = False,
    ) -> None:
        """Learn members on clean rows before ``calibrate_from``, tails and thresholds on those after it.

        ``readings`` are as recorded, on the meter's grid; ``contaminated`` ones are themselves to be judged
        and may hold what they should teach to find. Raises DataError when either part is too short.
        """
        stream = IntervalArray.from_readings(readings, meter)
        clean = np.zeros(len(stream.times), bool)
        kinds = meter_data.defect_types(readings).to_numpy()
        clean[stream.first_row : stream.first_row + stream.rows] = kinds == ""
        early = clean & (stream.times < calibrate_from.astype("datetime64[m]"))
        if early.sum() * meter.step_minutes < 14 * 1440:
            raise DataError(
                f"Too little to learn from: found {early.sum()} clean readings before {calibrate_from}, at "
                "least 14 days are needed."
            )
        self._meter = meter
        self._judges_itself = contaminated
        taught = clean if contaminated else early
        self._limits = limits.learn_limits(stream, taught, contaminated)
        if contaminated:
            taught = taught & ~self._taken(stream, rules.hits(stream, self._limits))
        known = stream.keeping(taught)
        self._learned = hourly.learn(known)
        self._learned |= monitors.learn(hourly.build(known, self._learned))
        prepared = self.prepare(stream)
        quiet = stream.any(clean) & ~alarms.near(prepared.taken, stream.per_hours(alarms.MERGE_HOURS))
        warm = np.arange(len(stream.intervals)) >= stream.per_hours(24 * features.CONTEXT_DAYS)
        self._ensemble = ensemble.Ensemble.fit(
            prepared.inputs, quiet & warm & (stream.intervals < calibrate_from), self.seed
        )
        self._calibrate(prepared, quiet, quiet & (stream.intervals >= calibrate_from), contaminated)

    def detect(
        self,
        readings: pd.DataFrame,
        since: np.datetime64 | None = None,
    ) -> Detection:
        """Judge readings as recorded; rows before ``since`` are context and not reported.

        Scores depend on the ``context_days`` before them only. Raises ModelError when not fitted.
        """
        return self.judge(self.prepare(IntervalArray.from_readings(readings, self.meter)), since)

    def prepare(
        self, stream: IntervalArray, earlier: HourlyAggregates | None = None, with_rules: bool = True
    ) -> DetectorInputs:
        """What the layers look at. With ``earlier`` hours (of ``DetectorInputs`` before it) the stream itself
        need only reach SHORT_CONTEXT_DAYS back: together they are the detector's whole state.
        """
        hits = rules.hits(stream, self._limits) if with_rules else []
        taken = self._taken(stream, hits)
        kept = stream.keeping(~taken)
        recent = hourly.build(kept, self._learned)
        return DetectorInputs(
            stream,
            hits,
            stream.any(taken),
            features.build(kept),
            recent.after(earlier) if earlier else recent,
        )

    @staticmethod
    def _taken(stream: IntervalArray, hits: list[rules.Hit]) -> Flags:
        """Readings that rules call faulty, from when they are known to be: voices are not to hear them."""
        taken = np.zeros(len(stream.times), bool)
        for hit in hits:
            if hit.rule.alarm_class != "grid":  # known only once raised: earlier intervals cannot know
                taken[hit.raised : hit.end] = True
        return taken

    def listen(self, prepared: DetectorInputs, first: int = 0) -> dict[str, Array]:
        """Rarity of every voice and every member in each interval from row ``first`` on."""
        members = self._ensemble.rarities({k: v[first:] for k, v in prepared.inputs.items()})
        rarities = self._physics(prepared.hours, prepared.stream.intervals[first:])
        rarities["ensemble"] = self._together(members, prepared, first)
        return rarities | members

    def scaled_inputs(self, prepared: DetectorInputs, first: int = 0) -> Matrix:
        """What the members look at from interval ``first`` on, (intervals, inputs)."""
        return self._ensemble.rows({name: values[first:] for name, values in prepared.inputs.items()})

    def _together(self, members: dict[str, Array], prepared: DetectorInputs, first: int = 0) -> Array:
        """The members' average where somebody is at home; an empty home is rare, not wrong."""
        known, intervals = prepared.hours, prepared.stream.intervals[first:]
        away = known.to_intervals(loads.empty(known).astype(float), intervals) == 1.0
        return np.where(away, np.nan, np.mean(list(members.values()), axis=0))

    def judge(
        self,
        prepared: DetectorInputs,
        since: np.datetime64 | None = None,
    ) -> Detection:
        """Scores and events of what was prepared, from ``since`` on; arguments as in ``detect``."""
        first = 0 if since is None else int(np.searchsorted(prepared.stream.intervals, since))
        return self.report(prepared, first, self.listen(prepared, first))

    def report(self, prepared: DetectorInputs, first: int, rarities: dict[str, Array]) -> Detection:
        """What ``listen`` heard from row ``first`` on, as scores and events."""
        voices = [self._voice(name, values) for name, values in rarities.items() if name not in MEMBERS]
        votes = np.sum([rarities[name] >= self._thresholds[name] for name in MEMBERS], axis=0)
        by_rule = rules.raised(prepared.stream, prepared.hits)[first:]
        columns: dict[str, Any] = {
            f"{name}_rarity": values.astype(np.float32) for name, values in rarities.items()
        }
        columns |= {"votes": votes, "vote_2_of_3": votes >= 2, "rules_alarm": by_rule}
        for layer in ("physics", "ensemble"):
            on = [voice.alarms() for voice in voices if voice.layer == layer]
            columns[f"{layer}_alarm"] = np.any(on, axis=0) if on else np.zeros(len(by_rule), bool)
        heights = {voice.name: voice.threshold for voice in voices}
        columns["score"] = alarms.fused_score(rarities, heights, by_rule)
        columns["alarm"] = by_rule | columns["physics_alarm"] | columns["ensemble_alarm"]
        index = pd.DatetimeIndex(
            prepared.stream.intervals[first:].astype("datetime64[s]"), name=INTERVAL_START
        )
        events = describe(prepared, voices, first, self._ensemble, self.price_per_kwh)
        return Detection(pd.DataFrame(columns, index=index), events, self.monitors_off)

    def _physics(self, known: HourlyAggregates, intervals: Times) -> dict[str, Array]:
        """Each physical monitor's rarity per interval: the rarest of its windows."""
        found = {}
        hour = (intervals[0] - known.first_hour.astype("datetime64[m]")) // np.timedelta64(60, "m") - 1
        known = replace(known, from_row=max(0, int(hour)))
        for monitor in [m for m in monitors.active(self.meter.channels) if self._hears(m.name)]:
            windows = monitor.statistics(known)
            tails = {name: self._tails.get(f"{monitor.name}/{name}") for name in windows}
            rarest = np.fmax.reduce([tail.rarity(windows[name]) for name, tail in tails.items() if tail])
            found[monitor.name] = known.to_intervals(rarest, intervals)
        return found

    def _hears(self, name: str) -> bool:
        """A monitor that never had enough to go by while learning stays silent."""
        return any(key.startswith(f"{name}/") for key in self._tails)

    def _voice(self, name: str, rarity: Array) -> DetectorScore:
        threshold = self._thresholds[name]
        for monitor in monitors.MONITORS:
            if monitor.name == name:
                return DetectorScore(name, "physics", monitor.alarm_class, monitor.fault_class,
                                     monitor.channels, rarity, threshold, monitor.text)  # fmt: skip
        return DetectorScore(name, "ensemble", "behaviour", "unusual", (), rarity, threshold,
                     "unlike anything this meter usually records")  # fmt: skip

    def _calibrate(self, prepared: DetectorInputs, quiet: Flags, later: Flags, contaminated: bool) -> None:
        """Tails and thresholds on quiet rows, frozen from then on.

        Members are heard only on the later rows, which they were not trained on; physics learn no shape of
        normal, so that all quiet rows with a full reference are a calibration to them.
        """
        per_day = prepared.stream.per_hours(24)
        days = later.sum() / per_day
        if days < 14:
            raise DataError(
                f"Too little to calibrate on: found {days:.1f} clean days, at least 14 are needed; "
                "choose an earlier calibrate_from or give more readings."
            )
        self._ensemble.calibrate(prepared.inputs, later)
        known, intervals = prepared.hours, prepared.stream.intervals
        settled = quiet & (contaminated | later | (np.arange(len(quiet)) >= CONTEXT_DAYS * per_day))
        months = alarms.months(int(settled.sum()), per_day)
        faults = calibration.most_faults(months) if contaminated else 0
        self._tails = calibration.physical_tails(
            monitors.active(self.meter.channels), known, intervals, settled, per_day, faults
        )
        members = self._ensemble.rarities(prepared.inputs)
        members["ensemble"] = self._together(members, prepared)
        self._calibration_months = days / alarms.MONTH_DAYS
        self._heard = {
            name: calibration.hear(values, later, later, self._gap_rows, self._calibration_months, faults)
            for name, values in members.items()
        } | {
            name: calibration.hear(values, settled, later, self._gap_rows, months, faults)
            for name, values in self._physics(known, intervals).items()
        }
        self.set_budget(self.budget_per_month)

    @property
    def _gap_rows(self) -> int:
        return 60 * alarms.MERGE_HOURS // self.meter.working_minutes

    def alone(self, name: str, budget_per_month: float) -> float:
        """The threshold at which one voice or member alone would spend a budget; only right after ``fit``."""
        if not self._heard:
            raise ModelError("A loaded detector keeps its thresholds: fit again to ask for others.")
        heard = self._heard[name]
        return alarms.threshold_for(heard.heights, budget_per_month * heard.months)

    def set_budget(self, budget_per_month: float) -> None:
        """Set thresholds for another budget; possible right after ``fit``, not on a loaded detector."""
        if not self._heard:
            raise ModelError("A loaded detector keeps its thresholds: fit again to give it another budget.")
        self.budget_per_month = budget_per_month
        voices = {name: heard for name, heard in self._heard.items() if name not in MEMBERS}
        spent = budget_per_month if self._judges_itself else false_alarm_rate.spent(budget_per_month)
        self._thresholds = alarms.calibrate(
            voices, false_alarm_rate.shares(voices), spent, self._calibration_months, self._gap_rows
        )
        self._thresholds |= {name: self.alone(name, budget_per_month) for name in MEMBERS}

    @property
    def meter(self) -> Meter:
        """The meter this detector was fitted on. Raises ModelError when it was not fitted."""
        if self._meter is None:
            raise ModelError("This detector was not fitted: call fit or load first.")
        return self._meter

    @property
    def thresholds(self) -> dict[str, float]:
        """Rarity at which each voice raises an alarm, and each member casts its vote."""
        return dict(self._thresholds)

    @property
    def learned(self) -> dict[str, Array]:
        """What the physical monitors know of this meter."""
        return dict(self._learned)

    @property
    def context_days(self) -> int:
        """Days of readings before the first judged one that make every score what it is in the whole."""
        return CONTEXT_DAYS

    @property
    def monitors_off(self) -> tuple[str, ...]:
        """Names of the rules and monitors this meter's channels do not allow."""
        if self._meter is None:
            return ()
        have = set(self._meter.channels)
        silent = [rule.name for rule in rules.RULES if not set(rule.channels) <= have]
        return tuple(silent + [m.name for m in monitors.MONITORS if not self._hears(m.name)])

    def parameters(self) -> dict[str, Any]:
        """Settings and what was learned, flat, for the tracking run."""
        flat: dict[str, Any] = {
            "budget_per_month": self.budget_per_month,
            "seed": self.seed,
            "price_per_kwh": self.price_per_kwh,
        }
        if self._meter is not None:
            flat |= {"meter_id": self._meter.meter_id, "inputs": len(self._ensemble.names)}
            flat |= {f"threshold_{name}": value for name, value in self._thresholds.items()}
            flat |= {f"limit_{name}": value for name, value in self._limits.items()}
            flat["monitors_off"] = ",".join(self.monitors_off)
        return flat

    def save(self, directory: Path) -> None:
        """Write detector.json and detector.npz into a directory. Raises ModelError when not fitted."""
        if self._meter is None:
            raise ModelError("This detector was not fitted: there is nothing to save.")
        settings = {name: getattr(self, name) for name in ("budget_per_month", "seed", "price_per_kwh")}
        Contents(
            settings, self._meter, self._limits, self._thresholds, self._tails, self._ensemble, self._learned
        ).write(directory)

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Read what ``save`` wrote. Raises ModelError when files are missing or of another format."""
        found = Contents.read(directory)
        detector = cls(**found.settings)
        detector._meter, detector._limits, detector._thresholds = found.meter, found.limits, found.thresholds
        detector._tails, detector._ensemble, detector._learned = found.tails, found.ensemble, found.learned
        return detector
