"""The 31 causal features of an interval, defined in time; one builder for training and serving.

A feature row belongs to the interval that starts at its index and is available when that interval ends;
it uses this interval and earlier ones only. Channels a meter lacks are absent features, never invented.
"""

from contextlib import suppress
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pandas as pd

from smartgrid_pipeline.core.schema import (
    ACTIVE_POWER,
    CHANNELS,
    REACTIVE_POWER,
    SUB_METERS,
    Meter,
)

LAG_MINUTES = (5, 10, 15, 60, 1440, 10080)
CALENDAR = (
    "hour_sin",
    "hour_cos",
    "weekday_sin",
    "weekday_cos",
    "day_of_year_sin",
    "day_of_year_cos",
    "is_weekend",
    "is_public_holiday",
)


def names(meter: Meter) -> tuple[str, ...]:
    """Names of the features this meter can have, in order; 31 for a meter with all channels and holidays."""
    have = set(meter.channels)
    derived = {
        "other_load_kw": set(SUB_METERS),
        "apparent_power_kva": {REACTIVE_POWER},
        "power_factor": {REACTIVE_POWER},
    }
    lags = [f"power_lag_{m}min_kw" for m in LAG_MINUTES if m % meter.working_minutes == 0]
    windows = [f"power_1h_{what}_kw" for what in ("mean", "sd", "max", "min")]
    calendar = [name for name in CALENDAR if name != "is_public_holiday" or meter.holiday_country]
    return (
        *(channel for channel in CHANNELS if channel in have),
        *(name for name, needs in derived.items() if needs <= have),
        *lags,
        "power_difference_kw",
        *windows,
        "power_24h_mean_kw",
        "power_24h_sd_kw",
        *calendar,
    )


def build(intervals: pd.DataFrame, meter: Meter) -> pd.DataFrame:
    """Features of every working interval, float32, NaN where the readings behind one are missing.

    ``intervals`` is the regular frame of ``meter_data.resample``; seven earlier days make every feature
    complete. The columns are ``names(meter)``.
    """
    power = intervals[ACTIVE_POWER].to_numpy(np.float64)
    per_hour, per_day = 60 // meter.working_minutes, 1440 // meter.working_minutes
    columns: dict[str, npt.NDArray[np.floating]] = {
        channel: intervals[channel].to_numpy() for channel in CHANNELS if channel in meter.channels
    }
    if set(SUB_METERS) <= set(meter.channels):
        columns["other_load_kw"] = power - sum(intervals[sub].to_numpy(np.float64) for sub in SUB_METERS)
    if REACTIVE_POWER in meter.channels:
        apparent = np.hypot(power, intervals[REACTIVE_POWER].to_numpy(np.float64))
        columns["apparent_power_kva"] = apparent
        with np.errstate(invalid="ignore", divide="ignore"):
            columns["power_factor"] = np.where(apparent > 0, power / apparent, np.nan)
    for minutes in LAG_MINUTES:
        if minutes % meter.working_minutes == 0:
            columns[f"power_lag_{minutes}min_kw"] = _lag(power, minutes // meter.working_minutes)
    columns["power_difference_kw"] = power - _lag(power, 1)
    hour = _window(power, per_hour)
    for what in ("mean", "sd", "max", "min"):
        columns[f"power_1h_{what}_kw"] = hour[what]
    day = _window(power, per_day)
    columns["power_24h_mean_kw"], columns["power_24h_sd_kw"] = day["mean"], day["sd"]
    columns |= calendar(intervals.index.to_numpy(), meter)
    return pd.DataFrame(
        {name: columns[name].astype(np.float32) for name in names(meter)}, index=intervals.index
    )


def table(intervals: pd.DataFrame, meter: Meter) -> pd.DataFrame:
    """The feature table: ``build`` beside what ``resample`` knows more (UTC, shares, within)."""
    built = build(intervals, meter)
    return pd.concat([intervals.drop(columns=[c for c in intervals if c in built]), built], axis=1)


def calendar(times: npt.NDArray[np.datetime64], meter: Meter) -> dict[str, npt.NDArray[np.float32]]:
    """What the civil calendar says of each time: always known, so also of times to come. Keys: CALENDAR."""
    minutes = times.astype("datetime64[m]")
    days = minutes.astype("datetime64[D]")
    year = days.astype("datetime64[Y]")
    hour = (minutes - days).astype(float) / 1440
    weekday = ((days.astype(int) + 3) % 7).astype(float)  # 1970-01-01 was a Thursday
    day_of_year = (days - year.astype("datetime64[D]")).astype(float) / 365.25
    out = {}
    for name, phase in (("hour", hour), ("weekday", weekday / 7), ("day_of_year", day_of_year)):
        out[f"{name}_sin"] = np.sin(2 * np.pi * phase).astype(np.float32)
        out[f"{name}_cos"] = np.cos(2 * np.pi * phase).astype(np.float32)
    out["is_weekend"] = (weekday >= 5).astype(np.float32)
    if meter.holiday_country:
        first, last = (
            (int(str(value)[:4]) for value in (year.min(), year.max())) if len(year) else (1970, 1970)
        )
        out["is_public_holiday"] = np.isin(days, public_holidays(meter.holiday_country, first, last)).astype(
            np.float32
        )
    return out


@lru_cache(maxsize=32)
def public_holidays(country: str, first_year: int, last_year: int) -> npt.NDArray[np.datetime64]:
    """Days that are public holidays of a country (ISO code) in the years given, both included."""
    import holidays

    days = holidays.country_holidays(country, years=range(first_year, last_year + 1))
    return np.array(sorted(days), "datetime64[D]")


def school_holidays(days: npt.NDArray[np.datetime64], meter: Meter) -> dict[str, npt.NDArray[np.float32]]:
    """Whether schools of the meter's zone are closed on each day; empty for a meter without a zone.

    Days of years that no calendar has been published for count as school days.
    """
    if not meter.school_zone:
        return {}
    days = days.astype("datetime64[D]")
    first, last = (int(str(value)[:4]) for value in (days.min(), days.max())) if len(days) else (1970, 1970)
    closed = np.isin(days, french_school_holidays(meter.school_zone, first, last))
    return {"is_school_holiday": closed.astype(np.float32)}


@lru_cache(maxsize=32)
def french_school_holidays(zone: str, first_year: int, last_year: int) -> npt.NDArray[np.datetime64]:
    """Days of school holidays of a French zone (A, B or C) in the years given, both included."""
    from vacances_scolaires_france import SchoolHolidayDates, UnsupportedYearException

    known, days = SchoolHolidayDates(), set()
    for year in range(first_year, last_year + 1):
        with suppress(UnsupportedYearException):
            days |= set(known.holidays_for_year_and_zone(year, zone))
    return np.array(sorted(days), "datetime64[D]")


def _lag(values: npt.NDArray[np.float64], rows: int) -> npt.NDArray[np.float64]:
    out = np.full(len(values), np.nan)
    if rows < len(values):
        out[rows:] = values[:-rows]
    return out


def _window(values: npt.NDArray[np.float64], rows: int) -> dict[str, npt.NDArray[np.float64]]:
    """Mean, sd, max and min of the last ``rows`` values, each window computed on its own so that a value
    does not depend on where the frame begins; NaN unless half of the window was observed.
    """
    stats = {what: np.full(len(values), np.nan) for what in ("mean", "sd", "max", "min")}
    if len(values) < rows:
        return stats
    windows = np.lib.stride_tricks.sliding_window_view(values, rows)
    for begin in range(0, len(windows), 8_192):  # bounded memory
        block = windows[begin : begin + 8_192]
        seen = ~np.isnan(block)
        count = seen.sum(1)
        good = count >= max(1, rows / 2)
        at = slice(rows - 1 + begin, rows - 1 + begin + len(block))
        filled = np.where(seen, block, 0.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = filled.sum(1) / count
            variance = np.where(seen, block - mean[:, None], 0.0)
            stats["mean"][at] = np.where(good, mean, np.nan)
            stats["sd"][at] = np.where(good, np.sqrt((variance**2).sum(1) / count), np.nan)
        stats["max"][at] = np.where(good, np.where(seen, block, -np.inf).max(1), np.nan)
        stats["min"][at] = np.where(good, np.where(seen, block, np.inf).min(1), np.nan)
    return stats
