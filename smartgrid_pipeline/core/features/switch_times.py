"""How long loads have been in their present state: time since the last jump of the power, and since each
sub-meter was last on and off. Nothing older than a day counts.
"""

from typing import Self

import numpy as np
import numpy.typing as npt

from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.features.lags import DAY_MINUTES
from smartgrid_pipeline.core.meter_data.growing_array import GrowingArray, RunningSum
from smartgrid_pipeline.core.schema import ACTIVE_POWER, SUB_METERS, Floats, Meter, Rows

JUMPS_KW = (0.3, 1.0)
"""Steps between two readings that mark a load switching."""

ON_KW = 0.1
"""A sub-meter above this is on."""

Flags = npt.NDArray[np.bool_]


def last_true(flags: Flags, before: int) -> Rows:
    """Position of the last True at or before each position, (n,); ``before`` where there is none."""
    return np.maximum.accumulate(np.where(flags, np.arange(len(flags)), before))


def names(meter: Meter) -> tuple[str, ...]:
    """Names of the columns of ``SwitchTimes``."""
    jumps = [f"{what}_{round(1000 * kw)}w" for kw in JUMPS_KW
             for what in ("minutes_since_jump", "power_before_jump", "power_since_jump")]  # fmt: skip
    subs = [f"{sub}_{what}" for sub in SUB_METERS if sub in meter.channels
            for what in ("minutes_since_on", "minutes_since_off")]  # fmt: skip
    return (*jumps, *subs)


class SwitchTimes:
    """Columns ``names(meter)`` at the end of every working interval.

    For each size of jump: minutes since the last such step between two readings, the power before it and the
    mean power (kW) since, NaN when it is a day or more ago. For each sub-meter: minutes since it was last on,
    and last off.
    """

    def __init__(self, meter: Meter) -> None:
        self._values: GrowingArray[np.float32] = GrowingArray(np.float32, (len(names(meter)),))
        self._energy: RunningSum[np.float64] = RunningSum(np.float64)
        self._count: RunningSum[np.int64] = RunningSum(np.int64)

    @classmethod
    def transform(cls, history: History) -> Self:
        """Of a whole history."""
        block = cls(history.meter)
        block.update(history)
        return block

    @property
    def values(self) -> Floats:
        """(n, columns); row i is known when interval i has ended."""
        return self._values.values

    def update(self, history: History, first: int = 0) -> None:
        """Take in rows ``first`` and later; one day before them is read again for its last jumps."""
        per, minutes = history.readings_per_row, history.reading_minutes
        begin = first * per
        start = max(0, begin - DAY_MINUTES // minutes - 1)
        power = history.readings(ACTIVE_POWER)[start:]
        new = power[begin - start :]
        observed = ~np.isnan(new)
        self._energy.write(begin, np.where(observed, new, 0))
        self._count.write(begin, observed)
        columns = [column for jump in JUMPS_KW for column in self._since_jump(power, start, jump, minutes)]
        for sub in [sub for sub in SUB_METERS if sub in history.meter.channels]:
            values = history.readings(sub)[start:]
            columns += [_minutes_since(values > ON_KW, minutes), _minutes_since(values <= ON_KW, minutes)]
        ends = slice(begin - start + per - 1, None, per)
        self._values.write(first, np.stack([column[ends] for column in columns], -1))

    def _since_jump(self, power: Floats, start: int, jump_kw: float, minutes: int) -> list[Floats]:
        """Minutes since, power before and mean power since the last jump, for readings from ``start`` on."""
        at = np.arange(len(power))
        jumped = np.abs(np.diff(power, prepend=power[:1])) > jump_kw  # never next to a gap
        last = last_true(jumped, 0)
        known = (last > 0) & ((at - last) * minutes < DAY_MINUTES)
        ends, begins = start + at + 1, start + last
        energy, count = self._energy.sums, self._count.sums
        with np.errstate(invalid="ignore", divide="ignore"):
            since = (energy[ends] - energy[begins]) / (count[ends] - count[begins])
        before = power[np.maximum(last - 1, 0)]
        nothing = np.float32(np.nan)
        return [
            _minutes_since(jumped, minutes),
            np.where(known, before, nothing),
            np.where(known, since, nothing).astype(np.float32),
        ]


def _minutes_since(flags: Flags, minutes: int) -> Floats:
    """Minutes from the last flagged reading to each reading, at most a day."""
    since = np.arange(len(flags)) - last_true(flags, -DAY_MINUTES)
    return np.minimum(since * minutes, DAY_MINUTES).astype(np.float32)
