"""Events that people can act on: when, in which channels, what it most likely is, what is at stake."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from smartgrid_pipeline.core.anomaly.detection import ALARM_CLASS, EVENT_COLUMNS
from smartgrid_pipeline.core.anomaly.ensemble import features
from smartgrid_pipeline.core.anomaly.ensemble.ensemble import Ensemble
from smartgrid_pipeline.core.anomaly.events.diagnosis import Evidence, diagnose
from smartgrid_pipeline.core.anomaly.inputs import DetectorInputs
from smartgrid_pipeline.core.anomaly.interval_array import Array, Flags, IntervalArray
from smartgrid_pipeline.core.anomaly.rules import rules
from smartgrid_pipeline.core.anomaly.rules.rules import Hit
from smartgrid_pipeline.core.anomaly.scoring.alarms import MERGE_HOURS, DetectorScore, merged
from smartgrid_pipeline.core.schema import ACTIVE_POWER

SEPARATE_DISTANCES = 4
"""Within this many merge distances (a day) rules and slower detectors may raise alarms of the same fault."""

HIGH_SCORE, MEDIUM_SCORE = 8.0, 5.0
"""Anomaly scores from which the severity of an event without rule hits is high and medium."""


@dataclass(frozen=True)
class _Alarm:
    """One merged alarm, in interval rows of the inputs: ``start`` to ``end`` (exclusive).

    ``hits`` are the rule hits in it; ``scores`` the detectors whose alarm is on in it, cut to its intervals.
    """

    start: int
    end: int
    hits: list[Hit]
    scores: list[tuple[DetectorScore, Array]]

    @property
    def names(self) -> list[str]:
        """Rules and detectors, each once, rules first."""
        found = [hit.rule.name for hit in self.hits] + [detector.name for detector, _ in self.scores]
        return list(dict.fromkeys(found))

    @property
    def anomaly_score(self) -> float:
        """Highest anomaly score of any detector; 0 where only rules raised the alarm."""
        return max((_highest(values) for _, values in self.scores), default=0.0)


def build_events(
    prepared: DetectorInputs,
    detectors: list[DetectorScore],
    first: int,
    ensemble: Ensemble,
    price_per_kwh: float,
) -> pd.DataFrame:
    """One row, with EVENT_COLUMNS, per merged alarm in interval ``first`` or later, where scores begin.

    ``ensemble`` attributes events without rule hits or channels to a channel.
    """
    recorded = prepared.recorded
    power = recorded.mean(recorded.values[ACTIVE_POWER])
    expected = features.expected_power(recorded, power)
    rows = []
    for alarm in _alarms(prepared, detectors, first):
        row = _event(prepared, alarm, ensemble)
        begin = min([alarm.start, *(hit.start // recorded.per for hit in alarm.hits)])
        at = slice(max(0, begin), alarm.end)
        lost_kwh = row.pop("lost_kwh", None)
        doubt_kwh = _energy_in_doubt(recorded, power[at], expected[at], row["alarm_class"])
        energy_kwh = float(lost_kwh) if isinstance(lost_kwh, float) else doubt_kwh
        rows.append(row | {"energy_kwh": energy_kwh, "money": energy_kwh * price_per_kwh})
    return pd.DataFrame(rows, columns=list(EVENT_COLUMNS)).astype(
        {"start": "datetime64[s]", "end": "datetime64[s]", "raised": "datetime64[s]"}
    )


def _alarms(prepared: DetectorInputs, detectors: list[DetectorScore], first: int) -> list[_Alarm]:
    recorded = prepared.recorded
    on = [detector.alarms() for detector in detectors]
    by_rule = rules.raised(recorded, prepared.hits)[first:]
    union = np.any([by_rule, *on], axis=0)
    found = []
    for start, end in separated(union, by_rule, recorded.per_hours(MERGE_HOURS)):
        hits = [
            hit
            for hit in prepared.hits
            if _first_raised(hit, recorded) < end + first and _last_raised(hit, recorded) >= start + first
        ]
        scores = [
            (detector, detector.anomaly_score[start:end])
            for detector, flags in zip(detectors, on, strict=True)
            if flags[start:end].any()
        ]
        found.append(_Alarm(start + first, end + first, hits, scores))
    return found


def separated(union: Flags, by_rule: Flags, merge_distance: int) -> list[tuple[int, int]]:
    """Merged alarms, split where a rule's alarm begins SEPARATE_GAPS or more after the start of another: a
    higher base load must not hide a meter that stands still.
    """
    starts = np.array([start for start, _ in merged(by_rule, merge_distance)], np.int64)
    events: list[tuple[int, int]] = []
    for start, end in merged(union, merge_distance):
        cuts = starts[(starts >= start + SEPARATE_DISTANCES * merge_distance) & (starts < end)].tolist()
        events += pairwise([start, *cuts, end])
    return events


def _first_raised(hit: Hit, recorded: IntervalArray) -> int:
    return hit.raised // recorded.per


def _last_raised(hit: Hit, recorded: IntervalArray) -> int:
    return max(hit.end - 1, hit.raised) // recorded.per


def _event(prepared: DetectorInputs, alarm: _Alarm, ensemble: Ensemble) -> dict[str, object]:
    """Columns of one event: from its rule hits where these are significant, else from a detector; corrected
    by the diagnosis where there is one.
    """
    recorded = prepared.recorded
    width = np.timedelta64(recorded.meter.working_minutes, "m")
    row: dict[str, object] = {
        "start": recorded.intervals[alarm.start],
        "end": recorded.intervals[alarm.end - 1] + width,
        "raised": recorded.intervals[alarm.start] + width,
        "kinds": ",".join(alarm.names),
        "rarity": alarm.anomaly_score,
    }
    hits = _significant(alarm.hits, (alarm.end - alarm.start) * recorded.per, bool(alarm.scores))
    row |= _by_rule(prepared, alarm, hits) if hits else _by_detector(prepared, alarm, ensemble)
    begin = int(np.searchsorted(recorded.times, np.datetime64(str(row["start"]))))
    rows = slice(begin, alarm.end * recorded.per)
    if hits:  # slower detectors stay on after the readings are right again
        rows = slice(min(hit.start for hit in hits), max(hit.end for hit in hits))
    names = frozenset([hit.rule.name for hit in hits] + [detector.name for detector, _ in alarm.scores])
    found = diagnose(Evidence(recorded, prepared.hourly, rows, names))
    if found is not None:
        row |= {
            "fault_class": found.fault_class,
            "alarm_class": ALARM_CLASS[found.fault_class],
            "channels": ",".join(found.channels),
            "lost_kwh": found.lost_kwh,
        }
        if found.size:
            row["explanation"] = f"{row['explanation']}; {found.size}"
    return row


def _by_rule(prepared: DetectorInputs, alarm: _Alarm, hits: list[Hit]) -> dict[str, object]:
    """Columns of an event that is named by the highest-ranking of its significant rule hits."""
    recorded = prepared.recorded
    rule = min(hits, key=lambda hit: (rules.rank(hit.rule), hit.start)).rule
    own = [hit for hit in hits if hit.rule == rule]
    start = recorded.times[min(hit.start for hit in own)]
    minutes = sum(hit.end - hit.start for hit in own) * recorded.meter.step_minutes
    columns: dict[str, object] = {
        "start": start,
        "kind": rule.name,
        "alarm_class": rule.alarm_class,
        "layer": "rules",
        "fault_class": rule.fault_class,
        "channels": ",".join(rule.channels or tuple(recorded.values)),
        "explanation": f"{rule.text} ({minutes} min)",
        "severity": "high",
    }
    width = np.timedelta64(recorded.meter.working_minutes, "m")
    if (
        start > recorded.intervals[alarm.start] + width
    ):  # an earlier alarm of a slower detector was of another
        first_rule = min(hit.raised for hit in alarm.hits) // recorded.per
        columns["raised"] = recorded.intervals[first_rule] + width
    return columns


def _by_detector(prepared: DetectorInputs, alarm: _Alarm, ensemble: Ensemble) -> dict[str, object]:
    """Columns of an event that is named by the monitor farthest above its threshold, else the ensemble."""
    detector, values = max(
        alarm.scores, key=lambda each: (each[0].layer != "ensemble", _highest(each[1]) - each[0].threshold)
    )
    peak = alarm.start + int(np.nan_to_num(values).argmax())
    at_peak = {name: column[peak : peak + 1] for name, column in prepared.features.items()}
    channels = detector.channels or (ensemble.attribute(at_peak),)
    score = alarm.anomaly_score
    return {
        "kind": detector.name,
        "alarm_class": detector.alarm_class,
        "layer": detector.layer,
        "fault_class": detector.fault_class,
        "channels": ",".join(channels),
        "explanation": f"{detector.text}; as rare as 1 in {10 ** min(score, 9.0):,.0f} intervals",
        "severity": "high" if score >= HIGH_SCORE else "medium" if score >= MEDIUM_SCORE else "low",
    }


def _significant(hits: list[Hit], readings: int, has_scores: bool) -> list[Hit]:
    """Hits that may name an event of ``readings`` readings.

    Left out are data defects of under 5 % of its readings, and standstills of single channels under half the
    span of all hits. All hits are kept when none would be and no detector could name the event.
    """
    total: dict[str, int] = {}
    longest: dict[str, int] = {}
    for hit in hits:
        total[hit.rule.name] = total.get(hit.rule.name, 0) + hit.end - hit.start
        longest[hit.rule.name] = max(longest.get(hit.rule.name, 0), hit.end - hit.start)
    span = max((hit.end for hit in hits), default=0) - min((hit.start for hit in hits), default=0)

    def is_significant(hit: Hit) -> bool:
        if hit.rule.fault_class == "frozen" and hit.rule.channels:
            return longest[hit.rule.name] >= 0.5 * span
        return hit.rule.alarm_class != "data_quality" or total[hit.rule.name] >= 0.05 * readings

    kept = [hit for hit in hits if is_significant(hit)]
    return kept if kept or has_scores else hits


def _highest(values: Array) -> float:
    return float(np.nan_to_num(values).max())


def _energy_in_doubt(recorded: IntervalArray, power: Array, expected: Array, alarm_class: object) -> float:
    """kWh of the event that cannot be billed as recorded: all of it for data defects, where readings are
    invented, else the difference from the expected power.
    """
    hours = recorded.meter.working_minutes / 60
    level = np.where(np.isnan(power), expected, power)
    doubt = np.abs(level) if alarm_class == "data_quality" else np.abs(level - expected)
    return float(np.nansum(doubt) * hours)
