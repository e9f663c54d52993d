"""Statistical rules: known defects, readings that stand still, and time that has lost its order."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from smartgrid_pipeline.core.schema import ACTIVE_POWER, Finding
from smartgrid_pipeline.quality.month import Month

FREEZE_HOURS = 12.0
"""All channels frozen for longer than this in a month: critical. The house's own freeze took 6.6 h."""

STANDSTILL_HOURS = (6.0, 18.0)
"""Power alone standing still, with and without voltage beside it. The house's longest natural standstill is
29 min, that of 80 half-hourly homes 15.5 h; meters of a coarser register learn a longer limit."""

DST_HOURS = 2.0
"""The clock skips one hour a year: more repeated hours than that are copies of another kind."""

CHANCE_ROWS = 30
"""Single rows equal to the day before: the house has at most 4 in a month."""


def defects(month: Month) -> list[Finding]:
    """Defects that are found and masked: how much of each, warned of, and critical past its limit."""
    step = month.meter.step_minutes
    counts = {kind: int((month.kinds == kind).sum()) for kind in ("gap", "freeze", "dst_copy", "chance_copy")}
    hours = {kind: count * step / 60 for kind, count in counts.items()}
    return [
        Finding(
            "no reading is masked",
            sum(counts.values()) == 0,
            ", ".join(f"{kind} {counts[kind] * step} min" for kind in counts if counts[kind]) or "none",
            "none (masked readings are left out, not filled)",
            "warning",
        ),
        Finding(
            "the meter is not frozen",
            hours["freeze"] <= FREEZE_HOURS or not month.is_fine,
            f"all channels stand still for {hours['freeze']:.1f} h",
            f"at most {FREEZE_HOURS:g} h in a month",
        ),
        Finding(
            "no hour comes twice",
            hours["dst_copy"] <= DST_HOURS,
            f"{hours['dst_copy']:.1f} h repeat the hour after them",
            f"at most {DST_HOURS:g} h",
        ),
        Finding(
            "chance copies are rare",
            counts["chance_copy"] <= CHANCE_ROWS,
            f"{counts['chance_copy']} single rows equal the day before",
            f"at most {CHANCE_ROWS}",
        ),
    ]


def standstill(month: Month) -> list[Finding]:
    """Power does not stand still for longer than is natural for this meter; zero load may last."""
    readings = month.clean if month.is_fine else month.grid  # a freeze of all channels has its own rule
    power = readings[ACTIVE_POWER].to_numpy(np.float64)
    floor = STANDSTILL_HOURS[0 if month.is_fine else 1] * month.rows_per_hour
    not_zero = np.where(power == 0, np.nan, power)
    lengths = standstill_lengths(not_zero)
    earlier = month.earlier_power(92)
    natural = np.concatenate([lengths, standstill_lengths(np.where(earlier == 0, np.nan, earlier))])
    limit = max(floor, 4 * float(np.quantile(natural, 0.95)) if len(natural) else 0.0)
    longest = int(lengths.max()) if len(lengths) else 0
    at = _start_of_longest(not_zero, month.grid.index)
    zeros = standstill_lengths(np.where(power == 0, power, np.nan))
    idle = (int(zeros.max()) if len(zeros) else 0) / month.rows_per_hour
    return [
        Finding(
            "power does not stand still",
            longest < limit,
            f"{longest / month.rows_per_hour:.1f} h at one value{f' from {at}' if at is not None else ''}",
            f"less than {limit / month.rows_per_hour:.1f} h",
        ),
        Finding(
            "the home is not without load",
            idle < 24,
            f"{idle:.1f} h of zero power at most",
            "less than 24 h (an empty home, or a dead meter)",
            "warning",
        ),
    ]


def structure(month: Month) -> list[Finding]:
    """Neighbouring values belong together, as in any load; shuffled values do not.

    Measured by the autocorrelation of log power at one step and at one day, and the share of its variance
    that the time of day explains. The house's one-minute value is 0.93 and more; half-hourly homes mostly have
    0.3 to 0.8, a few are noise by nature: those learn their limit from before.
    """
    power = month.power
    known = int((~np.isnan(power)).sum())
    per_day = round(24 * month.rows_per_hour)
    if known < 7 * per_day or np.nanstd(power) == 0 or np.mean(power[~np.isnan(power)] == 0) > 0.5:
        found = f"{known} values, too few or too idle to tell"
        return [Finding("values are in their order", True, found, "7 days of load", "warning")]
    value, by_day = _order(power, per_day, month.grid.index)
    earlier = [_order(block, per_day)[0] for block in _blocks(month.earlier_power(92), 28 * per_day)]
    before = float(np.nanmedian(earlier)) if earlier else np.nan
    if month.meter.step_minutes <= 5:
        limit = max(0.6, 0.85 * before) if before > 0.7 or np.isnan(before) else 0.6 * before
        passed = value >= limit
    else:
        noise = max(0.12, 4 / np.sqrt(known))
        limit = noise if np.isnan(before) else min(noise, 0.4 * before)
        passed = value >= limit or (np.isnan(before) and by_day >= 0.06)
    usual = "" if np.isnan(before) else f", {before:.2f} before"
    return [
        Finding(
            "values are in their order",
            bool(passed),
            f"autocorrelation {value:.2f}{usual}; the time of day explains {100 * by_day:.0f} %",
            f"autocorrelation of at least {limit:.2f} (less means shuffled times)",
        )
    ]


def standstill_lengths(values: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Lengths of all runs of at least two equal values."""
    firsts, lasts = _standstills(values)
    return (lasts - firsts + 1).astype(np.int64)


def _standstills(values: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """First and last rows of runs of equal values."""
    if len(values) < 2:
        return np.array([], np.int64), np.array([], np.int64)
    same = np.concatenate([[0], (values[1:] == values[:-1]).astype(np.int8), [0]])
    edges = np.flatnonzero(np.diff(same))
    return edges[::2].astype(np.int64), edges[1::2].astype(np.int64)


def _start_of_longest(values: npt.NDArray[np.float64], index: pd.DatetimeIndex) -> pd.Timestamp | None:
    firsts, lasts = _standstills(values)
    return index[firsts[(lasts - firsts).argmax()]] if len(firsts) else None


def _order(
    power: npt.NDArray[np.float64], per_day: int, index: pd.DatetimeIndex | None = None
) -> tuple[float, float]:
    """The stronger autocorrelation of log power (one step, one day); the share the time of day explains."""
    values = np.log(np.maximum(power, 0) + 0.02)  # 20 W: below the standby of any home
    spread = np.nanstd(values)
    if not spread > 0:
        return np.nan, np.nan
    scaled = (values - np.nanmean(values)) / spread
    lags = [float(np.nanmean(scaled[lag:] * scaled[:-lag])) for lag in (1, per_day) if lag < len(scaled)]
    explained = np.nan
    if index is not None:
        slots = pd.Series(scaled).groupby((index.hour * 60 + index.minute).to_numpy())
        explained = float((slots.mean() ** 2 * slots.count()).sum() / slots.count().sum())
    return max(abs(lag) for lag in lags), explained


def _blocks(values: npt.NDArray[np.float64], rows: int) -> list[npt.NDArray[np.float64]]:
    """Whole blocks of so many rows, counted from the end; those mostly missing are left out."""
    ends = range(len(values), rows - 1, -rows)
    blocks = [values[end - rows : end] for end in ends]
    return [block for block in blocks if (~np.isnan(block)).mean() > 0.5]
