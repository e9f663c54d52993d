"""One meter's recorded past as arrays on a regular grid: what every feature block and model reads.

Civil clock throughout, as ``datetime64[m]``. A row that starts at ``s`` is available at
``s + working_minutes``;
a forecast with origin ``t`` uses rows available at or before ``t`` and no others.
"""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from smartgrid_pipeline.core.schema import ACTIVE_POWER, CHANNELS, Floats, LeadInterval, Meter, Times


@dataclass(frozen=True)
class History:
    """One meter's feature table as contiguous arrays on a regular civil grid of ``n`` working intervals.

    ``power_kw`` (n,) mean of the observed minutes, NaN where none was; ``observed_share`` (n,);
    ``features`` (n, len(feature_names)) float32; ``within`` maps a channel to its readings inside the
    interval, (n, readings per interval) float32, for meters finer than the working interval.
    """

    meter: Meter
    starts: Times
    power_kw: Floats
    observed_share: Floats
    features: Floats
    within: dict[str, Floats] = field(default_factory=dict)

    @property
    def step(self) -> np.timedelta64:
        """Length of the working interval."""
        return np.timedelta64(self.meter.working_minutes, "m")

    @property
    def end(self) -> np.datetime64:
        """When the last row became available: the latest possible origin."""
        return self.starts[-1] + self.step

    def until(self, origin: np.datetime64) -> "History":
        """The past at ``origin``: the one place where a history is cut."""
        n = int(np.clip((origin.astype("datetime64[m]") - self.starts[0]) // self.step, 0, len(self.starts)))
        return self._cut(slice(n))

    def last_days(self, days: int) -> "History":
        """The latest rows, as many as fill ``days``; the whole history when it is shorter."""
        n = days * 1440 // self.meter.working_minutes
        return self._cut(slice(max(0, len(self.starts) - n), None))

    def _cut(self, rows: slice) -> "History":
        return replace(
            self,
            starts=self.starts[rows],
            power_kw=self.power_kw[rows],
            observed_share=self.observed_share[rows],
            features=self.features[rows],
            within={channel: values[rows] for channel, values in self.within.items()},
        )

    def origins(self, start: np.datetime64, end: np.datetime64, every_minutes: int) -> Times:
        """Origins t, start ≤ t < end, at multiples of ``every_minutes`` from midnight, inside the history."""
        step = np.timedelta64(every_minutes, "m")
        first = max(start.astype("datetime64[m]"), self.starts[0] + self.step)
        midnight = first.astype("datetime64[D]").astype("datetime64[m]")
        first = midnight - (midnight - first) // step * step  # rounded up
        last = min(end.astype("datetime64[m]"), self.end + np.timedelta64(1, "m"))
        return np.arange(first, last, step, dtype="datetime64[m]")

    def rows(self, origins: Times) -> npt.NDArray[np.int64]:
        """Row available exactly at each origin (−1 and below, or n and above: outside the history)."""
        return ((origins.astype("datetime64[m]") - self.starts[0]) // self.step).astype(np.int64) - 1

    @property
    def readings_per_row(self) -> int:
        """How many readings are known of a working interval."""
        return self.within[ACTIVE_POWER].shape[1] if ACTIVE_POWER in self.within else 1

    def readings(self, channel: str) -> Floats:
        """A channel as finely as it is known, (n × readings_per_row,); NaN where nothing was observed."""
        if ACTIVE_POWER in self.within:
            return self.within[channel].reshape(-1)
        return self.power_kw if channel == ACTIVE_POWER else self.channel_means(channel)

    @cached_property
    def derived(self) -> dict[str, Any]:
        """Views that models make of this history and share: a cache that lives as long as the history."""
        return {}

    def channel_means(self, channel: str) -> Floats:
        """Mean of a channel over each working interval, (n,); NaN where nothing was observed."""
        present = [name for name in CHANNELS if name in self.meter.channels]
        return self.features[:, present.index(channel)]

    @cached_property
    def _sums(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """Running sums (n + 1,): observed energy in kW × share, observed share, and fully observed rows."""
        share = np.where(np.isnan(self.power_kw), 0.0, self.observed_share.astype(np.float64))
        energy = np.where(share > 0, self.power_kw.astype(np.float64), 0.0) * share
        full = (share > 1 - 1e-6).astype(np.int64)
        return tuple(np.concatenate([[0], np.cumsum(values)]) for values in (energy, share, full))  # type: ignore[return-value]

    def interval_means(
        self, first_rows: npt.NDArray[np.int64], width_minutes: int, *, complete: bool = False
    ) -> Floats:
        """Mean power (kW) of the ``width_minutes`` that begin at each row; any shape in, the same shape out.

        NaN outside the history, where less than half was observed, or, with ``complete``, where any minute
        was not.
        """
        energy, share, full = self._sums
        width, n = width_minutes // self.meter.working_minutes, len(self.starts)
        inside = (first_rows >= 0) & (first_rows + width <= n)
        a = np.where(inside, first_rows, 0)
        b = np.where(inside, first_rows + width, 0)
        observed = share[b] - share[a]
        good = inside & ((full[b] - full[a] == width) if complete else (observed >= width / 2))
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(good, (energy[b] - energy[a]) / observed, np.nan).astype(np.float32)

    def targets(
        self, origins: Times, leads: tuple[LeadInterval, ...], before: np.datetime64 | None = None
    ) -> Floats:
        """What really happened, (origins, leads) kW: NaN unless every minute was observed.

        With ``before``, intervals that end after it are NaN too (the embargo between blocks).
        """
        rows = self.rows(origins)
        out = np.full((len(origins), len(leads)), np.nan, np.float32)
        for j, lead in enumerate(leads):
            first = rows + 1 + lead.start_minutes // self.meter.working_minutes
            out[:, j] = self.interval_means(first, lead.width_minutes, complete=True)
            if before is not None:
                out[origins + np.timedelta64(lead.end_minutes, "m") > before, j] = np.nan
        return out

    def analogues(self, origins: Times, leads: tuple[LeadInterval, ...], days: int) -> Floats:
        """The same lead interval on the past days, (origins, leads, days) kW, latest day first.

        Day k is the interval k civil days earlier; k begins where that interval has ended at the origin
        (1 for leads up to a day, 7 for the next week). NaN where less than half was observed.
        """
        rows = self.rows(origins)
        day = 1440 // self.meter.working_minutes
        out = np.empty((len(origins), len(leads), days), np.float32)
        for j, lead in enumerate(leads):
            nearest = -(-lead.end_minutes // 1440)
            first = rows + 1 + lead.start_minutes // self.meter.working_minutes
            back = (nearest + np.arange(days)) * day
            out[:, j, :] = self.interval_means(first[:, None] - back[None, :], lead.width_minutes)
        return out
