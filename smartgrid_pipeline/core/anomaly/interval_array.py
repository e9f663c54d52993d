"""Recorded readings as contiguous arrays, cut into working intervals."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from smartgrid_pipeline.core.meter_data import step_minutes
from smartgrid_pipeline.core.schema import (
    ACTIVE_POWER,
    CHANNELS,
    CURRENT,
    REACTIVE_POWER,
    SUB_METERS,
    VOLTAGE,
    DataError,
    Meter,
)

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Times = npt.NDArray[np.datetime64]


@dataclass(frozen=True)
class IntervalArray:
    """Readings on whole working intervals: ``values`` maps a channel to (intervals × per,) float64.

    ``times`` are the interval starts of the single readings (civil clock, minutes); rows added to complete
    the first and last interval are NaN, like everything that was not recorded.
    """

    meter: Meter
    times: Times
    values: dict[str, Array]
    first_row: int
    rows: int

    @classmethod
    def from_readings(cls, readings: pd.DataFrame, meter: Meter) -> "IntervalArray":
        """Cut a regular readings frame. Raises DataError when it is irregular, empty or not this meter's."""
        missing = [channel for channel in meter.channels if channel not in readings]
        if missing:
            raise DataError(
                f"Readings of meter {meter.meter_id} lack {missing}: found {list(readings.columns)}. "
                "Give the meter's channels as they are in the file."
            )
        if step_minutes(readings) != meter.step_minutes:
            raise DataError(
                f"Readings have a step of {step_minutes(readings)} min, the meter one of "
                f"{meter.step_minutes}; put them on the meter's grid with meter_data.to_grid."
            )
        index = readings.index.to_numpy().astype("datetime64[m]")
        width = np.timedelta64(meter.working_minutes, "m")
        day = index[0].astype("datetime64[D]").astype("datetime64[m]")
        first = day + (index[0] - day) // width * width
        step = np.timedelta64(meter.step_minutes, "m")
        offset = int((index[0] - first) // step)
        per = meter.working_minutes // meter.step_minutes
        n = -(-(offset + len(index)) // per) * per
        values = {}
        for channel in [c for c in CHANNELS if c in meter.channels]:
            block = np.full(n, np.nan)
            block[offset : offset + len(index)] = readings[channel].to_numpy(np.float64)
            values[channel] = block
        return cls(meter, first + np.arange(n) * step, values, offset, len(index))

    def from_interval(self, first: int) -> "IntervalArray":
        """The working intervals ``first`` and later, as views."""
        begin = first * self.per
        values = {channel: each[begin:] for channel, each in self.values.items()}
        kept = self.first_row + self.rows - max(begin, self.first_row)
        return replace(
            self,
            times=self.times[begin:],
            values=values,
            first_row=max(self.first_row - begin, 0),
            rows=max(kept, 0),
        )

    @property
    def per(self) -> int:
        """Readings in one working interval."""
        return self.meter.working_minutes // self.meter.step_minutes

    @property
    def intervals(self) -> Times:
        """Starts of the working intervals."""
        return self.times[:: self.per]

    def has(self, *channels: str) -> bool:
        """True when the meter has all of these channels."""
        return set(channels) <= set(self.values)

    def blocks(self, values: Array) -> Array:
        """Reshape (readings,) to (intervals, readings per interval)."""
        return values.reshape(-1, self.per)

    def any(self, flags: Flags) -> Flags:
        """Working intervals in which any reading is flagged."""
        return np.asarray(np.any(flags.reshape(-1, self.per), axis=1))

    def mean(self, values: Array) -> Array:
        """Mean of the observed readings of each interval, NaN where there is none."""
        block = self.blocks(values)
        seen = ~np.isnan(block)
        with np.errstate(invalid="ignore"):
            return np.where(seen, block, 0.0).sum(1) / seen.sum(1)

    def per_hours(self, hours: float) -> int:
        """Working intervals in so many hours."""
        return round(hours * 60 / self.meter.working_minutes)

    def where(self, flags: Flags) -> "IntervalArray":
        """These readings with every one that is not flagged made NaN."""
        return replace(self, values={c: np.where(flags, v, np.nan) for c, v in self.values.items()})

    @property
    def apparent_kva(self) -> Array:
        """√(P² + Q²) of every reading."""
        return np.hypot(self.values[ACTIVE_POWER], self.values[REACTIVE_POWER])

    @property
    def excess_kva(self) -> Array:
        """V·I − √(P² + Q²) of every reading: near 0 while voltage, current and power agree."""
        return self.values[VOLTAGE] * self.values[CURRENT] / 1000 - self.apparent_kva


ELECTRICAL = (ACTIVE_POWER, REACTIVE_POWER, VOLTAGE, CURRENT)
ALL_SUBS = SUB_METERS


def run_lengths(flags: Flags) -> npt.NDArray[np.int64]:
    """How many flagged rows end at each row, itself included; 0 where it is not flagged."""
    rows = np.arange(1, len(flags) + 1)
    last_unflagged = np.maximum.accumulate(np.where(flags, 0, rows))
    return rows - last_unflagged
