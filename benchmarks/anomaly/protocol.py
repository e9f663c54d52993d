"""One rolling origin: a fitted detector, its clean test year, and faults injected into copies of it."""

import json
from dataclasses import asdict, dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.anomaly.plain import Plain
from smartgrid_pipeline.core import meter_data
from smartgrid_pipeline.core.anomaly.detector import SHORT_CONTEXT_DAYS, AnomalyDetector
from smartgrid_pipeline.core.anomaly.ensemble.members import MEMBERS
from smartgrid_pipeline.core.anomaly.events.events import DetectorInputs
from smartgrid_pipeline.core.anomaly.injection.catalogue import BENIGN_KINDS, KINDS
from smartgrid_pipeline.core.anomaly.injection.faults import Event, inject
from smartgrid_pipeline.core.anomaly.interval_array import IntervalArray
from smartgrid_pipeline.core.anomaly.rules import rules
from smartgrid_pipeline.core.anomaly.scoring import alarms
from smartgrid_pipeline.core.schema import Meter

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

GRACE = np.timedelta64(60, "m")
"""An alarm may be raised this long after a fault has ended: the physics speak once an hour."""

GUARD = np.timedelta64(1440, "m")
ALL_KINDS = KINDS | BENIGN_KINDS


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

    ``delay`` is hours from the start, None where no event begins that the twin does not have: a rule is
    raised that is not in the twin (rules begin events of their own), or a voice in an interval where no voice
    of the twin is. ``voice_delays`` compare each voice with itself in the twin;
    ``plain_delays`` are those of systems without rules, and ``plain_scores`` what these say beside
    ``scores``; None where they were not asked. ``inside`` is the first and last (exclusive) row of ``scores``
    in the fault.
    """

    number: int
    kind: str
    magnitude: float
    start: str
    minutes: int
    delay: float | None
    voice_delays: dict[str, float]
    plain_delays: dict[str, float] | None
    plain_scores: dict[str, list[float]] | None
    twin_voices: tuple[str, ...]
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
        for name in ("twin_voices", "scores", "inside", "channels"):
            data[name] = tuple(data[name])
        return cls(**data)


PLAIN_EVENTS = 10
"""Systems without rules are asked about the first so many events of each kind."""


def _streams(flags: dict[str, Flags]) -> dict[str, Flags]:
    """Rules, and all voices as one."""
    voices = [on for name, on in flags.items() if name != "rules"]
    return {"rules": flags["rules"], "voices": np.any(voices, axis=0)}


@dataclass(frozen=True)
class Window:
    """Where an injected copy lies in the test year, and in which of its intervals an alarm counts."""

    offset: int
    ends: npt.NDArray[np.datetime64]
    start: np.datetime64
    near: Flags
    inside: Flags

    def compare(
        self, flags: dict[str, Flags], twins: dict[str, Flags]
    ) -> tuple[dict[str, float], tuple[str, ...]]:
        """Hours until each voice first spoke where its twin did not, and the voices whose twin spoke."""
        delays, heard = {}, []
        for name, on in flags.items():
            twin = twins[name][self.offset : self.offset + len(on)]
            new = np.flatnonzero(on & ~twin & self.near)
            if len(new):
                delays[name] = float((self.ends[new[0]] - self.start) / np.timedelta64(60, "m"))
            if (twin & self.near).any():
                heard.append(name)
        return delays, tuple(heard)


@dataclass
class TestYear:
    """The clean test year of one origin, heard by the fitted detector once; every twin is cut from it."""

    origin: Origin
    detector: AnomalyDetector
    meter: Meter
    readings: pd.DataFrame
    prepared: DetectorInputs
    first: int
    rarities: dict[str, Array]
    rule_flags: Flags
    defects: pd.DataFrame
    _flags: dict[tuple[str, float], Flags] = field(default_factory=dict)
    _excused: dict[int, Flags] = field(default_factory=dict)

    @classmethod
    def listen(cls, origin: Origin, detector: AnomalyDetector, readings: pd.DataFrame) -> "TestYear":
        """Hear the recorded year without any fault put in."""
        until = pd.Timestamp(origin.test_until) - pd.Timedelta(minutes=1)
        readings = readings[origin.fit_from : str(until)]
        prepared = detector.prepare(IntervalArray.from_readings(readings, detector.meter))
        first = int(np.searchsorted(prepared.stream.intervals, np.datetime64(origin.test_from)))
        rule_flags = rules.raised(prepared.stream, prepared.hits)[first:]
        year = readings[origin.test_from :]
        defects = meter_data.defect_table(
            meter_data.defect_types(year), detector.meter.step_minutes, detector.meter.channels
        )
        return cls(origin, detector, detector.meter, readings, prepared, first,
                   detector.listen(prepared, first), rule_flags, defects)  # fmt: skip

    @property
    def voices(self) -> dict[str, float]:
        """Every voice of the detector with its threshold."""
        return {k: v for k, v in self.detector.thresholds.items() if k not in MEMBERS}

    @property
    def intervals(self) -> npt.NDArray[np.datetime64]:
        """Interval starts of the test year."""
        return self.prepared.stream.intervals[self.first :]

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
    def score(self) -> Array:
        """The fused score of the clean year."""
        return alarms.fused_score(self.rarities, self.voices, self.rule_flags)

    def false_alarms_per_month(self, thresholds: dict[str, float]) -> float:
        """False alarms a month of rules and voices together at these thresholds."""
        return self.rate(self.rule_flags | np.any(list(self.voice_flags(thresholds).values()), axis=0))

    def alarmed_share(self) -> float:
        """Share of the clean year, real defects left out, in which any alarm is on."""
        on = self.rule_flags | np.any(list(self.voice_flags(self.voices).values()), axis=0)
        return float(on[~self.excused(6)].mean())

    def rate(self, union: Flags) -> float:
        """Alarms a month of the clean year, standing ones again each week, away from defects really in it."""
        excused = self.excused(6)
        gap = alarms.MERGE_HOURS * 60 // self.meter.working_minutes
        false = sum(
            alarms.count(union[a:b], gap)
            for a, b in alarms.merged(union, gap)
            if b - a > alarms.STANDING_GAPS * gap or not excused[a:b].any()
        )
        return false / alarms.months(int((~excused).sum()), 1440 // self.meter.working_minutes)

    def voice_flags(self, thresholds: dict[str, float]) -> dict[str, Flags]:
        """When each voice's alarm is on in the clean year."""
        for name, threshold in thresholds.items():
            if (name, threshold) not in self._flags:
                self._flags[name, threshold] = alarms.hysteresis(self.rarities[name], threshold)
        return {name: self._flags[name, threshold] for name, threshold in thresholds.items()}

    def draw(self, kind: str, number: int, seed: int) -> tuple[float, np.datetime64, np.timedelta64]:
        """Magnitude, uniform start and duration of one fault, away from defects really in the data."""
        code = sorted(ALL_KINDS).index(kind)
        rng = np.random.default_rng([seed, code, number])
        excused = self.excused(6)
        while True:
            magnitude, duration = ALL_KINDS[kind].draw(rng)
            last = self.intervals[-1] - duration - GUARD - GRACE
            minutes = int((last - self.intervals[0]) / np.timedelta64(1, "m"))
            start = self.intervals[0] + np.timedelta64(int(rng.integers(0, minutes)), "m")
            if not excused[
                int((start - self.intervals[0]) / np.timedelta64(self.meter.working_minutes, "m"))
            ]:
                return magnitude, start, duration

    def copy(
        self, kind: str, magnitude: float, start: np.datetime64, duration: np.timedelta64, seed: int
    ) -> tuple[DetectorInputs, Event]:
        """The readings around one injected fault, prepared for the detector; the rest is the clean year's."""
        day = np.timedelta64(1440, "m")
        begin = (start.astype("datetime64[D]") - np.timedelta64(SHORT_CONTEXT_DAYS, "D")).astype(
            "datetime64[m]"
        )
        window = self.readings[pd.Timestamp(begin) : pd.Timestamp(start + duration + GUARD + day)]
        changed, event = inject(window, kind, magnitude, start, duration, np.random.default_rng(seed))
        if not event.labels.any():
            raise NothingChanged
        last = np.searchsorted(window.index.to_numpy(), np.datetime64(start + duration + GUARD))
        stream = IntervalArray.from_readings(changed.iloc[:last], self.meter)
        return self.detector.prepare(stream, self.prepared.hours), event

    def outcome(
        self, kind: str, number: int, fault: tuple[float, np.datetime64, np.timedelta64], plain: Plain | None
    ) -> Outcome:
        """Inject one fault and compare what the detector says with what it says of the clean twin."""
        magnitude, start, duration = fault
        prepared, event = self.copy(kind, magnitude, start, duration, number)
        lead = 24 * 60 // self.meter.working_minutes
        first = int(np.searchsorted(prepared.stream.intervals, start, side="right")) - 1 - lead
        rarities = self.detector.listen(prepared, first)
        window = self._window(prepared, first, start, event.end)
        flags = {n: alarms.hysteresis(rarities[n], height) for n, height in self.voices.items()}
        flags["rules"] = rules.raised(prepared.stream, prepared.hits)[first:]
        twins = self.voice_flags(self.voices) | {"rules": self.rule_flags}
        delays, heard = window.compare(flags, twins)
        plain_delays = plain_scores = None
        if plain is not None and number < PLAIN_EVENTS:
            said = plain.hear(self.detector, prepared, self.prepared, first)
            plain_delays = window.compare(said.flags, plain.clean.flags)[0]
            plain_scores = {
                name: np.round(score.astype(float), 4).tolist() for name, score in said.scores.items()
            }
        delay = min(window.compare(_streams(flags), _streams(twins))[0].values(), default=None)
        raised = start + np.timedelta64(round(60 * (delay or 0.0)), "m")
        name = ("", "") if delay is None else self._name(prepared, first, rarities, raised)
        score = alarms.fused_score(rarities, self.voices, flags["rules"])
        inside = np.flatnonzero(window.inside)
        minutes = int(duration / np.timedelta64(1, "m"))
        return Outcome(number, kind, magnitude, str(start), minutes, delay, delays, plain_delays,
                       plain_scores, heard, tuple(np.round(score.astype(float), 3).tolist()),
                       (int(inside[0]), int(inside[-1]) + 1), name[0], event.channels, name[1])  # fmt: skip

    def _window(
        self, prepared: DetectorInputs, first: int, start: np.datetime64, end: np.datetime64
    ) -> "Window":
        intervals = prepared.stream.intervals[first:]
        offset = int(np.searchsorted(self.intervals, intervals[0]))
        ends = intervals + np.timedelta64(self.meter.working_minutes, "m")
        inside = (ends > start) & (intervals < end)
        near = (ends > start) & (intervals < end + GRACE)
        near &= ~self.excused(4)[offset : offset + len(intervals)]  # a shifted clock moves these too
        return Window(offset, ends, start, near, inside)

    def _name(
        self, prepared: DetectorInputs, first: int, rarities: dict[str, Array], raised: np.datetime64
    ) -> tuple[str, str]:
        """Fault class and first channel of the event in which the first new alarm was raised."""
        found = self.detector.report(prepared, first, rarities).events
        found = found[(found["raised"] <= raised) & (found["end"] >= raised)]
        if found.empty:
            return "", ""
        return str(found.iloc[-1]["fault_class"]), str(found.iloc[-1]["channels"]).split(",")[0]
