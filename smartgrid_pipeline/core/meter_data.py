"""From raw readings to honest intervals: hidden defects found in the readings, masked, then resampled.

Readings are frames indexed by INTERVAL_START (civil clock, regular) with INTERVAL_START_UTC and channels in
kW, kvar, V and A. Nothing here is ever filled: what was not observed is NaN.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from smartgrid_pipeline.core.schema import (
    ACTIVE_POWER,
    CHANNELS,
    INTERVAL_START,
    INTERVAL_START_UTC,
    OBSERVED_SHARE,
    REACTIVE_POWER,
    SUB_METERS,
    VOLTAGE,
    DataError,
    Meter,
)

Flags = npt.NDArray[np.bool_]

DEFECT_COLUMNS = ("start", "end", "kind", "minutes", "channels")
"""Defects table: first and last interval start (civil clock, both inclusive), kind, length, channels hit."""

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

WITHIN_CHANNELS = (ACTIVE_POWER, REACTIVE_POWER, *SUB_METERS)
"""Channels whose single readings inside a working interval are kept beside the mean."""


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


def step_minutes(readings: pd.DataFrame) -> int:
    """Minutes between rows of a regular readings frame. Raises DataError when it is not regular."""
    if len(readings) < 2:
        raise DataError(f"Too few readings to tell their step: found {len(readings)}, at least 2 are needed.")
    steps = np.diff(readings.index.to_numpy().astype("datetime64[s]")).astype(int)
    if (steps != steps[0]).any() or steps[0] <= 0 or steps[0] % 60:
        found = sorted({int(step) for step in np.unique(steps)})[:4]
        raise DataError(
            f"Readings are not on one regular minute grid: found steps of {found} s. "
            "Load them through smartgrid_pipeline.sources, which orders and completes them."
        )
    return int(steps[0]) // 60


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


def defect_table(kinds: pd.Series, step: int, channels: tuple[str, ...]) -> pd.DataFrame:
    """Merge flagged rows into one row per defect (DEFECT_COLUMNS), in order of time."""
    codes, names = pd.factorize(kinds.to_numpy())
    edges = np.flatnonzero(np.diff(codes)) + 1
    firsts = np.concatenate([[0], edges]).astype(int) if len(codes) else np.array([], int)
    lasts = np.concatenate([edges, [len(codes)]]).astype(int) - 1 if len(codes) else firsts
    rows = [
        (kinds.index[a], kinds.index[b], names[codes[a]], int(b - a + 1) * step, ",".join(channels))
        for a, b in zip(firsts, lasts, strict=True)
        if names[codes[a]]
    ]
    return pd.DataFrame(rows, columns=list(DEFECT_COLUMNS))


def merge_defects(tables: list[pd.DataFrame], step: int) -> pd.DataFrame:
    """Join month tables: a defect that runs over a month's end becomes one row again."""
    joined = pd.concat(tables).sort_values("start").drop_duplicates(["start", "kind"]).reset_index(drop=True)
    if joined.empty:
        return joined
    gap = joined["start"] - joined["end"].shift()
    new = (gap != pd.Timedelta(minutes=step)) | (joined["kind"] != joined["kind"].shift())
    return (
        joined.groupby(new.cumsum())
        .agg({"start": "first", "end": "last", "kind": "first", "minutes": "sum", "channels": "first"})
        .reset_index(drop=True)[list(DEFECT_COLUMNS)]
    )


def mask(readings: pd.DataFrame, kinds: pd.Series) -> pd.DataFrame:
    """Readings with every flagged row's channels set to NaN; the rows themselves stay."""
    clean = readings.copy()
    clean.loc[kinds.to_numpy() != "", [c for c in CHANNELS if c in readings]] = np.nan
    return clean


def within_columns(channel: str, per_interval: int) -> list[str]:
    """Names of the single readings kept inside a working interval; none when it holds only one."""
    if per_interval < 2 or channel not in WITHIN_CHANNELS:
        return []
    return [f"{channel}_within_{i}" for i in range(per_interval)]


def resample(readings: pd.DataFrame, meter: Meter) -> pd.DataFrame:
    """Masked readings to working intervals: channel means over the observed rows, the share observed, and
    the single readings of WITHIN_CHANNELS where the meter is finer than the interval.

    The grid is that of whole intervals on the civil clock; rows before the first or after the last reading
    count as not observed. Raises DataError on an empty or irregular frame.
    """
    if readings.empty:
        raise DataError("No readings to resample: the frame is empty.")
    step, per = meter.step_minutes, meter.working_minutes // meter.step_minutes
    index = readings.index.to_numpy().astype("datetime64[m]")
    width = np.timedelta64(meter.working_minutes, "m")
    day = index[0].astype("datetime64[D]").astype("datetime64[m]")
    first = day + (index[0] - day) // width * width
    lead = int((index[0] - first) / np.timedelta64(step, "m"))
    n = -(-(lead + len(index)) // per)
    if len(index) > 1 and (np.diff(index) != np.timedelta64(step, "m")).any():
        raise DataError(f"Readings are not on a regular {step}-minute grid.")
    starts = first + np.arange(n) * width
    out: dict[str, npt.NDArray[np.generic]] = {}
    for channel in [c for c in CHANNELS if c in readings]:
        padded = np.full(n * per, np.nan)
        padded[lead : lead + len(index)] = readings[channel].to_numpy(np.float64)
        block = padded.reshape(n, per)
        seen = ~np.isnan(block)
        with np.errstate(invalid="ignore"):
            out[channel] = (np.where(seen, block, 0).sum(1) / seen.sum(1)).astype(np.float32)
        if channel == ACTIVE_POWER:
            out[OBSERVED_SHARE] = (seen.sum(1) / per).astype(np.float32)
        for i, name in enumerate(within_columns(channel, per)):
            out[name] = block[:, i].astype(np.float32)
    frame = pd.DataFrame(out, index=pd.DatetimeIndex(starts.astype("datetime64[s]"), name=INTERVAL_START))
    frame.insert(0, INTERVAL_START_UTC, civil_to_utc(frame.index, meter.timezone))
    return frame


def to_grid(readings: pd.DataFrame, meter: Meter) -> pd.DataFrame:
    """Recorded readings on the complete regular civil grid of the meter; rows never recorded become NaN.

    Rows are ordered; of rows with one civil time (the autumn hour, or a repeat) the first is kept. Raises
    DataError when nothing is left.
    """
    if readings.empty:
        raise DataError("No readings to put on a grid: the frame is empty.")
    ordered = readings[~readings.index.duplicated(keep="first")].sort_index()
    step = pd.Timedelta(minutes=meter.step_minutes)
    grid = pd.date_range(ordered.index[0].floor(step), ordered.index[-1], freq=step, name=INTERVAL_START)
    channels = [channel for channel in CHANNELS if channel in ordered]
    complete = ordered[channels].reindex(grid)
    complete.insert(0, INTERVAL_START_UTC, civil_to_utc(grid, meter.timezone))
    return complete


def civil_to_utc(civil: pd.DatetimeIndex, timezone: str) -> pd.DatetimeIndex:
    """Civil clock to UTC: NaT in the spring hour that does not exist, the first pass of the autumn one."""
    first_pass = np.ones(len(civil), bool)
    return civil.tz_localize(timezone, nonexistent="NaT", ambiguous=first_pass).tz_convert("UTC")
