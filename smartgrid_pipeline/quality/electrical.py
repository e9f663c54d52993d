"""Electrical rules: size of the load, power against voltage and current, sub-meters against the total."""

import numpy as np

from smartgrid_pipeline.core.schema import ACTIVE_POWER, CURRENT, SUB_METERS, VOLTAGE, Finding
from smartgrid_pipeline.quality.month import Month

PEAK_RATIO = (0.02, 30.0)
"""A month's peak against the highest peak of the year before. Of 1,430 months of 80 homes none with load is
below 0.03, and none above 2 once the home was in use; a unit error moves it by 60 or 1000."""

IDLE_PEAK_KW = 0.1
"""A year whose peak is below this was an empty home: what follows may be any multiple of it."""

SMALLEST_PEAK_KW = 0.02
"""A month in which no interval reaches 20 W is no home's load but a wrong unit; the least of 80 half-hourly
homes with load is 126 W."""


def scale(month: Month) -> list[Finding]:
    """Whether the load has the size it had before; a wrong unit (kWh read as Wh) moves it a thousandfold."""
    power = month.power[~np.isnan(month.power)]
    earlier = month.earlier_power(400)
    earlier = earlier[~np.isnan(earlier)]
    if len(power) == 0:
        return [Finding("power was observed", False, "no value left after masking", "some")]
    idle = float((power == 0).mean()) > 0.5
    peak = float(power.max())
    findings = [
        Finding(
            "the load has a home's size",
            idle or peak >= SMALLEST_PEAK_KW,
            f"a peak of {peak:.4g} kW",
            f"at least {SMALLEST_PEAK_KW:g} kW (is the unit right?)",
        )
    ]
    if len(earlier) and earlier.max() >= IDLE_PEAK_KW:
        ratio, low, high = peak / float(earlier.max()), *PEAK_RATIO
        mean_ratio = float(power.mean() / earlier.mean())
        findings += [
            Finding(
                "the peak is like those before",
                bool(ratio <= high and (ratio >= low or idle)),
                f"{peak:.4g} kW, {ratio:.3g} times the highest before",
                f"{low:g} to {high:g} times (is the unit right?)",
            ),
            Finding(
                "the mean is like those before",
                bool(0.1 <= mean_ratio <= 10),
                f"{power.mean():.3g} kW, {mean_ratio:.3g} times the mean before",
                "0.1 to 10 times",
                "warning",
            ),
        ]
    return findings


def volts_times_amperes(month: Month) -> list[Finding]:
    """Whether active power is at most voltage times current, and not far below it at load.

    The UCI house has no row in three years beyond 1.1 V·I + 0.06 kW (its current is given in steps of 0.2 A)
    nor below 0.3 V·I at 0.5 kVA or more.
    """
    if not month.is_fine:
        return []
    frame = month.clean[[ACTIVE_POWER, VOLTAGE, CURRENT]].dropna()
    if frame.empty:
        return [Finding("power fits voltage and current", False, "no row has all three", "some")]
    power = frame[ACTIVE_POWER].to_numpy()
    apparent = frame[VOLTAGE].to_numpy() * frame[CURRENT].to_numpy() / 1000
    above = power > 1.1 * apparent + 0.06
    below = (apparent >= 0.5) & (power < 0.3 * apparent)
    at = frame.index[above][0] if above.any() else frame.index[below][0] if below.any() else None
    first = f", first at {at}" if at is not None else ""
    return [
        Finding(
            "power fits voltage and current",
            bool(above.mean() <= 0.001 and below.mean() <= 0.001),
            f"{int(above.sum())} rows above V·I and {int(below.sum())} far below it of {len(frame)}{first}",
            "0.1 % of the rows above 1.1 V·I + 0.06 kW or below 0.3 V·I (at 0.5 kVA and more)",
        )
    ]


def sub_meters(month: Month) -> list[Finding]:
    """Whether sub-meters together stay within the total; rounding reaches one step of 1 Wh a minute."""
    present = [name for name in SUB_METERS if name in month.meter.channels]
    if not present:
        return []
    parts = month.clean[present].sum(axis=1, min_count=len(present)).to_numpy()
    tolerance = 0.06 * len(present) + 0.05 * month.power
    above = parts > month.power + tolerance
    known = ~np.isnan(parts) & ~np.isnan(month.power)
    share = above.sum() / max(known.sum(), 1)
    return [
        Finding(
            "sub-meters fit into the whole",
            bool(known.any() and share <= 0.01),
            f"{int(above.sum())} of {int(known.sum())} rows where they exceed it",
            "at most 1 % of the rows",
        )
    ]
