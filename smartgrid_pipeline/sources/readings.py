"""A recorded table → readings of one meter: choose the meter, convert times and units."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from smartgrid_pipeline.core.schema import (
    ACTIVE_POWER,
    CHANNELS,
    INTERVAL_START,
    INTERVAL_START_UTC,
    Meter,
    SourceError,
)
from smartgrid_pipeline.sources import files, sql, uci
from smartgrid_pipeline.sources.columns import Layout, normalise
from smartgrid_pipeline.sources.spec import SourceSpec
from smartgrid_pipeline.sources.times import RecordedTimes, as_interval_starts, read_times
from smartgrid_pipeline.sources.types import Readings, fingerprint_of

REGULAR_SHARE = 0.9
"""Share of the time differences that must be the meter's step."""

REPEATED_SHARE = 0.1
"""Share of times with several different values past which a column holds two meters."""


def read(spec: SourceSpec) -> Readings:
    """One meter's readings as recorded. Raises SourceError when they cannot be understood."""
    if spec.location == "uci":
        return uci.read(spec)
    table, layout = _load(spec)
    table, meter_id = _one_meter(table, layout, spec)
    default = uci.METER if uci.is_original(table.column_names) else None
    times = read_times(table, layout, spec, default.timezone if default else None)
    step = _step_minutes(times.civil if not times.exact else times.utc.tz_localize(None), spec)
    if layout.time_is_end:
        times = as_interval_starts(times, step)
    frame, notes = _frame(table, layout, times, step, spec)
    frame, repeats = _without_second_pass(frame, times)
    _refuse_two_meters(frame, spec)
    channels = tuple(channel for channel in CHANNELS if channel in frame)
    meter = Meter(
        meter_id,
        times.timezone,
        step,
        channels,
        spec.holiday_country or (default.holiday_country if default else None),
        spec.school_zone or (default.school_zone if default else None),
    )
    absent = (f"Channels this meter does not have: {', '.join(meter.absent_channels)}.",)
    notes = (*times.notes, *notes, *repeats, *(absent if meter.absent_channels else ()))
    return Readings(frame, meter, fingerprint_of(frame, spec.shown), notes)


def list_meters(spec: SourceSpec) -> tuple[str, ...]:
    """The ids of the meters of a source, sorted; a source without an id column has one meter."""
    if spec.location == "uci":
        return (uci.METER.meter_id,)
    table, layout = _load(spec)
    ids = _meter_ids(table, layout)
    return ids or (_default_id(spec),)


def _load(spec: SourceSpec) -> tuple[pa.Table, Layout]:
    return sql.load(spec) if sql.is_url(spec.location) else files.load(spec)


def _default_id(spec: SourceSpec) -> str:
    if sql.is_url(spec.location):
        return spec.meter_id or spec.table or "query"
    return spec.meter_id or Path(spec.location).expanduser().resolve().name.split(".")[0]


def _meter_ids(table: pa.Table, layout: Layout) -> tuple[str, ...]:
    """Ids in the meter column; none when there is no such column or it numbers the rows."""
    if layout.meter is None:
        return ()
    ids = table[layout.meter].unique()
    if normalise(layout.meter) == "id" and len(ids) == table.num_rows:
        return ()
    return tuple(sorted(str(value) for value in ids.to_pylist() if value is not None))


def _one_meter(table: pa.Table, layout: Layout, spec: SourceSpec) -> tuple[pa.Table, str]:
    """The rows of the chosen meter and its id."""
    ids = _meter_ids(table, layout)
    if not ids:
        return table, _default_id(spec)
    shown = f"{', '.join(ids[:5])}{', …' if len(ids) > 5 else ''}"
    if spec.meter_id is None and len(ids) > 1:
        raise SourceError(
            f"{spec.shown} holds {len(ids)} meters in column '{layout.meter}' ({shown}). "
            "Choose one with --meter ID."
        )
    chosen = spec.meter_id or ids[0]
    if chosen not in ids:
        raise SourceError(
            f"No meter '{chosen}' in {spec.shown}: found {len(ids)} ({shown}). "
            "Choose one of them with --meter ID."
        )
    return table.filter(pc.equal(table[layout.meter].cast(pa.string()), chosen)), chosen


def _step_minutes(instants: pd.DatetimeIndex, spec: SourceSpec) -> int:
    """The meter's step: the modal difference between its times. Raises SourceError when steps are mixed.

    Missing rows make longer differences, too. Mixed steps differ from missing rows in that whole days have
    another step.
    """
    seconds = np.unique(instants.to_numpy().astype("datetime64[s]").astype(np.int64))
    if len(seconds) < 2:
        raise SourceError(f"{spec.shown} has {len(seconds)} reading(s): at least 2 are needed.")
    differences = np.diff(seconds)
    found, counts = np.unique(differences, return_counts=True)
    step = int(found[counts.argmax()])
    share = counts.max() / len(differences)
    several = ", ".join(f"{found[i] / 60:g} min ({counts[i]}×)" for i in counts.argsort()[::-1][:4])
    if share < REGULAR_SHARE and not _only_rows_missing(seconds, differences, step):
        raise SourceError(
            f"The readings of {spec.shown} mix several steps: found {several}. One meter has one "
            "step: split the file by step, or aggregate it to one."
        )
    if step % 60 or 3600 % step:
        raise SourceError(
            f"The readings of {spec.shown} are {step / 60:g} min apart ({several}). Supported are "
            "steps of whole minutes that divide an hour: 1 to 60 min."
        )
    phases, counts = np.unique(seconds % step, return_counts=True)
    if phases[counts.argmax()] != 0 or counts.max() < REGULAR_SHARE * len(seconds):
        raise SourceError(
            f"The readings of {spec.shown} do not start on whole {step // 60}-min intervals: most "
            f"are {phases[counts.argmax()]} s late. Shift or aggregate them to the grid of the clock."
        )
    return step // 60


def _only_rows_missing(seconds: npt.NDArray[np.int64], differences: npt.NDArray[np.int64], step: int) -> bool:
    """Whether all differences are whole steps and the step is the smallest and modal one of most days."""
    if (differences % step).any():
        return False
    days = pd.Series(differences == step).groupby(seconds[1:] // 86_400).mean()
    return bool((days > 0.25).mean() >= REGULAR_SHARE)


def _frame(
    table: pa.Table, layout: Layout, times: RecordedTimes, step: int, spec: SourceSpec
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The frame with channels in kW, kvar, V and A, and notes on assumptions and empty channels."""
    index = pd.DatetimeIndex(times.civil, name=INTERVAL_START).as_unit("s")
    columns: dict[str, object] = {INTERVAL_START_UTC: times.utc.as_unit("s")}
    notes: list[str] = []
    for channel in CHANNELS:
        if channel not in layout.channels:
            continue
        column, factor = layout.channels[channel]
        values = _numbers(table[column], column, spec)
        if np.isnan(values).all():
            if channel == ACTIVE_POWER:
                raise SourceError(
                    f"All {len(values)} values of column '{column}' of {spec.shown} are missing. "
                    "Name another column with --value-column, or check the export."
                )
            notes.append(f"Column '{column}' holds no values: {channel} counts as absent.")
            continue
        columns[channel] = _to_canonical(values, factor, step)
    column, unit = layout.channels[ACTIVE_POWER]
    per = " per interval" if str(unit).endswith("h") else ""
    notes.insert(0, f"Column '{column}' is read as {unit}{per}, every {step} min.")
    return pd.DataFrame(columns, index=index), tuple(notes)


def _to_canonical(values: npt.NDArray[np.float64], factor: float | str, step: int) -> npt.NDArray[np.float64]:
    """Values times their factor, or in kW from their unit; energies are per interval of ``step`` minutes."""
    if isinstance(factor, float):
        return values if factor == 1.0 else values * factor
    power = values * (60 // step) if factor.endswith("h") else values
    return power / 1000 if factor.startswith("W") else power


def _numbers(values: pa.ChunkedArray, column: str, spec: SourceSpec) -> npt.NDArray[np.float64]:
    try:
        return values.cast(pa.float64(), safe=False).to_numpy().astype(np.float64, copy=False)
    except pa.ArrowException as error:
        raise SourceError(
            f"Column '{column}' of {spec.shown} does not hold numbers: {error}. Name the right "
            "column with --value-column, or correct it."
        ) from error


def _without_second_pass(frame: pd.DataFrame, times: RecordedTimes) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Drop the second pass of the autumn hour, whose civil times repeat those of the first pass."""
    again = frame.index.duplicated(keep="first")
    if not again.any():
        return frame, ()
    rows = np.flatnonzero(again)
    if times.exact:
        second = ~pd.MultiIndex.from_arrays([frame.index, times.utc]).duplicated(keep="first")[rows]
    else:
        local = frame.index[rows].tz_localize(times.timezone, ambiguous="NaT", nonexistent="shift_forward")
        second = np.asarray(local.isna()) & ~frame.index[rows].duplicated(keep="first")
    drop = np.zeros(len(frame), bool)
    drop[rows[second]] = True
    if not drop.any():
        return frame, ()
    note = f"Summer time ends: {int(drop.sum())} readings of the repeated hour were left out (second pass)."
    return frame[~drop], (note,)


def _refuse_two_meters(frame: pd.DataFrame, spec: SourceSpec) -> None:
    """Raise SourceError when many times have several different values."""
    again = frame.index.duplicated(keep=False)
    if again.mean() <= REPEATED_SHARE:
        return
    repeated = frame.loc[again, ACTIVE_POWER]
    differs = repeated.groupby(level=0).nunique() > 1
    share = differs.sum() / frame.index.nunique()
    if share > REPEATED_SHARE:
        raise SourceError(
            f"{100 * share:.0f} % of the times of {spec.shown} come more than once with different "
            f"values (first: {differs.idxmax()}): two meters in one column? Add a column meter_id, and "
            "choose one with --meter ID."
        )
