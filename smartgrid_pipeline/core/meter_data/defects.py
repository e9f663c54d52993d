"""Defects hidden in recorded readings, found from the readings alone: copied gaps, copied hours, freezes.

Publishers fill gaps by copying the day before, clocks copy an hour where summer time begins, meters hang at
one value. Each row gets one defect type, or "" where nothing was found:

``gap``          no reading; or an exact copy of the row a day earlier, in a run longer than chance explains
``chance_copy``  a single row equal to the day before that also fits between its neighbours. One row cannot be
                 told from a copy for certain, so it is masked all the same
``dst_copy``     an hour that equals the following hour
``freeze``       all channels at one value for too long
"""

import numpy as np
import numpy.typing as npt
import pandas as pd

from smartgrid_pipeline.core.meter_data.grid import step_minutes
from smartgrid_pipeline.core.meter_data.runs import Flags, runs
from smartgrid_pipeline.core.schema import ACTIVE_POWER, CHANNELS, VOLTAGE, Doubles

DEFECT_TYPES = ("gap", "chance_copy", "dst_copy", "freeze")

DAY = 1440

CHANCE_SHARE = 2e-5
"""Exact repeats of the day before may be chance in at most this share of rows; shorter runs are kept."""

FINE_MINUTES = 5
"""With voltage and steps up to this length, even a single row that equals another exactly is suspect."""

FREEZE_MINUTES = 30
"""All channels identical for this long, voltage among them (and at least six rows): frozen."""

FREEZE_HOURS = 18.0
"""A power-only meter at one value other than zero for this long is frozen, unless such standstills are usual
for it. The longest natural standstill of 80 half-hourly homes is 15.5 h."""


def defect_types(readings: pd.DataFrame) -> pd.Series:
    """Defect type of every row of regular readings, with their index; "" where there is none.

    Each civil month is examined with only the month before it as context, so the result does not depend on
    how many months are given at once. Raises DataError when the readings are not on a regular grid.
    """
    step_minutes(readings)
    months = readings.index.to_period("M")
    parts = []
    for month in months.unique():
        context = readings[(months == month) | (months == month - 1)]
        found = _types_of(context)
        parts.append(found[context.index.to_period("M") == month])
    return pd.concat(parts)


def _types_of(readings: pd.DataFrame) -> pd.Series:
    """Defect types of one stretch of readings, from the weakest evidence to the strongest."""
    step = step_minutes(readings)
    columns = [channel for channel in CHANNELS if channel in readings]
    values = readings[columns].to_numpy(np.float64)
    fine = VOLTAGE in columns and step <= FINE_MINUTES
    types = np.full(len(values), "", dtype=object)
    moving = ~_constant(values)
    frozen = _frozen(values, step, columns)
    day = DAY // step
    # A copied gap may hold natural standstills of two rows: they are part of it, but no evidence for it.
    copies = _equal_to_lag(values, day) & ~frozen
    if not fine:
        copies = _long_runs(copies, _shortest_copy(values, frozen, moving, day), moving)
    types[copies] = "gap"
    if fine:
        singles = np.array([start for start, end in runs(copies) if end - start == 1], np.int64)
        if len(singles):
            types[singles[_fits_neighbours(values, singles, columns)]] = "chance_copy"
    hour = max(1, 60 // step)
    repeats = _long_runs(_equal_to_lag(values, -hour) & moving & (types == ""), max(2, hour // 2))
    types[repeats & fine] = "dst_copy"
    types[frozen] = "freeze"
    types[np.isnan(values).all(axis=1)] = "gap"
    return pd.Series(types, index=readings.index, name="defect")


# --- copies -----------------------------------------------------------------------------------------


def _long_runs(flags: Flags, shortest: int, counted: Flags | None = None) -> Flags:
    """The flags of the runs with at least ``shortest`` rows; only ``counted`` rows count towards that."""
    kept = np.zeros_like(flags)
    for start, end in runs(flags):
        rows = end - start if counted is None else int(counted[start:end].sum())
        if rows >= shortest:
            kept[start:end] = True
    return kept


def _equal_to_lag(values: Doubles, lag: int) -> Flags:
    """Rows equal in every channel to the row ``lag`` earlier (negative: later); never a row with NaN."""
    equal = np.zeros(len(values), bool)
    if lag > 0:
        equal[lag:] = (values[lag:] == values[:-lag]).all(axis=1)
    else:
        equal[:lag] = (values[:lag] == values[-lag:]).all(axis=1)
    return equal


def _constant(values: Doubles) -> Flags:
    """Rows that belong to a run of at least two identical rows."""
    same = (values[1:] == values[:-1]).all(axis=1)
    return np.concatenate([[False], same]) | np.concatenate([same, [False]])


def _shortest_copy(values: Doubles, frozen: Flags, moving: Flags, day: int) -> int:
    """Fewest moving rows in a run of day-old repeats that chance does not explain.

    Control lags (a day plus or minus a few rows) give the lengths that chance repeats reach on this meter.
    """
    if len(values) <= day:
        return 1
    controls = [day + shift for shift in (-7, -3, 3, 7)]
    lengths = [
        [int(moving[start:end].sum()) for start, end in runs(_equal_to_lag(values, lag) & ~frozen)]
        for lag in controls
    ]
    allowed = CHANCE_SHARE * len(values)
    for shortest in range(max(1, 3 * day // 24), day):  # a coarse meter's short repeats are chance or habit
        if all(sum(n for n in found if n >= shortest) <= allowed for found in lengths):
            return shortest
    return day


def _fits_neighbours(values: Doubles, rows: npt.NDArray[np.int64], columns: list[str]) -> Flags:
    """Whether single rows fit between their neighbours as natural rows do.

    Voltage lies within the natural 95 % of its deviation from the neighbours' mean, and power within the
    natural 82 % of its smaller one-row step. A row copied from another day seldom fits in both.
    """
    power = values[:, columns.index(ACTIVE_POWER)]
    voltage = values[:, columns.index(VOLTAGE)]
    off_voltage = np.abs(voltage[1:-1] - (voltage[:-2] + voltage[2:]) / 2)
    off_power = np.minimum(np.abs(power[1:-1] - power[:-2]), np.abs(power[1:-1] - power[2:]))
    inner = np.clip(rows - 1, 0, len(off_power) - 1)
    return (off_voltage[inner] <= np.nanquantile(off_voltage, 0.95)) & (
        off_power[inner] <= np.nanquantile(off_power, 0.82)
    )


# --- standstills ------------------------------------------------------------------------------------


def standstills(values: Doubles) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """First row and length of every run of at least two equal rows; (rows,) or (rows, channels) in."""
    rows = values.reshape(len(values), values.shape[1] if values.ndim > 1 else 1)
    repeated = runs(np.concatenate([[False], (rows[1:] == rows[:-1]).all(axis=1)])[: len(rows)])
    firsts = np.array([start - 1 for start, _ in repeated], np.int64)
    return firsts, np.array([end for _, end in repeated], np.int64) - firsts


def standstill_limit(
    lengths: npt.NDArray[np.int64], shortest: float, natural: npt.NDArray[np.int64] | None = None
) -> float:
    """Rows at one value from which a standstill counts as a freeze.

    ``shortest``, or four times the 95 % quantile of the other standstills, whichever is more. The longest of
    ``lengths`` is left out, so that a freeze cannot raise its own limit; ``natural`` are further lengths
    known to be genuine.
    """
    others = np.sort(lengths)[:-1]
    others = others if natural is None else np.concatenate([others, natural])
    return max(shortest, 4 * float(np.quantile(others, 0.95)) if len(others) else 0.0)


def _frozen(values: Doubles, step: int, columns: list[str]) -> Flags:
    """Rows in runs of identical readings too long to be real; the first row of a run is not flagged.

    With voltage beside power nothing real stands still for FREEZE_MINUTES. A power-only meter may (an empty
    home), so its limit comes from its own standstills; zero is no standstill, since a home without load
    stays there.
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
