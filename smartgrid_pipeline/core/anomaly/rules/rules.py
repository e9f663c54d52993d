"""Deterministic rules on single readings: what no healthy meter ever records.

A rule flags readings by that reading and earlier ones only. Limits that differ between meters are learned
once from clean readings (see ``limits``) and are plain numbers.
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
    run_lengths,
)
from smartgrid_pipeline.core.features.lags import lag
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
    """A rule: ``bad`` flags readings, ``shortest`` flagged readings in a row are a hit, with this meaning.

    ``channels`` are those it needs; a rule without channels runs on every meter.
    """

    name: str
    alarm_class: str
    fault_class: str
    channels: tuple[str, ...]
    shortest: Callable[[Limits], float]
    bad: Callable[[IntervalArray, Limits], Flags]
    text: str


@dataclass(frozen=True)
class Hit:
    """A run of readings flagged by a rule: rows ``start`` to ``end`` (exclusive), with an alarm from
    ``raised`` on.
    """

    rule: Rule
    start: int
    end: int
    raised: int


def _equal_to(recorded: IntervalArray, rows: int, tolerance: float = 0.0) -> Flags:
    """Readings equal in every channel to those ``rows`` earlier, up to ``tolerance`` resolution steps."""
    equal = np.ones(len(recorded.times), bool)
    for channel, values in recorded.values.items():
        allowed = tolerance * RESOLUTION[channel] * 1.01 + 1e-9  # units converted twice differ in last bits
        equal &= np.abs(values - lag(values, rows)) <= allowed
    return equal


def _constant(values: Array) -> Flags:
    return values == lag(values, 1)


def constant_all(recorded: IntervalArray) -> Flags:
    """Readings equal in every channel to the one before."""
    return _equal_to(recorded, 1)


def _missing(recorded: IntervalArray, _: Limits) -> Flags:
    missing: Flags = np.asarray(np.all(np.isnan(np.stack(list(recorded.values.values()))), axis=0))
    missing[: recorded.first_row] = False
    missing[recorded.first_row + recorded.rows :] = False
    return missing


def copied_day(recorded: IntervalArray, limits: Limits) -> Flags:
    """Exact repeats of the day before; frozen readings do not count, where the resolution shows them."""
    equal = _equal_to(recorded, DAY // recorded.meter.step_minutes)
    if not recorded.has(VOLTAGE):
        return equal & ~constant_all(recorded)
    return equal & (run_lengths(constant_all(recorded)) < limits["frozen_readings"] - 1)


def _copied_reading(recorded: IntervalArray, limits: Limits) -> Flags:
    """Single exact repeats of the day before that do not fit their neighbours.

    The flag is on the following reading, with which the repeat is known to be single.
    """
    equal = _equal_to(recorded, DAY // recorded.meter.step_minutes)
    before = np.concatenate([[False, False], equal[:-2]])
    middle = np.concatenate([[False], equal[:-1]])
    alone = middle & ~before & ~equal
    volt, power = recorded.values[VOLTAGE], recorded.values[ACTIVE_POWER]
    off_voltage = np.abs(lag(volt, 1) - (lag(volt, 2) + volt) / 2)
    off_power = np.minimum(np.abs(lag(power, 1) - lag(power, 2)), np.abs(power - lag(power, 1)))
    return alone & ((off_voltage > limits["copy_voltage_v"]) | (off_power > limits["copy_power_kw"]))


def near_copy(recorded: IntervalArray, _: Limits) -> Flags:
    """Repeats of the day before up to two resolution steps, frozen readings excepted."""
    return _equal_to(recorded, DAY // recorded.meter.step_minutes, 2.0) & (_constant_run(recorded) < 3)


def _constant_run(recorded: IntervalArray) -> Array:
    return run_lengths(constant_all(recorded)).astype(float)


def _repeated_hour(recorded: IntervalArray, limits: Limits) -> Flags:
    equal = _equal_to(recorded, HOUR // recorded.meter.step_minutes)
    return equal & (_constant_run(recorded) < limits["frozen_readings"] - 1)


def _frozen(recorded: IntervalArray, _: Limits) -> Flags:
    return constant_all(recorded)


def stuck(channel: str) -> Callable[[IntervalArray, Limits], Flags]:
    """Flags readings of one channel that equal the one before and are not zero."""

    def bad(recorded: IntervalArray, _: Limits) -> Flags:
        values = recorded.values[channel]
        return _constant(values) & (values != 0)

    return bad


MOVES = {CURRENT: 0.4, ACTIVE_POWER: 0.1, VOLTAGE: 1.0}
"""Changes from one reading to the next (A, kW, V) that must show in the other channels too."""

BLIND = ((ACTIVE_POWER, CURRENT), (CURRENT, ACTIVE_POWER), (ACTIVE_POWER, VOLTAGE))


def moves_missed(recorded: IntervalArray, channel: str, other: str) -> Array:
    """How many moves of ``other`` have passed since ``channel`` stands still, 0 while it moves."""
    values, others = recorded.values[channel], recorded.values[other]
    still = _constant(values) & (values != 0)
    total = np.cumsum(still & (np.abs(others - lag(others, 1)) >= MOVES[other] - 1e-6))
    rows = np.arange(len(values))
    return np.where(still, total - total[np.maximum(rows - run_lengths(still), 0)], 0).astype(float)


def _blind(channel: str, other: str) -> Callable[[IntervalArray, Limits], Flags]:
    def bad(recorded: IntervalArray, limits: Limits) -> Flags:
        return moves_missed(recorded, channel, other) >= limits[f"blind_{channel}_{other}"]

    return bad


def straight_line(recorded: IntervalArray, _: Limits) -> Flags:
    """Readings without curvature beyond rounding in any channel: interpolated, not measured."""
    straight = np.ones(len(recorded.times), bool)
    for channel, values in recorded.values.items():
        bend = np.abs(values - 2 * lag(values, 1) + lag(values, 2))
        straight &= bend <= 2.1 * RESOLUTION[channel]
    return straight & (run_lengths(constant_all(recorded)) < 10)


def _voltage_band(recorded: IntervalArray, limits: Limits) -> Flags:
    volt = recorded.values[VOLTAGE]
    step = np.abs(volt - lag(volt, 1)) > limits["voltage_step_v"]
    return (volt < limits["voltage_low_v"]) | (volt > limits["voltage_high_v"]) | step


def _negative(recorded: IntervalArray, _: Limits) -> Flags:
    return np.any([values < 0 for values in recorded.values.values()], axis=0)


def _no_power(recorded: IntervalArray, limits: Limits) -> Flags:
    power = recorded.values[ACTIVE_POWER]
    return (power >= 0) & (power < limits["no_power_kw"])


def _too_much_power(recorded: IntervalArray, limits: Limits) -> Flags:
    return recorded.values[ACTIVE_POWER] > limits["highest_power_kw"]


def _subs_above_total(recorded: IntervalArray, limits: Limits) -> Flags:
    subs = np.sum([recorded.values[sub] for sub in ALL_SUBS], axis=0)
    return subs - recorded.values[ACTIVE_POWER] > limits["sub_excess_kw"]


def _too_little_current(recorded: IntervalArray, limits: Limits) -> Flags:
    return recorded.excess_kva < limits["excess_low_kva"]


def _too_much_current(recorded: IntervalArray, limits: Limits) -> Flags:
    return recorded.excess_kva > np.maximum(limits["excess_high_kva"], 0.1 * recorded.apparent_kva)


def _far_too_little_current(recorded: IntervalArray, limits: Limits) -> Flags:
    return recorded.excess_kva < 3 * limits["excess_low_kva"]


def power_unlike_current(recorded: IntervalArray, limits: Limits) -> Flags:
    """Readings whose power and current disagree, in either direction, by more than is usual."""
    high = np.maximum(limits["excess_usual_kva"], 0.01 * recorded.apparent_kva)
    return (recorded.excess_kva > high) | (recorded.excess_kva < limits["excess_low_kva"])


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
         power_unlike_current, "power and current have disagreed for long"),
    Rule("subs_above_total", METER, "sub_meter", ALL_SUBS, _always(2), _subs_above_total,
         "sub-meters add up to more than the total"),
)  # fmt: skip
"""Every rule; those whose channels a meter lacks are off, the ones without channels run on any meter."""


DST_COPY = Rule("dst_copy", QUALITY, "copied", (VOLTAGE,), _always(5), _repeated_hour,
                "an hour the clock skipped was filled with the hour after it")  # fmt: skip
"""A repeated hour in place of the hour that the civil clock skipped in spring."""


def rank(rule: Rule) -> int:
    """Place in RULES: of several rules that fire together the first one names the event."""
    return RULES.index(rule) if rule in RULES else -1


def active(recorded: IntervalArray) -> tuple[Rule, ...]:
    """The rules that this meter's channels allow."""
    return tuple(rule for rule in RULES if recorded.has(*rule.channels))


def hits(recorded: IntervalArray, limits: Limits) -> list[Hit]:
    """Hits of all active rules, ordered by when their alarm is raised.

    Where the civil clock skipped an hour, a repeated hour is a ``dst_copy``: it is raised in the hour that
    follows and dated back to the skipped one.
    """
    found = []
    for rule in active(recorded):
        shortest = max(1, int(np.ceil(rule.shortest(limits))))
        for start, end in runs(rule.bad(recorded, limits)):
            if end - start >= shortest:
                found.append(_dated(Hit(rule, start, end, start + shortest - 1), recorded))
    return sorted(found, key=lambda hit: (hit.raised, hit.start, hit.rule.name))


def raised(recorded: IntervalArray, found: list[Hit]) -> Flags:
    """Working intervals in which a rule's alarm is on, (intervals,): from the reading that raises it on."""
    flags = np.zeros(len(recorded.times), bool)
    for hit in found:
        flags[hit.raised : max(hit.end, hit.raised + 1)] = True
    return recorded.any(flags)


def _dated(hit: Hit, recorded: IntervalArray) -> Hit:
    """The hit moved to the readings that are wrong, where those are not the flagged ones."""
    if hit.rule.name.startswith("blind_"):
        values = recorded.values[hit.rule.channels[0]]
        changed = np.flatnonzero(values[: hit.start] != values[hit.start])
        return replace(hit, start=int(changed[-1]) + 1 if len(changed) else 0)
    if hit.rule.name == "copied_reading":
        return replace(hit, start=hit.start - 1, end=hit.end - 1)
    hour = HOUR // recorded.meter.step_minutes
    if hit.rule.name == "repeated_hour" and hit.start >= hour:
        source = pd.DatetimeIndex(recorded.times[[hit.start - hour]].astype("datetime64[s]"))
        if pd.isna(civil_to_utc(source, recorded.meter.timezone)[0]):
            return replace(hit, rule=DST_COPY, start=hit.start - hour, end=hit.end - hour)
    return hit
