"""The 31 causal features of a working interval: what asset ``feature_table`` holds.

A feature row belongs to the interval that starts at its time and is available when that interval ends; it
uses this interval and earlier ones only. Channels a meter lacks are absent features, never invented.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from smartgrid_pipeline.core.features import calendar
from smartgrid_pipeline.core.features.lags import lag
from smartgrid_pipeline.core.features.rolling import window_statistics
from smartgrid_pipeline.core.meter_data.growing_array import GrowingArray
from smartgrid_pipeline.core.schema import (
    ACTIVE_POWER,
    CHANNELS,
    REACTIVE_POWER,
    SUB_METERS,
    Doubles,
    Floats,
    Meter,
    Times,
)

LAG_MINUTES = (5, 10, 15, 60, 1440, 10080)


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
    days = [name for name in calendar.NAMES if name != "is_public_holiday" or meter.holiday_country]
    return (
        *(channel for channel in CHANNELS if channel in have),
        *(name for name, needs in derived.items() if needs <= have),
        *lags,
        "power_difference_kw",
        *windows,
        "power_24h_mean_kw",
        "power_24h_sd_kw",
        *days,
    )


@dataclass(frozen=True)
class Intervals:
    """Working intervals of a meter on a regular grid: starts (n,) and the mean of each channel (n,), NaN
    where nothing was observed.
    """

    starts: Times
    channels: dict[str, Doubles]


class IntervalFeatures:
    """The features ``names(meter)`` of every working interval, kept up to date as intervals arrive."""

    def __init__(self, meter: Meter) -> None:
        self.meter = meter
        self._values: GrowingArray[np.float32] = GrowingArray(np.float32, (len(names(meter)),))

    @classmethod
    def transform(cls, intervals: Intervals, meter: Meter) -> Self:
        """Of a whole history; seven earlier days make every feature complete."""
        block = cls(meter)
        block.update(intervals)
        return block

    @property
    def values(self) -> Floats:
        """(n, features), NaN where the readings behind a feature are missing."""
        return self._values.values

    def update(self, intervals: Intervals, first: int = 0) -> None:
        """Take in rows ``first`` and later: new ones, or ones that were corrected."""
        columns: dict[str, Any] = self._of_channels(intervals, first) | self._of_the_past(intervals, first)
        columns |= calendar.facts(intervals.starts[first:], self.meter)
        stacked = [columns[name].astype(np.float32) for name in names(self.meter)]
        self._values.write(first, np.stack(stacked, -1))

    def _of_channels(self, intervals: Intervals, first: int) -> dict[str, Doubles]:
        """The channels of each interval and what follows from them."""
        columns = {name: values[first:] for name, values in intervals.channels.items()}
        power = columns[ACTIVE_POWER]
        if set(SUB_METERS) <= set(columns):
            columns["other_load_kw"] = power - sum(columns[sub] for sub in SUB_METERS)
        if REACTIVE_POWER in columns:
            apparent = np.hypot(power, columns[REACTIVE_POWER])
            with np.errstate(invalid="ignore", divide="ignore"):
                factor = np.where(apparent > 0, power / apparent, np.nan)
            columns |= {"apparent_power_kva": apparent, "power_factor": factor}
        return columns

    def _of_the_past(self, intervals: Intervals, first: int) -> dict[str, Doubles]:
        """Lags, the last step, and statistics of the last hour and day."""
        power, minutes = intervals.channels[ACTIVE_POWER], self.meter.working_minutes
        columns = {
            f"power_lag_{m}min_kw": lag(power, m // minutes, first) for m in LAG_MINUTES if m % minutes == 0
        }
        columns["power_difference_kw"] = power[first:] - lag(power, 1, first)
        hour = window_statistics(power, 60 // minutes, first)
        day = window_statistics(power, 1440 // minutes, first)
        columns |= {f"power_1h_{what}_kw": values for what, values in hour.items()}
        return columns | {"power_24h_mean_kw": day["mean"], "power_24h_sd_kw": day["sd"]}
