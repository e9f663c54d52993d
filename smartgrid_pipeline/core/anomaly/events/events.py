"""Events people can act on: what began when, which channels say so, how bad it is and what is at stake."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from smartgrid_pipeline.core.anomaly.ensemble import features as inputs
from smartgrid_pipeline.core.anomaly.ensemble.ensemble import Ensemble
from smartgrid_pipeline.core.anomaly.events.diagnosis import Evidence, diagnose
from smartgrid_pipeline.core.anomaly.interval_array import Array, Flags, IntervalArray
from smartgrid_pipeline.core.anomaly.physics.hours import HourlyAggregates
from smartgrid_pipeline.core.anomaly.rules import rules
from smartgrid_pipeline.core.anomaly.rules.rules import Hit
from smartgrid_pipeline.core.anomaly.scoring.alarms import MERGE_HOURS, DetectorScore, merged
from smartgrid_pipeline.core.schema import ACTIVE_POWER

EVENT_COLUMNS = (
    "start",
    "end",
    "raised",
    "kind",
    "kinds",
    "alarm_class",
    "layer",
    "channels",
    "severity",
    "rarity",
    "energy_kwh",
    "money",
    "fault_class",
    "explanation",
)
"""Events table. ``start`` and ``end`` (exclusive) bound what is wrong, ``raised`` is when that could first be
known; ``kinds`` names every voice heard, first one first; ``energy_kwh`` is the energy in doubt.
"""


ALARM_CLASS = {
    "copied": "data_quality",
    "missing": "data_quality",
    "frozen": "data_quality",
    "sign": "meter",
    "unit": "meter",
    "inconsistent": "meter",
    "bypass": "meter",
    "clock": "meter",
    "phase": "meter",
    "sub_meter": "meter",
    "voltage": "grid",
    "load": "behaviour",
}
"""Who should look at it: the data office, the meter workshop, the customer's adviser or the grid operator."""


@dataclass(frozen=True)
class DetectorInputs:
    """What the layers look at: readings, rule hits, intervals that rules took readings from, the ensemble's
    inputs, and the hourly sums behind the physics.
    """

    stream: IntervalArray
    hits: list[Hit]
    taken: Flags
    inputs: dict[str, Array]
    hours: HourlyAggregates


def describe(
    prepared: DetectorInputs,
    voices: list[DetectorScore],
    first: int,
    ensemble: Ensemble,
    price_per_kwh: float,
) -> pd.DataFrame:
    """One row per merged event raised in interval ``first`` or later, where the voices begin."""
    stream = prepared.stream
    raised = [voice.alarms() for voice in voices]
    by_rule = rules.raised(stream, prepared.hits)[first:]
    union = np.any([by_rule, *raised], axis=0)
    power = stream.mean(stream.values[ACTIVE_POWER])
    usual = inputs.expected_power(stream, power)
    rows = []
    for start, end in separated(union, by_rule, stream.per_hours(MERGE_HOURS)):
        said = [
            h
            for h in prepared.hits
            if _first_on(h, stream) - first < end and _last_on(h, stream) - first >= start
        ]
        heard = [v for v, flags in zip(voices, raised, strict=True) if flags[start:end].any()]
        row = _event(prepared, first, start, end, said, heard, ensemble)
        at = slice(max(0, min([start + first, *(hit.start // stream.per for hit in said)])), end + first)
        lost = row.pop("lost_kwh", None)
        energy_kwh = _energy_in_doubt(stream, power[at], usual[at], row["alarm_class"])
        energy_kwh = float(lost) if isinstance(lost, float) else energy_kwh
        rows.append(row | {"energy_kwh": energy_kwh, "money": energy_kwh * price_per_kwh})
    return pd.DataFrame(rows, columns=list(EVENT_COLUMNS)).astype(
        {"start": "datetime64[s]", "end": "datetime64[s]", "raised": "datetime64[s]"}
    )


SETTLED_GAPS = 4
"""For a day rules and slower voices may be speaking of the same."""


def separated(union: Flags, by_rule: Flags, gap_rows: int) -> list[tuple[int, int]]:
    """Merged events; what rules say once an alarm has stood for SETTLED_GAPS is an event of its own: a
    home that uses more than usual must not hide a meter that stands still.
    """
    starts = np.array([start for start, _ in merged(by_rule, gap_rows)], np.int64)
    events: list[tuple[int, int]] = []
    for start, end in merged(union, gap_rows):
        cuts = [start, *starts[(starts >= start + SETTLED_GAPS * gap_rows) & (starts < end)].tolist(), end]
        events += pairwise(cuts)
    return events


def _first_on(hit: Hit, stream: IntervalArray) -> int:
    return hit.raised // stream.per


def _last_on(hit: Hit, stream: IntervalArray) -> int:
    return max(hit.end - 1, hit.raised) // stream.per


def _event(
    prepared: DetectorInputs,
    first: int,
    start: int,
    end: int,
    said: list[Hit],
    heard: list[DetectorScore],
    ensemble: Ensemble,
) -> dict[str, object]:
    """The words of one event, from its rules where there are any, else from its most specific voice."""
    stream = prepared.stream
    width = np.timedelta64(stream.meter.working_minutes, "m")
    kinds = list(dict.fromkeys([hit.rule.name for hit in said] + [voice.name for voice in heard]))
    rarity = max([float(np.nan_to_num(voice.rarity[start:end]).max()) for voice in heard], default=0.0)
    common: dict[str, Any] = {
        "start": stream.intervals[start + first],
        "end": stream.intervals[end - 1 + first] + width,
        "raised": stream.intervals[start + first] + width,
        "kinds": ",".join(kinds),
        "rarity": rarity,
    }
    first_rule = min((hit.raised for hit in said), default=0) // stream.per
    said = _weighty(said, (end - start) * stream.per, bool(heard))
    if said:
        rule = min(said, key=lambda hit: (rules.rank(hit.rule), hit.start)).rule
        own = [hit for hit in said if hit.rule == rule]
        common["start"] = stream.times[min(hit.start for hit in own)]
        if common["start"] > common["raised"]:  # a slower voice had spoken before, of something else
            common["raised"] = stream.intervals[first_rule] + width
        minutes = sum(hit.end - hit.start for hit in own) * stream.meter.step_minutes
        channels = rule.channels or tuple(stream.values)
        words = _words(rule.name, rule.alarm_class, "rules", rule.fault_class, channels,
                       f"{rule.text} ({minutes} min)", "high")  # fmt: skip
    else:
        voice = max(heard, key=lambda v: (v.layer != "ensemble", _most(v.rarity[start:end]) - v.threshold))
        peak = start + first + int(np.nan_to_num(voice.rarity[start:end]).argmax())
        at_peak = {name: values[peak : peak + 1] for name, values in prepared.inputs.items()}
        channels = voice.channels or (ensemble.blame(at_peak),)
        severity = "high" if rarity >= 8 else "medium" if rarity >= 5 else "low"
        odds = f"as rare as 1 in {10 ** min(rarity, 9.0):,.0f} intervals"
        words = _words(voice.name, voice.alarm_class, voice.layer, voice.fault_class, channels,
                       f"{voice.text}; {odds}", severity)  # fmt: skip
    begins = np.datetime64(str(common["start"]))
    rows = slice(int(np.searchsorted(stream.times, begins)), (end + first) * stream.per)
    if said:  # slower voices go on after the readings are right again
        rows = slice(min(hit.start for hit in said), max(hit.end for hit in said))
    found = diagnose(Evidence(stream, prepared.hours, rows, _meaning(said, heard)))
    if found is not None:
        words |= {
            "fault_class": found.fault_class,
            "alarm_class": ALARM_CLASS[found.fault_class],
            "channels": ",".join(found.channels),
            "lost_kwh": found.lost_kwh,
        }
        if found.size:
            words["explanation"] = f"{words['explanation']}; {found.size}"
    return common | words


def _weighty(said: list[Hit], readings: int, others: bool) -> list[Hit]:
    """Hits without those that must not name the event: small data defects that a long event swallowed, and
    standstills that are a small part of what the rules complain about.
    """
    total: dict[str, int] = {}
    longest: dict[str, int] = {}
    for hit in said:
        total[hit.rule.name] = total.get(hit.rule.name, 0) + hit.end - hit.start
        longest[hit.rule.name] = max(longest.get(hit.rule.name, 0), hit.end - hit.start)
    span = max((h.end for h in said), default=0) - min((h.start for h in said), default=0)

    def counts(hit: Hit) -> bool:
        if hit.rule.fault_class == "frozen" and hit.rule.channels:
            return longest[hit.rule.name] >= 0.5 * span
        return hit.rule.alarm_class != "data_quality" or total[hit.rule.name] >= 0.05 * readings

    kept = [hit for hit in said if counts(hit)]
    return kept if kept or others else said


def _meaning(said: list[Hit], heard: list[DetectorScore]) -> frozenset[str]:
    return frozenset([hit.rule.name for hit in said] + [voice.name for voice in heard])


def _most(rarity: Array) -> float:
    return float(np.nan_to_num(rarity).max())


def _words(
    kind: str,
    alarm_class: str,
    layer: str,
    fault_class: str,
    channels: tuple[str, ...],
    text: str,
    severity: str,
) -> dict[str, object]:
    return {
        "kind": kind,
        "alarm_class": alarm_class,
        "layer": layer,
        "fault_class": fault_class,
        "channels": ",".join(channels),
        "explanation": text,
        "severity": severity,
    }


def _energy_in_doubt(stream: IntervalArray, power: Array, usual: Array, alarm_class: object) -> float:
    """kWh of the event that cannot be billed as they stand: all of it when the readings are invented, what
    differs from the usual otherwise.
    """
    hours = stream.meter.working_minutes / 60
    level = np.where(np.isnan(power), usual, power)
    doubt = np.abs(level) if alarm_class == "data_quality" else np.abs(level - usual)
    return float(np.nansum(doubt) * hours)
