"""Hidden defects found from the readings alone: copied gaps, copied hours, freezes."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from smartgrid_pipeline.core.meter_data.grid import step_minutes
from smartgrid_pipeline.core.schema import ACTIVE_POWER, CHANNELS, VOLTAGE

Flags = npt.NDArray[np.bool_]

DEFECT_KINDS = ("gap", "chance_copy", "dst_copy", "freeze")
"""Every kind of defect that ``defect_kinds`` tells apart."""

DAY = 1440

CHANCE_SHARE = 2e-5
"""Exact repeats of the day before may be chance in at most this share of rows; shorter runs stay."""

FINE_MINUTES = 5
"""With voltage and steps up to this, even a single row that equals another exactly is suspect."""

FREEZE_MINUTES = 30
"""All channels identical for this long, voltage among them (and at least six rows): frozen."""

FREEZE_HOURS = 18.0
"""A power-only meter at one value other than zero for this long is frozen, unless it is used to standing
still. The longest natural standstill of 80 half-hourly homes is 15.5 h."""


@dataclass(frozen=True)
class _Run:
    start: int
    end: int  # exclusive


def _runs(flags: Flags) -> list[_Run]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return [_Run(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _keep_long(flags: Flags, shortest: int, moving: Flags | None = None) -> Flags:
    """Only the runs with so many rows, or so many moving rows: those that stand still prove nothing."""
    kept = np.zeros_like(flags)
    for run in _runs(flags):
        rows = run.end - run.start if moving is None else int(moving[run.start : run.end].sum())
        if rows >= shortest:
            kept[run.start : run.end] = True
    return kept


def _equal_to_lag(values: npt.NDArray[np.float64], lag: int) -> Flags:
    """Rows equal in every channel to the row ``lag`` earlier (negative: later); rows with NaN are not."""
    equal = np.zeros(len(values), bool)
    if lag > 0:
        equal[lag:] = (values[lag:] == values[:-lag]).all(axis=1)
    else:
        equal[:lag] = (values[:lag] == values[-lag:]).all(axis=1)
    return equal


def _constant(values: npt.NDArray[np.float64]) -> Flags:
    """Rows that belong to a run of at least two identical rows."""
    same = (values[1:] == values[:-1]).all(axis=1)
    return np.concatenate([[False], same]) | np.concatenate([same, [False]])


def _shortest_copy(values: npt.NDArray[np.float64], frozen: Flags, moving: Flags, day: int) -> int:
    """Fewest moving rows in a run of day-old repeats that chance does not explain, from repeats at control
    lags near a day.
    """
    if len(values) <= day:
        return 1
    controls = [day + shift for shift in (-7, -3, 3, 7)]
    lengths = [
        [int(moving[run.start : run.end].sum()) for run in _runs(_equal_to_lag(values, lag) & ~frozen)]
        for lag in controls
    ]
    allowed = CHANCE_SHARE * len(values)
    for shortest in range(max(1, 3 * day // 24), day):  # a coarse meter's short repeats are chance or habit
        if all(sum(n for n in found if n >= shortest) <= allowed for found in lengths):
            return shortest
    return day


def _in_keeping(values: npt.NDArray[np.float64], rows: npt.NDArray[np.int64], columns: list[str]) -> Flags:
    """Single rows that sit with their neighbours as natural rows do: voltage within the natural 95 % of its
    one-row deviation and power within the natural 82 % of its smaller one-row step. A copied row of another
    day seldom does both.
    """
    power = values[:, columns.index(ACTIVE_POWER)]
    voltage = values[:, columns.index(VOLTAGE)]
    off_voltage = np.abs(voltage[1:-1] - (voltage[:-2] + voltage[2:]) / 2)
    off_power = np.minimum(np.abs(power[1:-1] - power[:-2]), np.abs(power[1:-1] - power[2:]))
    inner = np.clip(rows - 1, 0, len(off_power) - 1)
    return (off_voltage[inner] <= np.nanquantile(off_voltage, 0.95)) & (
        off_power[inner] <= np.nanquantile(off_power, 0.82)
    )


def standstills(
    values: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """First row and length of every run of at least two equal rows (a vector, or rows × channels)."""
    rows = values.reshape(len(values), values.shape[1] if values.ndim > 1 else 1)
    runs = _runs(np.concatenate([[False], (rows[1:] == rows[:-1]).all(axis=1)])[: len(rows)])
    firsts = np.array([run.start - 1 for run in runs], np.int64)
    return firsts, np.array([run.end for run in runs], np.int64) - firsts


def standstill_limit(
    lengths: npt.NDArray[np.int64], shortest: float, natural: npt.NDArray[np.int64] | None = None
) -> float:
    """Rows at one value from which a standstill is a freeze: ``shortest``, or four times the run that one in
    twenty exceeds where the meter is used to standing still. The longest run does not vouch for itself;
    ``natural`` are lengths known to be genuine.
    """
    others = np.sort(lengths)[:-1]
    others = others if natural is None else np.concatenate([others, natural])
    return max(shortest, 4 * float(np.quantile(others, 0.95)) if len(others) else 0.0)


def _frozen(values: npt.NDArray[np.float64], step: int, columns: list[str]) -> Flags:
    """Rows in runs of identical readings too long to be real.

    With voltage beside power nothing real stands still for FREEZE_MINUTES. A power-only meter may (an empty
    home), so its limit is learned; and zero is no standstill, since a home without load stays there.
    """
    firsts, lengths = standstills(values)
    if VOLTAGE in columns:
        limit = max(FREEZE_MINUTES / step, 6.0)
    else:
        loaded = (values[firsts] != 0).any(axis=1)
        firsts, lengths = firsts[loaded], lengths[loaded]
        limit = standstill_limit(lengths, 60 * FREEZE_HOURS / step)
    flags = np.zeros(len(values), bool)
    for first, length in zip(firsts, lengths, strict=True):
        if length >= limit:
            flags[first + 1 : first + length] = True  # the first of them was still read
    return flags


def defect_kinds(readings: pd.DataFrame) -> pd.Series:
    """The kind of defect of every row ("" where there is none), from the readings alone.

    Each civil month is judged with the month before it as its only context, so that the outcome does not
    depend on how many months are given at once. See ``_kinds`` for the kinds.
    """
    step_minutes(readings)
    months = readings.index.to_period("M")
    parts = []
    for month in months.unique():
        context = readings[(months == month) | (months == month - 1)]
        kinds = _kinds(context)
        parts.append(kinds[context.index.to_period("M") == month])
    return pd.concat(parts)


def _kinds(readings: pd.DataFrame) -> pd.Series:
    """Kinds of one stretch of readings.

    ``gap``: no reading, or an exact copy of the row a day earlier that chance does not explain (some
    publishers fill gaps that way). ``chance_copy``: a single row equal to the day before that sits naturally
    among its neighbours; masked all the same, since one row cannot be told for certain. ``dst_copy``: an
    hour that repeats the following hour, where the clock skipped one. ``freeze``: all channels stand still.
    """
    step = step_minutes(readings)
    columns = [channel for channel in CHANNELS if channel in readings]
    values = readings[columns].to_numpy(np.float64)
    fine = VOLTAGE in columns and step <= FINE_MINUTES
    kinds = np.full(len(values), "", dtype=object)
    moving = ~_constant(values)
    frozen = _frozen(values, step, columns)
    day = DAY // step
    # A copied gap may hold natural standstills of two rows: they are bridged, but do not count as evidence.
    copies = _equal_to_lag(values, day) & ~frozen
    if not fine:
        copies = _keep_long(copies, _shortest_copy(values, frozen, moving, day), moving)
    kinds[copies] = "gap"
    if fine:
        singles = np.array([run.start for run in _runs(copies) if run.end - run.start == 1], np.int64)
        if len(singles):
            kinds[singles[_in_keeping(values, singles, columns)]] = "chance_copy"
    hour = max(1, 60 // step)
    repeats = _keep_long(_equal_to_lag(values, -hour) & moving & (kinds == ""), max(2, hour // 2))
    kinds[repeats & fine] = "dst_copy"
    kinds[frozen] = "freeze"
    kinds[np.isnan(values).all(axis=1)] = "gap"
    return pd.Series(kinds, index=readings.index, name="defect")
