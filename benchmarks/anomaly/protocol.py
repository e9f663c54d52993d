"""One rolling origin: a fitted detector, its clean test year, and faults injected into copies of it."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from smartgrid_pipeline.core import meter_data
from smartgrid_pipeline.core.anomaly import detector as detection
from smartgrid_pipeline.core.anomaly import fusion, rules
from smartgrid_pipeline.core.anomaly.catalogue import BENIGN_KINDS, KINDS
from smartgrid_pipeline.core.anomaly.detector import AnomalyDetector
from smartgrid_pipeline.core.anomaly.events import Prepared
from smartgrid_pipeline.core.anomaly.faults import Event, inject
from smartgrid_pipeline.core.anomaly.stream import Stream
from smartgrid_pipeline.core.schema import DataError, Meter

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

GRACE = np.timedelta64(60, "m")
"""An alarm may be raised this long after a fault has ended: the physics speak once an hour."""

GUARD = np.timedelta64(1440, "m")
ALL_KINDS = KINDS | BENIGN_KINDS


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
    """One injected fault: its window, when each voice first spoke that its clean twin did not, and scores."""

    kind: str
    magnitude: float
    start: np.datetime64
    minutes: int
    voice_delays: dict[str, float]
    twin_voices: tuple[str, ...]
    twin_silent: bool
    scores: Array
    inside: Flags
    fault_class: str
    channels: tuple[str, ...]
    named_channel: str


@dataclass
class TestYear:
    """The clean test year of one origin, heard by the fitted detector once; every twin is cut from it."""

    origin: Origin
    detector: AnomalyDetector
    meter: Meter
    readings: pd.DataFrame
    prepared: Prepared
    first: int
    rarities: dict[str, Array]
    rule_flags: Flags
    defects: pd.DataFrame
    _flags: dict[tuple[str, float], Flags] = field(default_factory=dict)

    @classmethod
    def listen(cls, origin: Origin, detector: AnomalyDetector, readings: pd.DataFrame) -> "TestYear":
        """Hear the recorded year without any fault put in."""
        until = pd.Timestamp(origin.test_until) - pd.Timedelta(minutes=1)
        readings = readings[origin.fit_from : str(until)]
        prepared = detector.prepare(Stream.from_readings(readings, detector.meter))
        first = int(np.searchsorted(prepared.stream.intervals, np.datetime64(origin.test_from)))
        rule_flags = rules.raised(prepared.stream, prepared.hits)[first:]
        year = readings[origin.test_from :]
        defects = meter_data.defect_table(
            meter_data.defect_kinds(year), detector.meter.step_minutes, detector.meter.channels
        )
        return cls(origin, detector, detector.meter, readings, prepared, first,
                   detector.listen(prepared, first), rule_flags, defects)  # fmt: skip

    @property
    def intervals(self) -> npt.NDArray[np.datetime64]:
        """Interval starts of the test year."""
        return self.prepared.stream.intervals[self.first :]

    def near_defect(self, hours: int) -> Flags:
        """Intervals of the test year within so many hours of a defect that is really in the data."""
        flags = np.zeros(len(self.intervals), bool)
        margin = np.timedelta64(hours, "h")
        real = self.defects[self.defects["kind"] != "chance_copy"]
        for start, end in zip(real["start"].to_numpy(), real["end"].to_numpy(), strict=True):
            a, b = np.searchsorted(self.intervals, [start - margin, end + margin])
            flags[a:b] = True
        return flags

    def false_alarms_per_month(self, thresholds: dict[str, float], with_rules: bool = True) -> float:
        """Merged events a month of the clean year that do not touch a defect really in the data."""
        flags = self.voice_flags(thresholds)
        union = np.any(list(flags.values()), axis=0) if flags else np.zeros(len(self.intervals), bool)
        if with_rules:
            union = union | self.rule_flags
        excused = self.near_defect(6)
        per_day = 1440 // self.meter.working_minutes
        events = fusion.merged(union, fusion.MERGE_HOURS * 60 // self.meter.working_minutes)
        real = [1 for a, b in events if not excused[a:b].any()]
        return len(real) / fusion.months(int((~excused).sum()), per_day)

    def voice_flags(self, thresholds: dict[str, float]) -> dict[str, Flags]:
        """When each voice's alarm is on in the clean year."""
        for name, threshold in thresholds.items():
            if (name, threshold) not in self._flags:
                self._flags[name, threshold] = fusion.hysteresis(self.rarities[name], threshold)
        return {name: self._flags[name, threshold] for name, threshold in thresholds.items()}

    def draw(self, kind: str, number: int, seed: int) -> tuple[float, np.datetime64, np.timedelta64]:
        """Magnitude, uniform start and duration of one fault, away from defects really in the data."""
        code = sorted(ALL_KINDS).index(kind)
        rng = np.random.default_rng([seed, code, number])
        excused = self.near_defect(3)
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
    ) -> tuple[Prepared, Event]:
        """The readings around one injected fault, prepared for the detector; the rest is the clean year's."""
        day = np.timedelta64(1440, "m")
        begin = (start.astype("datetime64[D]") - np.timedelta64(detection.SHORT_CONTEXT_DAYS, "D")).astype(
            "datetime64[m]"
        )
        window = self.readings[pd.Timestamp(begin) : pd.Timestamp(start + duration + GUARD + day)]
        changed, event = inject(window, kind, magnitude, start, duration, np.random.default_rng(seed))
        if not event.labels.any():
            raise DataError("Nothing changed.")
        last = np.searchsorted(window.index.to_numpy(), np.datetime64(start + duration + GUARD))
        stream = Stream.from_readings(changed.iloc[:last], self.meter)
        return self.detector.prepare(stream, self.prepared.hours), event

    def outcome(
        self,
        kind: str,
        magnitude: float,
        start: np.datetime64,
        duration: np.timedelta64,
        seed: int,
        thresholds: dict[str, float],
    ) -> Outcome:
        """Inject one fault and compare what the detector says with what it says of the clean twin."""
        prepared, event = self.copy(kind, magnitude, start, duration, seed)
        lead = 24 * 60 // self.meter.working_minutes
        first = int(np.searchsorted(prepared.stream.intervals, start, side="right")) - 1 - lead
        intervals = prepared.stream.intervals[first:]
        offset = int(np.searchsorted(self.intervals, intervals[0]))
        n = min(len(intervals), len(self.intervals) - offset)
        rarities = self.detector.listen(prepared, first)
        ends = intervals[:n] + np.timedelta64(self.meter.working_minutes, "m")
        window = (ends > start) & (intervals[:n] < event.end + GRACE)
        window &= ~self.near_defect(4)[offset : offset + n]  # a shifted clock moves these too
        delays, twins = {}, []
        flags = {name: fusion.hysteresis(rarities[name], thresholds[name])[:n] for name in thresholds}
        twin = {name: all_on[offset : offset + n] for name, all_on in self.voice_flags(thresholds).items()}
        flags["rules"] = rules.raised(prepared.stream, prepared.hits)[first:][:n]
        twin["rules"] = self.rule_flags[offset : offset + n]
        for name in flags:
            new = np.flatnonzero(flags[name] & ~twin[name] & window)
            if len(new):
                delays[name] = float((ends[new[0]] - start) / np.timedelta64(60, "m"))
            if (twin[name] & window).any():
                twins.append(name)
        score = detection.fused_score(
            {name: values[:n] for name, values in rarities.items()}, self.detector.thresholds, flags["rules"]
        )
        found = self._name(prepared, first, rarities, start, event)
        inside = (ends > start) & (intervals[:n] < event.end)
        return Outcome(kind, magnitude, start, int(duration / np.timedelta64(1, "m")), delays, tuple(twins),
                       not [t for t in twins if t in self.detector.thresholds], score, inside,
                       found[0], event.channels, found[1])  # fmt: skip

    def _name(
        self, prepared: Prepared, first: int, rarities: dict[str, Array], start: np.datetime64, event: Event
    ) -> tuple[str, str]:
        """Fault class and first channel of the longest event that touches the fault."""
        found = self.detector.report(prepared, first, rarities).events
        found = found[(found["start"] < event.end + GRACE) & (found["end"] > start)]
        if found.empty:
            return "", ""
        chosen = found.loc[(found["end"] - found["start"]).idxmax()]
        return str(chosen["fault_class"]), str(chosen["channels"]).split(",")[0]
