"""Recorded times in any common format → the meter's civil clock and UTC."""

import re
from dataclasses import dataclass, replace
from typing import NoReturn
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from smartgrid_pipeline.core.meter_data import civil_to_utc
from smartgrid_pipeline.core.schema import SourceError
from smartgrid_pipeline.sources.columns import Layout
from smartgrid_pipeline.sources.spec import SourceSpec

FORMATS = (
    "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M",
    "%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %H:%M", "%d.%m.%Y %H:%M:%S",
    "%d.%m.%Y %H:%M", "%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M", "%d-%m-%Y %H:%M:%S", "%d-%m-%Y %H:%M",
    "%Y%m%d %H:%M:%S", "%Y%m%d %H:%M", "%Y%m%d%H%M", "%m/%d/%Y %I:%M:%S %p", "%m/%d/%Y %I:%M %p",
)  # fmt: skip
"""Formats of times without zone; the first that fits every row is taken, day before month."""

_OFFSET = r":\d{2}(?:\.\d+)?\s?(?P<offset>Z|UTC|GMT|[+-]\d{2}(?::?\d{2})?)$"
_ZONE = r"\s*\[?(?P<zone>[A-Z][A-Za-z]+/[A-Za-z_/+-]+\d*)\]?$"


@dataclass(frozen=True)
class RecordedTimes:
    """Times of every row on both clocks: civil (naive) and UTC, with the zone and the assumptions made."""

    civil: pd.DatetimeIndex
    utc: pd.DatetimeIndex
    timezone: str
    exact: bool  # UTC was recorded rather than derived from the civil clock
    notes: tuple[str, ...] = ()


def read_times(table: pa.Table, layout: Layout, spec: SourceSpec, default_zone: str | None) -> RecordedTimes:
    """Times of a recorded table. Raises SourceError when they cannot be parsed or their zone is unknown."""
    timezone = spec.timezone or default_zone
    if timezone is not None:
        check_zone(timezone)
    times, zone = _instants(table, layout, spec)
    if times.tz is None and not layout.time_is_utc:
        if layout.utc is not None:
            return _both_clocks(times, table, layout, timezone, spec)
        notes = (
            () if timezone else ("No time zone given: the clock is taken as UTC (--timezone changes it).",)
        )
        timezone = timezone or "UTC"
        return RecordedTimes(times, civil_to_utc(times, timezone), timezone, False, notes)
    utc = times.tz_localize("UTC") if times.tz is None else times.tz_convert("UTC")
    timezone = timezone or zone
    if timezone is None:
        raise SourceError(
            f"The times of {spec.shown} carry changing offsets, so their time zone has summer time that "
            "offsets do not name. Give it with --timezone, for example --timezone Europe/Paris."
        )
    civil = utc.tz_convert(timezone).tz_localize(None)
    notes = () if spec.timezone else (f"Times carry their offset; the civil clock is taken as {timezone}.",)
    return RecordedTimes(civil, utc, timezone, True, notes)


def check_zone(timezone: str) -> None:
    """Raise SourceError for a time zone that does not exist."""
    if re.fullmatch(r"UTC[+-]\d{2}:\d{2}", timezone):
        return
    try:
        ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise SourceError(
            f"Unknown time zone '{timezone}'. Give an IANA name such as Europe/Paris or Australia/Sydney."
        ) from error


def as_interval_starts(times: RecordedTimes, minutes: int) -> RecordedTimes:
    """Times that name the ends of intervals of ``minutes``, moved to the starts."""
    shift = pd.Timedelta(minutes=minutes)
    note = f"Times name the ends of intervals: moved {minutes} min earlier to their starts."
    moved = replace(times, utc=times.utc - shift, notes=(*times.notes, note))
    if times.exact:
        return replace(moved, civil=moved.utc.tz_convert(times.timezone).tz_localize(None))
    civil = times.civil - shift
    return replace(moved, civil=civil, utc=civil_to_utc(civil, times.timezone))


def _both_clocks(
    civil: pd.DatetimeIndex, table: pa.Table, layout: Layout, timezone: str | None, spec: SourceSpec
) -> RecordedTimes:
    """Times of a table with both clocks, as this package saves frames; both must agree with the zone."""
    valid = pc.is_valid(table[str(layout.utc)])
    civil_known = civil[valid.to_numpy()]
    utc, _ = _parse(table.filter(valid), str(layout.utc), spec)
    utc = utc.tz_localize("UTC") if utc.tz is None else utc.tz_convert("UTC")
    offsets = np.unique((civil_known - utc.tz_localize(None)).to_numpy().astype("timedelta64[m]").astype(int))
    if timezone is None:
        timezone = _fixed_zone(int(offsets[0])) if len(offsets) == 1 else None
    if timezone is None:
        raise SourceError(
            f"The civil and UTC times of {spec.shown} differ by {[int(o) for o in offsets[:4]]} min, so the "
            "zone has summer time. Give it with --timezone, for example --timezone Europe/Paris."
        )
    expected = civil_to_utc(civil_known, timezone)
    wrong = np.flatnonzero(expected != utc)
    if len(wrong):
        row = wrong[0]
        raise SourceError(
            f"The two clocks of {spec.shown} do not agree with time zone {timezone}: {civil_known[row]} is "
            f"given as {utc[row]}, expected {expected[row]} ({len(wrong)} rows). Correct --timezone."
        )
    return RecordedTimes(civil, civil_to_utc(civil, timezone), timezone, False)


def _instants(table: pa.Table, layout: Layout, spec: SourceSpec) -> tuple[pd.DatetimeIndex, str | None]:
    """Times as recorded (naive or aware), and the zone that they name, or None."""
    if layout.date is None:
        return _parse(table, layout.time, spec)
    date, time = (table[name].cast(pa.string()) for name in (layout.date, layout.time))
    day = pc.replace_substring_regex(date, "[ T]00:00:00.*$", "")  # a date may carry a midnight
    return _parse_strings(pc.binary_join_element_wise(day, time, " "), f"{layout.date} + {layout.time}", spec)


def _parse(table: pa.Table, name: str, spec: SourceSpec) -> tuple[pd.DatetimeIndex, str | None]:
    values, type_ = table[name], table[name].type
    if not (pa.types.is_timestamp(type_) or pa.types.is_date(type_)):
        return _parse_strings(values.cast(pa.string()), name, spec)
    if values.null_count:
        _refuse(values, pc.is_null(values), name, spec)
    zone = getattr(type_, "tz", None)
    seconds = values.cast(pa.timestamp("s", zone), safe=False).cast(pa.timestamp("s"), safe=False)
    times = pd.DatetimeIndex(seconds.to_numpy())
    if zone is None:
        return times, None
    fixed = re.fullmatch(r"([+-])(\d{2}):(\d{2})", zone)
    return times.tz_localize("UTC"), _fixed_zone(_offset_minutes(zone)) if fixed else zone


def _parse_strings(
    values: pa.ChunkedArray, name: str, spec: SourceSpec
) -> tuple[pd.DatetimeIndex, str | None]:
    values = pc.utf8_trim_whitespace(values)
    zones = pc.struct_field(pc.extract_regex(values, _ZONE), "zone").unique().to_pylist()
    zones = [zone for zone in zones if zone]
    if len(zones) > 1:
        raise SourceError(f"Times of '{name}' in {spec.shown} name several zones: {zones[:4]}. Use one.")
    if zones:
        values = pc.replace_substring_regex(values, r"\s*\[?[A-Z][A-Za-z]+/[A-Za-z_/+-]+\d*\]?$", "")
    offset = pc.struct_field(pc.extract_regex(values, _OFFSET), "offset")
    has_offset = pc.is_valid(offset)
    if not pc.any(has_offset).as_py():
        times = _parse_naive(values, name, spec)
        return (times.tz_localize(zones[0]).tz_convert("UTC"), zones[0]) if zones else (times, None)
    if not pc.all(has_offset).as_py():
        _refuse(values, pc.invert(has_offset), name, spec)
    times = _parse_naive(
        pc.replace_substring_regex(values, r"\s?(Z|UTC|GMT|[+-]\d{2}(:?\d{2})?)$", ""), name, spec
    )
    codes = offset.combine_chunks().dictionary_encode()
    minutes = np.array([_offset_minutes(text) for text in codes.dictionary.to_pylist()])
    shift = pd.to_timedelta(minutes[codes.indices.to_numpy()] * 60, unit="s").as_unit("s")
    zone = zones[0] if zones else _fixed_zone(int(minutes[0])) if len(set(minutes)) == 1 else None
    return (times - shift).tz_localize("UTC"), zone


def _parse_naive(values: pa.ChunkedArray, name: str, spec: SourceSpec) -> pd.DatetimeIndex:
    """Naive times by the format that fits every row; of day/month and month/day the more regular one."""
    values = pc.replace_substring_regex(values, r"(:\d{2})\.\d+$", r"\1")
    first = values.slice(0, 1)
    parsed = [
        _strptime(values, form) for form in FORMATS if _strptime(first, form).null_count < len(first)
    ] or [_strptime(values, FORMATS[0])]
    fits = [times for times in parsed if times.null_count == 0]
    if not fits:
        best = min(parsed, key=lambda times: times.null_count)
        _refuse(values, pc.is_null(best), name, spec)
    candidates = [pd.DatetimeIndex(times.to_numpy()) for times in fits]
    return min(candidates, key=lambda times: len(np.unique(np.diff(times.to_numpy()))))


def _strptime(values: pa.ChunkedArray, form: str) -> pa.ChunkedArray:
    times = pc.strptime(values, format=form, unit="s", error_is_null=True)
    return pc.if_else(pc.greater_equal(pc.year(times), 1900), times, pa.scalar(None, times.type))


def _refuse(values: pa.ChunkedArray, bad: pa.ChunkedArray, name: str, spec: SourceSpec) -> NoReturn:
    """Raise SourceError with the first row whose time could not be parsed."""
    row = pc.index(bad, True).as_py()
    count = pc.sum(bad).as_py()
    raise SourceError(
        f"Cannot read the time of data row {row + 1} of {spec.shown}: found {values[row].as_py()!r} in "
        f"column '{name}' ({count} such rows). Write times as 2010-01-31 23:59:00, with or without an "
        "offset, or name the right column with --time-column."
    )


def _offset_minutes(text: str) -> int:
    if text in ("Z", "UTC", "GMT"):
        return 0
    digits = text[1:].replace(":", "").ljust(4, "0")
    return (-1 if text[0] == "-" else 1) * (60 * int(digits[:2]) + int(digits[2:]))


def _fixed_zone(minutes: int) -> str:
    """The zone of one constant offset: UTC, Etc/GMT-1 for whole hours (its sign is inverted), UTC+05:30."""
    if minutes == 0:
        return "UTC"
    if minutes % 60 == 0:
        return f"Etc/GMT{-minutes // 60:+d}"
    return f"UTC{'+' if minutes > 0 else '-'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
