"""What the civil calendar says of a time: always known, so of times to come as well.

Times are on the meter's civil clock. Weekdays count from Monday = 0.
"""

from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from smartgrid_pipeline.core.schema import Floats, Meter, Rows, Times

NAMES = (
    "hour_sin",
    "hour_cos",
    "weekday_sin",
    "weekday_cos",
    "day_of_year_sin",
    "day_of_year_cos",
    "is_weekend",
    "is_public_holiday",
)

DAY_MINUTES = 1440


def weekday(times: Times) -> Rows:
    """Weekday of each time (0 … 6)."""
    return (times.astype("datetime64[D]").astype(np.int64) + 3) % 7  # 1970-01-01 was a Thursday


def minute_of_day(times: Times) -> Rows:
    """Minutes since midnight of each time."""
    return (times.astype("datetime64[m]") - times.astype("datetime64[D]")).astype(np.int64)


def facts(times: Times, meter: Meter) -> dict[str, Floats]:
    """Columns NAMES of each time; without ``is_public_holiday`` for a meter whose country is not known."""
    minutes = times.astype("datetime64[m]")
    days = minutes.astype("datetime64[D]")
    year = days.astype("datetime64[Y]")
    phases = {
        "hour": (minutes - days).astype(float) / DAY_MINUTES,
        "weekday": weekday(days).astype(float) / 7,
        "day_of_year": (days - year.astype("datetime64[D]")).astype(float) / 365.25,
    }
    found = {}
    for name, phase in phases.items():
        found[f"{name}_sin"] = np.sin(2 * np.pi * phase).astype(np.float32)
        found[f"{name}_cos"] = np.cos(2 * np.pi * phase).astype(np.float32)
    found["is_weekend"] = (weekday(days) >= 5).astype(np.float32)
    if meter.holiday_country:
        found["is_public_holiday"] = _among(days, public_holidays, meter.holiday_country)
    return found


def school_holidays(times: Times, meter: Meter) -> dict[str, Floats]:
    """Whether schools of the meter's zone are closed at each time; empty for a meter without a zone.

    Days of years that no calendar has been published for count as school days.
    """
    if not meter.school_zone:
        return {}
    days = times.astype("datetime64[D]")
    return {"is_school_holiday": _among(days, french_school_holidays, meter.school_zone)}


def daily_waves(minute: Rows) -> Floats:
    """Four daily waves of a minute of the day, any shape S in, S + (8,) out: sines, then cosines."""
    phase = 2 * np.pi * minute[..., None] * np.arange(1, 5) / DAY_MINUTES
    return np.concatenate([np.sin(phase), np.cos(phase)], -1, dtype=np.float32)


def day_columns(days: Times, meter: Meter) -> Floats:
    """Calendar of each civil day, (days, columns): weekday (7 flags), weekend, public holiday, the day before
    one, the day after one, two yearly waves, school holiday where the meter has a zone.
    """
    around = np.concatenate([days[:1] - 1, days, days[-1:] + 1])
    known = facts(around.astype("datetime64[m]"), meter)
    holiday = known.get("is_public_holiday", np.zeros(len(around), np.float32))
    year = days.astype("datetime64[Y]").astype("datetime64[D]")
    phase = 2 * np.pi * (days - year).astype(float) / 365.25
    columns = [
        known["is_weekend"][1:-1],
        holiday[1:-1],
        holiday[2:],
        holiday[:-2],
        *(wave(k * phase) for k in (1, 2) for wave in (np.sin, np.cos)),
        *school_holidays(days, meter).values(),
    ]
    flags = np.eye(7, dtype=np.float32)[weekday(days)]
    return np.ascontiguousarray(np.column_stack([flags, *columns]).astype(np.float32))


def is_day_off(days: Times, meter: Meter) -> npt.NDArray[np.bool_]:
    """Whether each day is a weekend day or a public holiday."""
    known = facts(days.astype("datetime64[m]"), meter)
    return known["is_weekend"] + known.get("is_public_holiday", np.zeros(len(days), np.float32)) > 0


def _among(days: Times, calendar: Callable[[str, int, int], Times], place: str) -> Floats:
    """1 for days that a calendar of that place lists."""
    first, last = (int(str(each)[:4]) for each in (days.min(), days.max())) if len(days) else (1970, 1970)
    return np.isin(days, calendar(place, first, last)).astype(np.float32)


@lru_cache(maxsize=32)
def public_holidays(country: str, first_year: int, last_year: int) -> npt.NDArray[np.datetime64]:
    """Days that are public holidays of a country (ISO code) in the years given, both included."""
    import holidays

    days = holidays.country_holidays(country, years=range(first_year, last_year + 1))
    return np.array(sorted(days), "datetime64[D]")


@lru_cache(maxsize=32)
def french_school_holidays(zone: str, first_year: int, last_year: int) -> npt.NDArray[np.datetime64]:
    """Days of school holidays of a French zone (A, B or C) in the years given, both included."""
    from vacances_scolaires_france import SchoolHolidayDates, UnsupportedYearException

    known, days = SchoolHolidayDates(), set()
    for year in range(first_year, last_year + 1):
        with suppress(UnsupportedYearException):
            days |= set(known.holidays_for_year_and_zone(year, zone))
    return np.array(sorted(days), "datetime64[D]")
