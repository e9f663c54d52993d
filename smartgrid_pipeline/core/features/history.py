"""One meter's recorded past as arrays on a regular grid: what every feature block and model reads.

Civil clock throughout, as ``datetime64[m]``. A row that starts at ``s`` is available at
``s + working_minutes``; a forecast with origin ``t`` uses rows available at or before ``t`` and no others.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol, Self, TypeVar

import numpy as np
import numpy.typing as npt

from smartgrid_pipeline.core.features.lags import DAY_MINUTES, same_time
from smartgrid_pipeline.core.meter_data.growing_array import RunningSum
from smartgrid_pipeline.core.schema import (
    ACTIVE_POWER,
    CHANNELS,
    Floats,
    LeadInterval,
    Meter,
    Rows,
    Times,
)

T = TypeVar("T")


class Block(Protocol):
    """Features of one meter that are computed at once or kept up to date, with the same numbers either way.

    ``transform`` computes them of a whole history. ``update`` takes in rows ``first`` and later of a longer
    or corrected history and forgets what it held of those rows; its cost grows with the number of these rows,
    not with the length of the history, and it never calls ``transform``.
    """

    @classmethod
    def transform(cls, history: "History") -> Self:
        """The block of a whole history."""
        ...

    def update(self, history: "History", first: int = 0) -> None:
        """Compute rows ``first`` … n − 1 anew; rows before ``first`` are unchanged since the last call."""
        ...


B = TypeVar("B", bound=Block)


class ObservedMeans:
    """Mean power of any interval on the working grid, weighted by what was observed of each row."""

    def __init__(self) -> None:
        self._energy: RunningSum[np.float64] = RunningSum(np.float64)
        self._share: RunningSum[np.float64] = RunningSum(np.float64)
        self._complete: RunningSum[np.int64] = RunningSum(np.int64)

    @classmethod
    def transform(cls, history: "History") -> Self:
        """Of a whole history."""
        block = cls()
        block.update(history)
        return block

    def update(self, history: "History", first: int = 0) -> None:
        """Take in rows ``first`` and later."""
        power = history.power_kw[first:]
        share = np.where(np.isnan(power), 0.0, history.observed_share[first:].astype(np.float64))
        self._energy.write(first, np.where(share > 0, power.astype(np.float64), 0.0) * share)
        self._share.write(first, share)
        self._complete.write(first, share > 1 - 1e-6)

    def mean(self, first_rows: Rows, width: int, *, complete: bool = False) -> Floats:
        """Mean power (kW) of the ``width`` rows that begin at each row; any shape in, the same shape out.

        NaN outside the history, where less than half was observed, or, with ``complete``, where any minute
        was not.
        """
        energy, share, full = self._energy.sums, self._share.sums, self._complete.sums
        inside = (first_rows >= 0) & (first_rows + width < len(share))
        a = np.where(inside, first_rows, 0)
        b = np.where(inside, first_rows + width, 0)
        observed = share[b] - share[a]
        good = inside & ((full[b] - full[a] == width) if complete else (observed >= width / 2))
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(good, (energy[b] - energy[a]) / observed, np.nan).astype(np.float32)


@dataclass(frozen=True)
class History:
    """One meter's feature table as contiguous arrays on a regular civil grid of ``n`` working intervals.

    ``power_kw`` (n,) mean of the observed minutes, NaN where none was; ``observed_share`` (n,); ``features``
    (n, features of ``feature_table.names``) float32, the meter's channels first; ``within`` maps a channel to
    its readings inside the interval, (n, readings per interval) float32, for meters finer than the working
    interval.
    """

    meter: Meter
    starts: Times
    power_kw: Floats
    observed_share: Floats
    features: Floats
    within: dict[str, Floats] = field(default_factory=dict)

    # --- the grid ---------------------------------------------------------------------------------

    @property
    def step(self) -> np.timedelta64:
        """Length of the working interval."""
        return np.timedelta64(self.meter.working_minutes, "m")

    @property
    def end(self) -> np.datetime64:
        """When the last row became available: the latest possible origin."""
        return self.starts[-1] + self.step

    def part(self, first: int, last: int) -> "History":
        """Rows ``first`` … ``last`` − 1, as views."""
        rows = slice(first, last)
        return replace(
            self,
            starts=self.starts[rows],
            power_kw=self.power_kw[rows],
            observed_share=self.observed_share[rows],
            features=self.features[rows],
            within={channel: values[rows] for channel, values in self.within.items()},
        )

    def until(self, origin: np.datetime64) -> "History":
        """The past at ``origin``; the history itself where nothing is later."""
        n = int(np.clip((origin.astype("datetime64[m]") - self.starts[0]) // self.step, 0, len(self.starts)))
        return self if n == len(self.starts) else self.part(0, n)

    def last_days(self, days: int) -> "History":
        """The latest rows, as many as fill ``days``; the whole history when it is shorter."""
        n = days * DAY_MINUTES // self.meter.working_minutes
        return self.part(max(0, len(self.starts) - n), len(self.starts))

    def with_missing_rows(self, count: int) -> "History":
        """The history followed by ``count`` rows of which nothing was observed."""

        def longer(values: npt.NDArray[np.float32], fill: float = np.nan) -> npt.NDArray[np.float32]:
            return np.concatenate([values, np.full((count, *values.shape[1:]), fill, values.dtype)])

        return replace(
            self,
            starts=np.concatenate([self.starts, self.end + np.arange(count) * self.step]),
            power_kw=longer(self.power_kw),
            observed_share=longer(self.observed_share, 0),
            features=longer(self.features),
            within={channel: longer(values) for channel, values in self.within.items()},
        )

    def origins(self, start: np.datetime64, end: np.datetime64, every_minutes: int) -> Times:
        """Origins t, start ≤ t < end, at multiples of ``every_minutes`` from midnight, inside the history."""
        step = np.timedelta64(every_minutes, "m")
        first = max(start.astype("datetime64[m]"), self.starts[0] + self.step)
        midnight = first.astype("datetime64[D]").astype("datetime64[m]")
        first = midnight - (midnight - first) // step * step  # rounded up
        last = min(end.astype("datetime64[m]"), self.end + np.timedelta64(1, "m"))
        return np.arange(first, last, step, dtype="datetime64[m]")

    def rows(self, origins: Times) -> Rows:
        """Row available exactly at each origin (−1 and below, or n and above: outside the history)."""
        return ((origins.astype("datetime64[m]") - self.starts[0]) // self.step).astype(np.int64) - 1

    # --- readings ---------------------------------------------------------------------------------

    @property
    def readings_per_row(self) -> int:
        """How many readings are known of a working interval."""
        return self.within[ACTIVE_POWER].shape[1] if ACTIVE_POWER in self.within else 1

    @property
    def reading_minutes(self) -> int:
        """Minutes from one known reading to the next."""
        return self.meter.working_minutes // self.readings_per_row

    def readings(self, channel: str) -> Floats:
        """A channel as finely as it is known, (n × readings_per_row,); NaN where nothing was observed."""
        if ACTIVE_POWER in self.within:
            return self.within[channel].reshape(-1)
        return self.power_kw if channel == ACTIVE_POWER else self.channel_means(channel)

    def channel_means(self, channel: str) -> Floats:
        """Mean of a channel over each working interval, (n,); NaN where nothing was observed."""
        present = [name for name in CHANNELS if name in self.meter.channels]
        return self.features[:, present.index(channel)]

    # --- feature blocks ---------------------------------------------------------------------------

    @cached_property
    def _cache(self) -> dict[Any, Any]:
        return {}

    def cached(self, key: Any, build: Callable[[], T]) -> T:
        """What ``build`` gives, computed once for this history and shared by all models."""
        if key not in self._cache:
            self._cache[key] = build()
        return self._cache[key]

    def evict(self, key: Any) -> None:
        """Drop what was cached under ``key``, so that its memory can be used again."""
        self._cache.pop(key, None)

    def cached_keys(self) -> list[Any]:
        """The keys of all that is cached, oldest first."""
        return list(self._cache)

    def block(self, block_type: type[B]) -> B:
        """The feature block of this type, computed once."""
        return self.cached(block_type, lambda: block_type.transform(self))

    def with_blocks(self, blocks: dict[Any, Any]) -> "History":
        """This history with blocks that are up to date with it, by type or key.

        Once a block is updated further, an older history that holds it must not be used again.
        """
        self._cache.update(blocks)
        return self

    # --- mean power of intervals ------------------------------------------------------------------

    def interval_means(self, first_rows: Rows, width_minutes: int, *, complete: bool = False) -> Floats:
        """Mean power (kW) of the ``width_minutes`` that begin at each row; any shape in, the same shape out.

        NaN outside the history, where less than half was observed, or, with ``complete``, where any minute
        was not.
        """
        width = width_minutes // self.meter.working_minutes
        return self.block(ObservedMeans).mean(first_rows, width, complete=complete)

    def targets(
        self, origins: Times, leads: tuple[LeadInterval, ...], before: np.datetime64 | None = None
    ) -> Floats:
        """What really happened, (origins, leads) kW: NaN unless every minute was observed.

        With ``before``, intervals that end after it are NaN too (the embargo between training and holdout).
        """
        rows = self.rows(origins)
        out = np.full((len(origins), len(leads)), np.nan, np.float32)
        for j, lead in enumerate(leads):
            first = rows + 1 + lead.start_minutes // self.meter.working_minutes
            out[:, j] = self.interval_means(first, lead.width_minutes, complete=True)
            if before is not None:
                out[origins + np.timedelta64(lead.end_minutes, "m") > before, j] = np.nan
        return out

    def same_time_lags(self, origins: Times, leads: tuple[LeadInterval, ...], days: int) -> Floats:
        """The same lead interval on the past days, (origins, leads, days) kW, latest day first.

        The latest day is the last one on which the interval had ended at the origin (the day before for leads
        up to a day, seven days before for the next week). NaN where less than half was observed.
        """
        rows, minutes = self.rows(origins), self.meter.working_minutes
        out = np.empty((len(origins), len(leads), days), np.float32)
        for j, lead in enumerate(leads):
            first = rows + 1 + lead.start_minutes // minutes
            ends = np.full(len(rows), lead.end_minutes // minutes)
            begins = same_time(first, ends, np.arange(days), DAY_MINUTES // minutes)
            out[:, j, :] = self.interval_means(begins, lead.width_minutes)
        return out
