"""Events people can act on: what began when, which channels say so, how bad it is and what is at stake."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from smartgrid_pipeline.core.anomaly import inputs, rules
from smartgrid_pipeline.core.anomaly.ensemble import Ensemble
from smartgrid_pipeline.core.anomaly.fusion import MERGE_HOURS, Voice, merged
from smartgrid_pipeline.core.anomaly.hours import Hours
from smartgrid_pipeline.core.anomaly.rules import Hit
from smartgrid_pipeline.core.anomaly.stream import Array, Flags, Stream
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


@dataclass(frozen=True)
class Prepared:
    """What the layers look at: readings, rule hits, intervals that rules took readings from, the ensemble's
    inputs, and the hourly sums behind the physics.
    """

    stream: Stream
    hits: list[Hit]
    taken: Flags
    inputs: dict[str, Array]
    hours: Hours


def describe(
    prepared: Prepared, voices: list[Voice], first: int, ensemble: Ensemble, price_per_kwh: float
) -> pd.DataFrame:
    """One row per merged event raised in interval ``first`` or later, where the voices begin."""
    stream = prepared.stream
    raised = [voice.alarms() for voice in voices]
    union = np.any([rules.raised(stream, prepared.hits)[first:], *raised], axis=0)
    power = stream.mean(stream.values[ACTIVE_POWER])
    usual = inputs.expected_power(stream, power)
    rows = []
    for start, end in merged(union, stream.per_hours(MERGE_HOURS)):
        said = [hit for hit in prepared.hits if start <= hit.raised // stream.per - first < end]
        heard = [v for v, flags in zip(voices, raised, strict=True) if flags[start:end].any()]
        row = _event(prepared, first, start, end, said, heard, ensemble)
        at = slice(max(0, min([start + first, *(hit.start // stream.per for hit in said)])), end + first)
        energy_kwh = _energy_in_doubt(stream, power[at], usual[at], row["alarm_class"])
        rows.append(row | {"energy_kwh": energy_kwh, "money": energy_kwh * price_per_kwh})
    return pd.DataFrame(rows, columns=list(EVENT_COLUMNS)).astype(
        {"start": "datetime64[s]", "end": "datetime64[s]", "raised": "datetime64[s]"}
    )


def _event(
    prepared: Prepared,
    first: int,
    start: int,
    end: int,
    said: list[Hit],
    heard: list[Voice],
    ensemble: Ensemble,
) -> dict[str, object]:
    """The words of one event, from its rules where there are any, else from its most specific voice."""
    stream = prepared.stream
    width = np.timedelta64(stream.meter.working_minutes, "m")
    kinds = list(dict.fromkeys([hit.rule.name for hit in said] + [voice.name for voice in heard]))
    rarity = max([float(np.nanmax(voice.rarity[start:end])) for voice in heard], default=0.0)
    common: dict[str, object] = {
        "start": stream.intervals[start + first],
        "end": stream.intervals[end - 1 + first] + width,
        "raised": stream.intervals[start + first] + width,
        "kinds": ",".join(kinds),
        "rarity": rarity,
    }
    if said:
        longest = min(said, key=lambda hit: (rules.rank(hit.rule), hit.start - hit.end, hit.start))
        rule = longest.rule
        minutes = (longest.end - longest.start) * stream.meter.step_minutes
        common["start"] = stream.times[min(hit.start for hit in said if hit.rule == rule)]
        words = f"{rule.text} ({minutes} min)"
        channels = rule.channels or tuple(stream.values)
        return common | _words(
            rule.name, rule.alarm_class, "rules", rule.fault_class, channels, words, "high"
        )
    voice = max(
        heard, key=lambda v: (v.layer != "ensemble", float(np.nanmax(v.rarity[start:end] - v.threshold)))
    )
    peak = start + first + int(np.nanargmax(voice.rarity[start:end]))
    at_peak = {name: values[peak : peak + 1] for name, values in prepared.inputs.items()}
    channels = voice.channels or (ensemble.blame(at_peak),)
    words = f"{voice.text} ({', '.join(channels)}); as rare as 1 in {10 ** min(rarity, 9.0):,.0f} intervals"
    severity = "high" if rarity >= 8 else "medium" if rarity >= 5 else "low"
    return common | _words(
        voice.name, voice.alarm_class, voice.layer, voice.fault_class, channels, words, severity
    )


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


def _energy_in_doubt(stream: Stream, power: Array, usual: Array, alarm_class: object) -> float:
    """kWh of the event that cannot be billed as they stand: all of it when the readings are invented, what
    differs from the usual otherwise.
    """
    hours = stream.meter.working_minutes / 60
    level = np.where(np.isnan(power), usual, power)
    doubt = np.abs(level) if alarm_class == "data_quality" else np.abs(level - usual)
    return float(np.nansum(doubt) * hours)
