"""One rolling origin: a fitted detector, its clean test year, and faults injected into copies of it."""

import json
from dataclasses import asdict, dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.anomaly.baselines import Baselines
from smartgrid_pipeline.core import meter_data
from smartgrid_pipeline.core.anomaly.detector import SHORT_CONTEXT_DAYS, AnomalyDetector
from smartgrid_pipeline.core.anomaly.ensemble.members import MEMBERS
from smartgrid_pipeline.core.anomaly.injection.catalogue import BENIGN_TYPES, FAULT_TYPES
from smartgrid_pipeline.core.anomaly.injection.faults import Event, inject
from smartgrid_pipeline.core.anomaly.inputs import DetectorInputs
from smartgrid_pipeline.core.anomaly.interval_array import IntervalArray
from smartgrid_pipeline.core.anomaly.rules import rules
from smartgrid_pipeline.core.anomaly.scoring import alarms
from smartgrid_pipeline.core.schema import Meter

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

GRACE = np.timedelta64(60, "m")
"""An alarm may be raised this long after a fault has ended: monitors have one value an hour."""

GUARD = np.timedelta64(1440, "m")
ALL_TYPES = FAULT_TYPES | BENIGN_TYPES


class NothingChanged(Exception):
    """The fault drawn changed no reading."""


@dataclass(frozen=True)
class Origin:
    """Which years a detector is fitted on, calibrated on and tested on."""

    name: str
    fit_from: str
    calibrate_from: str
    test_from: str
    test_until: str


ORIGINS = {
    "2010": Origin("2010", "2006-12-16", "2009-01-01", "2010-01-01", "2010-11-26"),
    "2009": Origin("2009", "2006-12-16", "2008-01-01", "2009-01-01", "2010-01-01"),
}


@dataclass(frozen=True)
class Outcome:
    """One injected fault: when the detector first alarmed where its clean twin does not, and the scores.

    The twin is the same stretch without the fault. ``delay`` is in hours from the start to the first interval
    with a rule's alarm that the twin does not have, or with another detector's alarm where no detector of the
    twin alarms; None without any. ``detector_delays`` compare each detector with itself in the twin,
    ``twin_detectors`` are those with an alarm there. ``baseline_delays`` and ``baseline_scores`` are those of
    the systems without rules, None beyond BASELINE_EVENTS. ``inside`` is the first and last (exclusive) row
    of ``scores`` in the fault.
    """

    number: int
    fault_type: str
    magnitude: float
    start: str
    minutes: int
    delay: float | None
    detector_delays: dict[str, float]
    baseline_delays: dict[str, float] | None
    baseline_scores: dict[str, list[float]] | None
    twin_detectors: tuple[str, ...]
    scores: tuple[float, ...]
    inside: tuple[int, int]
    fault_class: str
    channels: tuple[str, ...]
    named_channel: str

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> "Outcome":
        """The inverse of ``to_json``."""
        data = json.loads(line)
        for name in ("twin_detectors", "scores", "inside", "channels"):
            data[name] = tuple(data[name])
        return cls(**data)


BASELINE_EVENTS = 10
"""Systems without rules are evaluated on this many events of each fault type."""


def _by_layer(flags: dict[str, Flags]) -> dict[str, Flags]:
    """Alarms of the rules, and of all other detectors together."""
    others = [on for name, on in flags.items() if name != "rules"]
    return {"rules": flags["rules"], "others": np.any(others, axis=0)}


@dataclass(frozen=True)
class Window:
    """Where an injected copy lies in the test year, and in which of its intervals an alarm counts."""

    offset: int
    ends: npt.NDArray[np.datetime64]
    start: np.datetime64
    counted: Flags
    inside: Flags

    def compare(
        self, flags: dict[str, Flags], twins: dict[str, Flags]
    ) -> tuple[dict[str, float], tuple[str, ...]]:
        """Hours to each detector's first alarm that its twin does not have; detectors whose twin has one."""
        delays, alarmed = {}, []
        for name, on in flags.items():
            twin = twins[name][self.offset : self.offset + len(on)]
            new = np.flatnonzero(on & ~twin & self.counted)
            if len(new):
                delays[name] = float((self.ends[new[0]] - self.start) / np.timedelta64(60, "m"))
            if (twin & self.counted).any():
                alarmed.append(name)
        return delays, tuple(alarmed)


@dataclass
class TestYear:
    """The clean test year of one origin, scored once by the fitted detector; every twin is cut from it."""

    origin: Origin
    detector: AnomalyDetector
    meter: Meter
    readings: pd.DataFrame
    prepared: DetectorInputs
    first: int
    anomaly_scores: dict[str, Array]
    rule_alarms: Flags
    defects: pd.DataFrame
    _flags: dict[tuple[str, float], Flags] = field(default_factory=dict)
    _excused: dict[int, Flags] = field(default_factory=dict)

    @classmethod
    def score_clean(cls, origin: Origin, detector: AnomalyDetector, readings: pd.DataFrame) -> "TestYear":
        """Score the recorded year without injected faults."""
        until = pd.Timestamp(origin.test_until) - pd.Timedelta(minutes=1)
        readings = readings[origin.fit_from : str(until)]
        prepared = detector.prepare(IntervalArray.from_readings(readings, detector.meter))
        first = int(np.searchsorted(prepared.recorded.intervals, np.datetime64(origin.test_from)))
        rule_alarms = rules.raised(prepared.recorded, prepared.hits)[first:]
        year = readings[origin.test_from :]
        defects = meter_data.defect_table(
            meter_data.defect_types(year), detector.meter.step_minutes, detector.meter.channels
        )
        return cls(origin, detector, detector.meter, readings, prepared, first,
                   detector.score(prepared, first), rule_alarms, defects)  # fmt: skip

    @property
    def detector_thresholds(self) -> dict[str, float]:
        """Threshold of every detector, members excepted."""
        return {k: v for k, v in self.detector.thresholds.items() if k not in MEMBERS}

    @property
    def intervals(self) -> npt.NDArray[np.datetime64]:
        """Interval starts of the test year."""
        return self.prepared.recorded.intervals[self.first :]

    def excused(self, hours: int) -> Flags:
        """Intervals of the test year within so many hours of a defect that is really in the data."""
        if hours in self._excused:
            return self._excused[hours]
        flags = np.zeros(len(self.intervals), bool)
        margin = np.timedelta64(hours, "h")
        real = self.defects[self.defects["kind"] != "chance_copy"]
        for start, end in zip(real["start"].to_numpy(), real["end"].to_numpy(), strict=True):
            a, b = np.searchsorted(self.intervals, [start - margin, end + margin])
            flags[a:b] = True
        self._excused[hours] = flags
        return flags

    @property
    def fused_score(self) -> Array:
        """The fused score of the clean year."""
        return alarms.fused_score(self.anomaly_scores, self.detector_thresholds, self.rule_alarms)

    def realised_per_month(self, thresholds: dict[str, float]) -> float:
        """False alarms a month of rules and detectors together at these thresholds."""
        return self.rate(self.rule_alarms | np.any(list(self.detector_alarms(thresholds).values()), axis=0))

    def alarmed_share(self) -> float:
        """Share of the clean year, real defects left out, in which any alarm is on."""
        on = self.rule_alarms | np.any(list(self.detector_alarms(self.detector_thresholds).values()), axis=0)
        return float(on[~self.excused(6)].mean())

    def rate(self, union: Flags) -> float:
        """Alarms a month of the clean year, standing ones again each week, away from defects really in it."""
        excused = self.excused(6)
        merge_distance = alarms.MERGE_HOURS * 60 // self.meter.working_minutes
        false = sum(
            alarms.count(union[a:b], merge_distance)
            for a, b in alarms.merged(union, merge_distance)
            if b - a > alarms.STANDING_DISTANCES * merge_distance or not excused[a:b].any()
        )
        return false / alarms.months(int((~excused).sum()), 1440 // self.meter.working_minutes)

    def detector_alarms(self, thresholds: dict[str, float]) -> dict[str, Flags]:
        """Alarms of each detector in the clean year at these thresholds, (intervals,)."""
        for name, threshold in thresholds.items():
            if (name, threshold) not in self._flags:
                self._flags[name, threshold] = alarms.hysteresis(self.anomaly_scores[name], threshold)
        return {name: self._flags[name, threshold] for name, threshold in thresholds.items()}

    def draw(self, fault_type: str, number: int, seed: int) -> tuple[float, np.datetime64, np.timedelta64]:
        """Magnitude, uniform start and duration of one fault, away from defects really in the data."""
        code = sorted(ALL_TYPES).index(fault_type)
        rng = np.random.default_rng([seed, code, number])
        excused = self.excused(6)
        while True:
            magnitude, duration = ALL_TYPES[fault_type].draw(rng)
            last = self.intervals[-1] - duration - GUARD - GRACE
            minutes = int((last - self.intervals[0]) / np.timedelta64(1, "m"))
            start = self.intervals[0] + np.timedelta64(int(rng.integers(0, minutes)), "m")
            if not excused[
                int((start - self.intervals[0]) / np.timedelta64(self.meter.working_minutes, "m"))
            ]:
                return magnitude, start, duration

    def copy(
        self, fault_type: str, magnitude: float, start: np.datetime64, duration: np.timedelta64, seed: int
    ) -> tuple[DetectorInputs, Event]:
        """The readings around one injected fault, prepared for the detector; the rest is the clean year's."""
        day = np.timedelta64(1440, "m")
        begin = (start.astype("datetime64[D]") - np.timedelta64(SHORT_CONTEXT_DAYS, "D")).astype(
            "datetime64[m]"
        )
        window = self.readings[pd.Timestamp(begin) : pd.Timestamp(start + duration + GUARD + day)]
        changed, event = inject(window, fault_type, magnitude, start, duration, np.random.default_rng(seed))
        if not event.labels.any():
            raise NothingChanged
        last = np.searchsorted(window.index.to_numpy(), np.datetime64(start + duration + GUARD))
        recorded = IntervalArray.from_readings(changed.iloc[:last], self.meter)
        return self.detector.prepare(recorded, self.prepared.hourly), event

    def outcome(
        self,
        fault_type: str,
        number: int,
        fault: tuple[float, np.datetime64, np.timedelta64],
        baselines: Baselines | None,
    ) -> Outcome:
        """Inject one fault and compare the alarms with those of the clean twin."""
        magnitude, start, duration = fault
        prepared, event = self.copy(fault_type, magnitude, start, duration, number)
        day = 24 * 60 // self.meter.working_minutes
        first = int(np.searchsorted(prepared.recorded.intervals, start, side="right")) - 1 - day
        anomaly_scores = self.detector.score(prepared, first)
        window = self._window(prepared, first, start, event.end)
        flags = {
            n: alarms.hysteresis(anomaly_scores[n], threshold)
            for n, threshold in self.detector_thresholds.items()
        }
        flags["rules"] = rules.raised(prepared.recorded, prepared.hits)[first:]
        twins = self.detector_alarms(self.detector_thresholds) | {"rules": self.rule_alarms}
        delays, alarmed = window.compare(flags, twins)
        baseline_delays = baseline_scores = None
        if baselines is not None and number < BASELINE_EVENTS:
            by_baseline = baselines.score(self.detector, prepared, self.prepared, first)
            baseline_delays = window.compare(by_baseline.flags, baselines.clean.flags)[0]
            baseline_scores = {
                name: np.round(score.astype(float), 4).tolist() for name, score in by_baseline.scores.items()
            }
        delay = min(window.compare(_by_layer(flags), _by_layer(twins))[0].values(), default=None)
        raised = start + np.timedelta64(round(60 * (delay or 0.0)), "m")
        name = ("", "") if delay is None else self._name(prepared, first, anomaly_scores, raised)
        score = alarms.fused_score(anomaly_scores, self.detector_thresholds, flags["rules"])
        inside = np.flatnonzero(window.inside)
        minutes = int(duration / np.timedelta64(1, "m"))
        return Outcome(number, fault_type, magnitude, str(start), minutes, delay, delays, baseline_delays,
                       baseline_scores, alarmed, tuple(np.round(score.astype(float), 3).tolist()),
                       (int(inside[0]), int(inside[-1]) + 1), name[0], event.channels, name[1])  # fmt: skip

    def _window(
        self, prepared: DetectorInputs, first: int, start: np.datetime64, end: np.datetime64
    ) -> "Window":
        intervals = prepared.recorded.intervals[first:]
        offset = int(np.searchsorted(self.intervals, intervals[0]))
        ends = intervals + np.timedelta64(self.meter.working_minutes, "m")
        inside = (ends > start) & (intervals < end)
        counted = (ends > start) & (intervals < end + GRACE)
        counted &= ~self.excused(4)[offset : offset + len(intervals)]  # a shifted clock moves these too
        return Window(offset, ends, start, counted, inside)

    def _name(
        self, prepared: DetectorInputs, first: int, anomaly_scores: dict[str, Array], raised: np.datetime64
    ) -> tuple[str, str]:
        """Fault class and first channel of the event in which the first new alarm was raised."""
        found = self.detector.build_detection(prepared, first, anomaly_scores).events
        found = found[(found["raised"] <= raised) & (found["end"] >= raised)]
        if found.empty:
            return "", ""
        return str(found.iloc[-1]["fault_class"]), str(found.iloc[-1]["channels"]).split(",")[0]
