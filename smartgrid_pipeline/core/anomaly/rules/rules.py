"""Deterministic rules on single readings: what no healthy meter ever records.

A rule flags readings with what is known at that reading; limits that differ between meters are learned once,
on clean readings, and are plain numbers. A hit knows when it began and when it could first be raised.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from smartgrid_pipeline.core.anomaly.interval_array import (
    ALL_SUBS,
    ELECTRICAL,
    Array,
    Flags,
    IntervalArray,
    lag,
    run_lengths,
)
from smartgrid_pipeline.core.meter_data import civil_to_utc
from smartgrid_pipeline.core.meter_data.runs import runs
from smartgrid_pipeline.core.schema import (
    ACTIVE_POWER,
    CURRENT,
    REACTIVE_POWER,
    SUB_METERS,
    VOLTAGE,
)

Limits = dict[str, float]

RESOLUTION = {ACTIVE_POWER: 0.002, REACTIVE_POWER: 0.002, VOLTAGE: 0.01, CURRENT: 0.2} | dict.fromkeys(
    SUB_METERS, 0.06
)
"""Least significant step of each channel of a fine meter (kW, kvar, V, A, kW: 1 Wh a minute)."""

DAY, HOUR = 1440, 60


@dataclass(frozen=True)
class Rule:
    """A rule: the readings it calls bad, how many in a row raise it, and what such an alarm means."""

    name: str
    alarm_class: str
    fault_class: str
    channels: tuple[str, ...]
    shortest: Callable[[Limits], float]
    bad: Callable[[IntervalArray, Limits], Flags]
    text: str


@dataclass(frozen=True)
class Hit:
    """One stretch a rule complains about, in rows of the stream: start, end (exclusive), first raised."""

    rule: Rule
    start: int
    end: int
    raised: int


def _equal_to(stream: IntervalArray, rows: int, tolerance: float = 0.0) -> Flags:
    """Readings equal in every channel to those ``rows`` earlier, up to a multiple of the resolution."""
    equal = np.ones(len(stream.times), bool)
    for channel, values in stream.values.items():
        allowed = tolerance * RESOLUTION[channel] * 1.01 + 1e-9  # units converted twice differ in last bits
        equal &= np.abs(values - lag(values, rows)) <= allowed
    return equal


def _constant(values: Array) -> Flags:
    return values == lag(values, 1)


def constant_all(stream: IntervalArray) -> Flags:
    """Readings equal in every channel to the one before."""
    return _equal_to(stream, 1)


def _missing(stream: IntervalArray, _: Limits) -> Flags:
    missing: Flags = np.asarray(np.all(np.isnan(np.stack(list(stream.values.values()))), axis=0))
    missing[: stream.first_row] = False
    missing[stream.first_row + stream.rows :] = False
    return missing


def copied_day(stream: IntervalArray, limits: Limits) -> Flags:
    """Exact repeats of the day before; a fine meter's standstill counts only inside such a repeat."""
    equal = _equal_to(stream, DAY // stream.meter.step_minutes)
    if not stream.has(VOLTAGE):
        return equal & ~constant_all(stream)
    return equal & (run_lengths(constant_all(stream)) < limits["frozen_readings"] - 1)


def _copied_reading(stream: IntervalArray, limits: Limits) -> Flags:
    """Single exact repeats of the day before that do not sit naturally among their neighbours.

    Known one reading later: the flag is on the later row.
    """
    equal = _equal_to(stream, DAY // stream.meter.step_minutes)
    before = np.concatenate([[False, False], equal[:-2]])
    middle = np.concatenate([[False], equal[:-1]])
    alone = middle & ~before & ~equal
    volt, power = stream.values[VOLTAGE], stream.values[ACTIVE_POWER]
    off_voltage = np.abs(lag(volt, 1) - (lag(volt, 2) + volt) / 2)
    off_power = np.minimum(np.abs(lag(power, 1) - lag(power, 2)), np.abs(power - lag(power, 1)))
    return alone & ((off_voltage > limits["copy_voltage_v"]) | (off_power > limits["copy_power_kw"]))


def near_copy(stream: IntervalArray, _: Limits) -> Flags:
    """Repeats of the day before but for the last digits; a standstill proves nothing."""
    return _equal_to(stream, DAY // stream.meter.step_minutes, 2.0) & (_constant_run(stream) < 3)


def _constant_run(stream: IntervalArray) -> Array:
    return run_lengths(constant_all(stream)).astype(float)


def _repeated_hour(stream: IntervalArray, limits: Limits) -> Flags:
    equal = _equal_to(stream, HOUR // stream.meter.step_minutes)
    return equal & (_constant_run(stream) < limits["frozen_readings"] - 1)


def _frozen(stream: IntervalArray, _: Limits) -> Flags:
    return constant_all(stream)


def stuck(channel: str) -> Callable[[IntervalArray, Limits], Flags]:
    """Flags readings of one channel that equal the one before and are not zero."""

    def bad(stream: IntervalArray, _: Limits) -> Flags:
        values = stream.values[channel]
        return _constant(values) & (values != 0)

    return bad


MOVES = {CURRENT: 0.4, ACTIVE_POWER: 0.1, VOLTAGE: 1.0}
"""Changes from one reading to the next (A, kW, V) that the other channels cannot have slept through."""

BLIND = ((ACTIVE_POWER, CURRENT), (CURRENT, ACTIVE_POWER), (ACTIVE_POWER, VOLTAGE))


def moves_missed(stream: IntervalArray, channel: str, other: str) -> Array:
    """How many moves of ``other`` a channel has stood still through by now; 0 while it moves."""
    values, others = stream.values[channel], stream.values[other]
    still = _constant(values) & (values != 0)
    total = np.cumsum(still & (np.abs(others - lag(others, 1)) >= MOVES[other] - 1e-6))
    rows = np.arange(len(values))
    return np.where(still, total - total[np.maximum(rows - run_lengths(still), 0)], 0).astype(float)


def _blind(channel: str, other: str) -> Callable[[IntervalArray, Limits], Flags]:
    def bad(stream: IntervalArray, limits: Limits) -> Flags:
        return moves_missed(stream, channel, other) >= limits[f"blind_{channel}_{other}"]

    return bad


def straight_line(stream: IntervalArray, _: Limits) -> Flags:
    """No channel shows any curvature beyond its rounding: interpolated, not measured."""
    straight = np.ones(len(stream.times), bool)
    for channel, values in stream.values.items():
        bend = np.abs(values - 2 * lag(values, 1) + lag(values, 2))
        straight &= bend <= 2.1 * RESOLUTION[channel]
    return straight & (run_lengths(constant_all(stream)) < 10)


def _voltage_band(stream: IntervalArray, limits: Limits) -> Flags:
    volt = stream.values[VOLTAGE]
    step = np.abs(volt - lag(volt, 1)) > limits["voltage_step_v"]
    return (volt < limits["voltage_low_v"]) | (volt > limits["voltage_high_v"]) | step


def _negative(stream: IntervalArray, _: Limits) -> Flags:
    return np.any([values < 0 for values in stream.values.values()], axis=0)


def _no_power(stream: IntervalArray, limits: Limits) -> Flags:
    power = stream.values[ACTIVE_POWER]
    return (power >= 0) & (power < limits["no_power_kw"])


def _too_much_power(stream: IntervalArray, limits: Limits) -> Flags:
    return stream.values[ACTIVE_POWER] > limits["highest_power_kw"]


def _subs_above_total(stream: IntervalArray, limits: Limits) -> Flags:
    subs = np.sum([stream.values[sub] for sub in ALL_SUBS], axis=0)
    return subs - stream.values[ACTIVE_POWER] > limits["sub_excess_kw"]


def _too_little_current(stream: IntervalArray, limits: Limits) -> Flags:
    return stream.excess_kva < limits["excess_low_kva"]


def _too_much_current(stream: IntervalArray, limits: Limits) -> Flags:
    return stream.excess_kva > np.maximum(limits["excess_high_kva"], 0.1 * stream.apparent_kva)


def _far_too_little_current(stream: IntervalArray, limits: Limits) -> Flags:
    return stream.excess_kva < 3 * limits["excess_low_kva"]


def power_unlike_current(stream: IntervalArray, limits: Limits) -> Flags:
    """Current that explains the recorded power badly, whichever way, for many readings on end."""
    high = np.maximum(limits["excess_usual_kva"], 0.01 * stream.apparent_kva)
    return (stream.excess_kva > high) | (stream.excess_kva < limits["excess_low_kva"])


def _always(count: float) -> Callable[[Limits], float]:
    return lambda _: count


def _limit(name: str) -> Callable[[Limits], float]:
    return lambda limits: limits[name]


QUALITY, METER, GRID = "data_quality", "meter", "grid"

RULES = (
    Rule("gap", QUALITY, "missing", (), _always(1), _missing, "no reading was recorded"),
    Rule("negative", METER, "sign", (), _always(1), _negative, "a reading is negative"),
    Rule("copied_day", QUALITY, "copied", (), _limit("copied_readings"), copied_day,
         "readings repeat those of the day before"),
    Rule("copied_reading", QUALITY, "copied", (VOLTAGE,), _always(1), _copied_reading,
         "a reading repeats the one a day before and does not fit its neighbours"),
    Rule("near_copy", QUALITY, "copied", (), _limit("near_copies"), near_copy,
         "readings repeat those of the day before but for the last digit"),
    Rule("repeated_hour", QUALITY, "copied", (VOLTAGE,), _always(5), _repeated_hour,
         "readings repeat those of the hour before"),
    Rule("straight_line", QUALITY, "copied", (), _limit("straight_readings"), straight_line,
         "readings lie on a straight line: filled in, not measured"),
    Rule("no_power", METER, "missing", (), _limit("zero_readings"), _no_power,
         "no power, or next to none, where there always was some"),
    Rule("freeze", QUALITY, "frozen", (), _limit("frozen_readings"), _frozen,
         "all channels stand still"),
    *(
        Rule(f"stuck_{channel}", METER, "frozen", (channel,), _limit(f"stuck_{channel}"), stuck(channel),
             f"{channel} stands still while it never did for so long")
        for channel in ELECTRICAL
    ),
    *(
        Rule(f"blind_{channel}_{other}", METER, "frozen", (channel, other), _always(1),
             _blind(channel, other), f"{channel} stands still while {other} moves")
        for channel, other in BLIND
    ),
    Rule("voltage_band", GRID, "voltage", (VOLTAGE,), _always(1), _voltage_band,
         "voltage leaves its band or jumps"),
    Rule("too_much_power", METER, "unit", (), _always(1), _too_much_power,
         "more power than the supply ever gave"),
    Rule("too_little_current", METER, "inconsistent", ELECTRICAL, _always(2), _too_little_current,
         "voltage times current is less than the recorded power"),
    Rule("far_too_little_current", METER, "inconsistent", ELECTRICAL, _always(1), _far_too_little_current,
         "voltage times current is far less than the recorded power"),
    Rule("too_much_current", METER, "inconsistent", ELECTRICAL, _always(1), _too_much_current,
         "voltage times current is far more than the recorded power"),
    Rule("power_unlike_current", METER, "inconsistent", ELECTRICAL, _limit("unlike_readings"),
         power_unlike_current, "power and current have told different stories for long"),
    Rule("subs_above_total", METER, "sub_meter", ALL_SUBS, _always(2), _subs_above_total,
         "sub-meters add up to more than the total"),
)  # fmt: skip
"""Every rule; those whose channels a meter lacks are off, the ones without channels run on any meter."""


DST_COPY = Rule("dst_copy", QUALITY, "copied", (VOLTAGE,), _always(5), _repeated_hour,
                "an hour the clock skipped was filled with the hour after it")  # fmt: skip
"""What a repeated hour is called when the hour it repeats does not exist on the civil clock."""


def rank(rule: Rule) -> int:
    """Place in RULES: of several rules that fire together the first one names the event."""
    return RULES.index(rule) if rule in RULES else -1


def active(stream: IntervalArray) -> tuple[Rule, ...]:
    """The rules this meter's channels allow."""
    return tuple(rule for rule in RULES if stream.has(*rule.channels))


def hits(stream: IntervalArray, limits: Limits) -> list[Hit]:
    """Every stretch some active rule complains about, ordered by when it could be raised.

    A repeated hour is a ``dst_copy`` of the hour before it where the clock skipped that hour; the copy is
    told by the hour that follows, so it is raised then and dated back.
    """
    found = []
    for rule in active(stream):
        shortest = max(1, int(np.ceil(rule.shortest(limits))))
        for start, end in runs(rule.bad(stream, limits)):
            if end - start >= shortest:
                found.append(_dated(Hit(rule, start, end, start + shortest - 1), stream))
    return sorted(found, key=lambda hit: (hit.raised, hit.start, hit.rule.name))


def raised(stream: IntervalArray, found: list[Hit]) -> Flags:
    """Working intervals in which some rule's alarm is on: from the reading that raised it on."""
    flags = np.zeros(len(stream.times), bool)
    for hit in found:
        flags[hit.raised : max(hit.end, hit.raised + 1)] = True
    return stream.any(flags)


def _dated(hit: Hit, stream: IntervalArray) -> Hit:
    """Date a hit to the readings that are wrong, where those are not the ones that betrayed it."""
    if hit.rule.name.startswith("blind_"):
        values = stream.values[hit.rule.channels[0]]
        changed = np.flatnonzero(values[: hit.start] != values[hit.start])
        return replace(hit, start=int(changed[-1]) + 1 if len(changed) else 0)
    if hit.rule.name == "copied_reading":
        return replace(hit, start=hit.start - 1, end=hit.end - 1)
    hour = HOUR // stream.meter.step_minutes
    if hit.rule.name == "repeated_hour" and hit.start >= hour:
        source = pd.DatetimeIndex(stream.times[[hit.start - hour]].astype("datetime64[s]"))
        if pd.isna(civil_to_utc(source, stream.meter.timezone)[0]):
            return replace(hit, rule=DST_COPY, start=hit.start - hour, end=hit.end - hour)
    return hit
