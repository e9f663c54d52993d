"""Rules on patterns: masked defects, readings that stand still, values that have lost their order."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from smartgrid_pipeline.core import meter_data
from smartgrid_pipeline.core.schema import ACTIVE_POWER, Finding
from smartgrid_pipeline.quality.month import Month

FROZEN_HOURS = 12.0
"""All channels frozen for longer than this in a month: critical. The house's own freeze took 6.6 h."""

STANDSTILL_HOURS = 6.0
"""Power at one value for this long while voltage moves; the longest natural case of the
UCI house is 29 min.
"""

ORDER_EVIDENCE = 32.0
"""Least evidence of order. Shuffled values reach it by chance once in 600,000 months."""

DST_HOURS = 2.0
"""The clock skips one hour a year: more repeated hours than that are copies of another origin."""

CHANCE_ROWS = 30
"""Single rows equal to the day before: the house has at most 4 in a month."""


def defects(month: Month) -> list[Finding]:
    """How many rows of each defect type were masked: a warning, and critical past a limit."""
    step = month.meter.step_minutes
    counts = {
        defect: int((month.defects == defect).sum())
        for defect in ("gap", "freeze", "dst_copy", "chance_copy")
    }
    hours = {defect: count * step / 60 for defect, count in counts.items()}
    return [
        Finding(
            "no reading is masked",
            sum(counts.values()) == 0,
            ", ".join(f"{defect} {counts[defect] * step} min" for defect in counts if counts[defect])
            or "none",
            "none (masked readings are left out, not filled)",
            "warning",
        ),
        Finding(
            "the channels do not stand still",
            hours["freeze"] <= FROZEN_HOURS or not month.is_fine,
            f"all channels stand still for {hours['freeze']:.1f} h",
            f"at most {FROZEN_HOURS:g} h in a month",
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
    """Whether power stands still for longer than is natural for this meter; zero load only warns."""
    readings = month.clean if month.is_fine else month.grid  # a freeze of all channels has its own rule
    power = readings[ACTIVE_POWER].to_numpy(np.float64)
    loaded = np.where(power == 0, np.nan, power)
    firsts, lengths = meter_data.standstills(loaded)
    earlier = month.earlier_power(92)
    _, natural = meter_data.standstills(np.where(earlier == 0, np.nan, earlier))
    shortest = STANDSTILL_HOURS if month.is_fine else meter_data.FREEZE_HOURS
    limit = meter_data.standstill_limit(lengths, shortest * month.rows_per_hour, natural)
    longest = int(lengths.max()) if len(lengths) else 0
    at = f" from {readings.index[firsts[lengths.argmax()]]}" if longest else ""
    _, zeros = meter_data.standstills(np.where(power == 0, power, np.nan))
    idle = (int(zeros.max()) if len(zeros) else 0) / month.rows_per_hour
    return [
        Finding(
            "power does not stand still",
            longest < limit,
            f"{longest / month.rows_per_hour:.1f} h at one value{at}",
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
    """Whether neighbouring values are alike, as in any load; shuffled values are not.

    Without order, n·Σr² over the rank autocorrelations r at one to three steps and at a day is chi-squared
    with four degrees of freedom (portmanteau test of Box & Pierce 1970). Of 1,430 months of 80 half-hourly
    homes none has less than 47, of the same months shuffled none more than 20. Neighbouring minutes of the
    house agree to 0.97.
    """
    known = int((~np.isnan(month.power)).sum())
    per_day = round(24 * month.rows_per_hour)
    idle = float(np.mean(month.power[~np.isnan(month.power)] == 0)) if known else 1.0
    if known < 7 * per_day or idle > 0.5:
        found = f"{known} values, {100 * idle:.0f} % of them zero: too few to tell"
        return [Finding("values are in their order", True, found, "7 days of load", "warning")]
    neighbour, evidence = order_of(month.power, per_day)
    findings = [
        Finding(
            "values are in their order",
            evidence >= ORDER_EVIDENCE,
            f"evidence of order {evidence:.0f} (rank autocorrelation of neighbours {neighbour:.2f})",
            f"at least {ORDER_EVIDENCE:g} (shuffled values have less than 20)",
        )
    ]
    if month.meter.step_minutes <= 5:
        before = [order_of(block, per_day)[0] for block in _blocks(month.earlier_power(92), 14 * per_day)]
        limit = max(0.6, 0.85 * float(np.median(before))) if before else 0.6
        usual = f", {np.median(before):.2f} before" if before else ""
        findings.append(
            Finding(
                "neighbouring values agree",
                neighbour >= limit,
                f"rank autocorrelation {neighbour:.2f}{usual}",
                f"at least {limit:.2f} (less means that some times are shuffled)",
            )
        )
    return findings


def order_of(power: npt.NDArray[np.float64], per_day: int) -> tuple[float, float]:
    """Rank autocorrelation at one step, and the evidence of order n·Σr² over steps 1, 2, 3 and a day."""
    ranks = pd.Series(power).rank().to_numpy()
    spread = np.nanstd(ranks)
    if not spread > 0:
        return 0.0, 0.0
    scaled = (ranks - np.nanmean(ranks)) / spread
    lags = []
    for lag in (1, 2, 3, per_day):
        product = scaled[lag:] * scaled[:-lag]
        both = ~np.isnan(product)
        lags.append(float(product[both].mean()) if both.sum() > per_day else 0.0)
    return lags[0], float((~np.isnan(power)).sum() * sum(lag**2 for lag in lags))


def _blocks(values: npt.NDArray[np.float64], rows: int) -> list[npt.NDArray[np.float64]]:
    """Blocks of ``rows`` values, counted from the end; blocks with less than half observed are left out."""
    ends = range(len(values), rows - 1, -rows)
    blocks = [values[end - rows : end] for end in ends]
    return [block for block in blocks if (~np.isnan(block)).mean() > 0.5]
