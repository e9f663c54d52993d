"""How long appliances have been in their present state, from steps of the power and from the sub-meters."""

import numpy as np
import numpy.typing as npt

from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.schema import ACTIVE_POWER, SUB_METERS, Floats, Meter

JUMPS_KW = (0.3, 1.0)
"""Steps between two readings that mark an appliance switching."""

ON_KW = 0.1
"""A sub-meter above this is on."""


def names(meter: Meter) -> tuple[str, ...]:
    """Names of the columns of ``state``."""
    jumps = [f"{what}_{round(1000 * kw)}w" for kw in JUMPS_KW
             for what in ("minutes_since_jump", "power_before_jump", "power_since_jump")]  # fmt: skip
    subs = [f"{sub}_{what}" for sub in SUB_METERS if sub in meter.channels
            for what in ("minutes_since_on", "minutes_since_off")]  # fmt: skip
    return (*jumps, *subs)


def state(history: History) -> Floats:
    """How long the present state has lasted, (n, len(names(meter))); nothing older than a day counts.

    For each jump size: minutes since the last such step between two readings, power before it and mean
    power (kW) since. For each sub-meter: minutes since it was last on, and last off.
    """
    if "state" not in history.derived:
        per, power = history.readings_per_row, history.readings(ACTIVE_POWER)
        columns = [column for jump in JUMPS_KW for column in _since_jump(power, jump, history.meter)]
        for sub in [sub for sub in SUB_METERS if sub in history.meter.channels]:
            values = history.readings(sub)
            columns += [
                _minutes_since(values > ON_KW, history.meter),
                _minutes_since(values <= ON_KW, history.meter),
            ]
        history.derived["state"] = np.stack([column[per - 1 :: per] for column in columns], -1)
    return history.derived["state"]


def _minutes_since(flags: npt.NDArray[np.bool_], meter: Meter) -> Floats:
    """Minutes from the last row flagged to each row's own end, at most a day."""
    at = np.arange(len(flags))
    last = np.maximum.accumulate(np.where(flags, at, -1440))
    return np.minimum((at - last) * _reading_minutes(meter), 1440).astype(np.float32)


def _reading_minutes(meter: Meter) -> int:
    return meter.step_minutes if meter.step_minutes < meter.working_minutes else meter.working_minutes


def _since_jump(power: Floats, jump_kw: float, meter: Meter) -> list[Floats]:
    at = np.arange(len(power))
    jumped = np.abs(np.diff(power, prepend=power[:1])) > jump_kw  # never next to a gap
    last = np.maximum.accumulate(np.where(jumped, at, 0))
    seen = ~np.isnan(power)
    energy = np.concatenate([[0], np.cumsum(np.where(seen, power, 0), dtype=np.float64)])
    count = np.concatenate([[0], np.cumsum(seen)])
    known = (last > 0) & ((at - last) * _reading_minutes(meter) < 1440)
    with np.errstate(invalid="ignore", divide="ignore"):
        since = (energy[1:] - energy[last]) / (count[1:] - count[last])
    before = power[np.maximum(last - 1, 0)]
    nothing = np.float32(np.nan)
    return [_minutes_since(jumped, meter), np.where(known, before, nothing),
            np.where(known, since, nothing).astype(np.float32)]  # fmt: skip
