"""Columns recognised by their names: time, meter, power with its unit, and the optional channels."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from smartgrid_pipeline.core.schema import (
    ACTIVE_POWER,
    CURRENT,
    INTERVAL_START_UTC,
    REACTIVE_POWER,
    SUB_METERS,
    VOLTAGE,
    SourceError,
)
from smartgrid_pipeline.sources.spec import SourceSpec

TIME_NAMES = (
    "interval_start", "timestamp", "datetime", "date_time", "reading_datetime", "reading_time", "local_time",
    "time", "time_local", "ds", "tstp", "start_time", "start", "period_start", "measured_at", "recorded_at",
    "date_hour", "timestamp_local", "timestamp_utc", "datetime_utc", "time_utc", "utc_time", "utc_timestamp",
    "interval_start_utc", "interval_end", "period_end", "end_time", "index", "date",
)  # fmt: skip
"""Names of a time column, best first; ends of intervals and UTC times are recognised by their name."""

METER_NAMES = (
    "meter_id", "customer_id", "household_id", "household", "lclid", "meter", "customer", "home_id",
    "house_id", "home", "house", "site_id", "nmi", "mpan", "device_id", "unique_id", "building_id", "dataid",
    "id",
)  # fmt: skip
"""Names of the column with the meter id, best first."""

POWER_STEMS = (
    "active_power", "global_active_power", "power", "p", "load", "demand", "energy", "consumption", "usage",
    "general_supply", "import", "active_energy", "electricity", "total", "use", "value", "reading", "y", "",
)  # fmt: skip
"""Names of the power or energy column without their unit, best first."""

UNITS = {"kw": "kW", "w": "W", "kwh": "kWh", "wh": "Wh"}
_UNIT_OF_NAME = {"global_active_power": "kW"}  # UCI 235 names no unit

OPTIONAL_CHANNELS: dict[str, tuple[str, float | str]] = {
    REACTIVE_POWER: (REACTIVE_POWER, 1.0),
    "global_reactive_power": (REACTIVE_POWER, 1.0),
    "reactive_power_var": (REACTIVE_POWER, 0.001),
    "q_kvar": (REACTIVE_POWER, 1.0),
    "q_var": (REACTIVE_POWER, 0.001),
    VOLTAGE: (VOLTAGE, 1.0),
    "voltage": (VOLTAGE, 1.0),
    "v": (VOLTAGE, 1.0),
    CURRENT: (CURRENT, 1.0),
    "global_intensity": (CURRENT, 1.0),
    "current": (CURRENT, 1.0),
    "i_a": (CURRENT, 1.0),
    **{name: (name, 1.0) for name in SUB_METERS},
    **{f"sub_metering_{i + 1}": (name, "Wh") for i, name in enumerate(SUB_METERS)},
}
"""Normalised name → channel and its factor, or its unit where the factor depends on the step."""


@dataclass(frozen=True)
class Layout:
    """The meaning of recorded columns; ``channels`` maps a channel to its column and its factor or unit."""

    time: str
    date: str | None = None  # a second column that holds the date beside a time of day
    utc: str | None = None  # our own frames carry both clocks
    meter: str | None = None
    channels: dict[str, tuple[str, float | str]] = field(default_factory=dict)

    @property
    def columns(self) -> tuple[str, ...]:
        """The recorded columns in use, each once."""
        named = (
            self.time,
            self.date,
            self.utc,
            self.meter,
            *(column for column, _ in self.channels.values()),
        )
        return tuple(dict.fromkeys(column for column in named if column is not None))

    @property
    def time_is_end(self) -> bool:
        """Whether the times are the ends of their intervals."""
        return "end" in normalise(self.time).split("_")

    @property
    def time_is_utc(self) -> bool:
        """Whether the name of the time column contains UTC."""
        return "utc" in normalise(self.time).split("_")


def normalise(name: str) -> str:
    """A column name in lower case, words joined by underscores: "Consumption (kWh)" → consumption_kwh."""
    units_apart = name.strip().lstrip("\ufeff").replace("kWh", "_kwh").replace("kW", "_kw")
    words = re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", "_", units_apart)
    plain = re.sub(r"[^0-9a-z]+", "_", words.lower()).strip("_")
    return re.sub(r"(?<=wh)(_hh)?(_per_(half_hour|hour|interval|hh))?$", "", plain)


def unit_of(name: str) -> str | None:
    """The power or energy unit a column's name ends with, if any."""
    normal = normalise(name)
    return _UNIT_OF_NAME.get(normal) or UNITS.get(normal.rsplit("_", 1)[-1])


def recognise(columns: Sequence[str], spec: SourceSpec) -> Layout:
    """The layout of a table with these columns. Raises SourceError when time or power is not found."""
    for option, wanted in (("time", spec.time_column), ("value", spec.value_column)):
        if wanted is not None and wanted not in columns:
            raise SourceError(
                f"The {option} column '{wanted}' is not in {spec.shown}: found {_listed(columns)}. "
                f"Name one of these as the {option} column."
            )
    normal = {column: normalise(column) for column in columns}
    time, date = _time_columns(normal, spec)
    meter = _first(normal, METER_NAMES)
    utc = next((column for column, name in normal.items() if name == INTERVAL_START_UTC), None)
    taken = {time, date, meter, utc}
    channels: dict[str, tuple[str, float | str]] = {}
    for column, name in normal.items():
        if column not in taken and column != spec.value_column and name in OPTIONAL_CHANNELS:
            channel, factor = OPTIONAL_CHANNELS[name]
            channels.setdefault(channel, (column, factor))
    used = taken | {column for column, _ in channels.values()}
    value = spec.value_column or _value_column({c: n for c, n in normal.items() if c not in used}, spec)
    channels[ACTIVE_POWER] = (value, _unit(value, spec))
    return Layout(time, date, utc if utc != time else None, meter, channels)


def _time_columns(normal: dict[str, str], spec: SourceSpec) -> tuple[str, str | None]:
    """The time column, and the date column where date and time of day are in separate columns."""
    date = _first(normal, ("date", "day", "reading_date"))
    time_of_day = _first(normal, ("time", "time_of_day", "reading_time"))
    if spec.time_column:
        return spec.time_column, date if spec.time_column == time_of_day and date else None
    found = _first(normal, [name for name in TIME_NAMES if name not in ("time", "reading_time", "date")])
    if found is None and date and time_of_day:
        return time_of_day, date
    found = found or _first(normal, TIME_NAMES)
    if found is None:
        raise SourceError(
            f"No time column in {spec.shown}: found columns {_listed(list(normal))}. Recognised names are "
            f"{', '.join(TIME_NAMES[:12])}, … or a pair date + time. Name the column with --time-column."
        )
    return found, None


def _value_column(normal: dict[str, str], spec: SourceSpec) -> str:
    """The column of power or energy, with the best-ranked name."""
    ranked: list[tuple[int, str]] = []
    for column, name in normal.items():
        stem, _, last = name.rpartition("_")
        if last in UNITS:
            rank = POWER_STEMS.index(stem) if stem in POWER_STEMS else len(POWER_STEMS)
            ranked.append((rank, column))
        elif name in POWER_STEMS:
            ranked.append((POWER_STEMS.index(name), column))
    if not ranked:
        raise SourceError(
            f"No power or energy column in {spec.shown}: found columns {_listed(list(normal))} beside time "
            "and other channels. Recognised are names such as power_kw, P_W, load, demand, energy_kwh, "
            "consumption (kWh), value. Name the column with --value-column and its unit with --unit."
        )
    best = min(rank for rank, _ in ranked)
    candidates = [column for rank, column in ranked if rank == best]
    if len(candidates) > 1:
        raise SourceError(
            f"Several columns of {spec.shown} may hold the power: {_listed(candidates)}. "
            "Name the right one with --value-column."
        )
    return candidates[0]


def _unit(column: str, spec: SourceSpec) -> str:
    if spec.unit is not None:
        unit = UNITS.get(spec.unit.strip().lower())
        if unit is None:
            raise SourceError(f"Unknown unit '{spec.unit}': --unit takes one of {', '.join(UNITS.values())}.")
        return unit
    unit = unit_of(column)
    if unit is None:
        raise SourceError(
            f"The unit of column '{column}' of {spec.shown} is not in its name. "
            f"Give it with --unit {'|'.join(UNITS.values())} (kWh and Wh are per interval)."
        )
    return unit


def _first(normal: dict[str, str], names: Sequence[str]) -> str | None:
    """The column whose name comes first in ``names``, written with or without separators."""
    compact = {name.replace("_", ""): column for column, name in reversed(normal.items())}
    return next((compact[name.replace("_", "")] for name in names if name.replace("_", "") in compact), None)


def _listed(columns: Sequence[str]) -> str:
    shown = ", ".join(f"'{column}'" for column in columns[:12])
    return (shown or "none") + (f", … ({len(columns)} in all)" if len(columns) > 12 else "")
