"""Audit of the months of a feature table."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from smartgrid_pipeline.core.features import calendar, feature_table
from smartgrid_pipeline.core.schema import (
    ACTIVE_POWER,
    INTERVAL_START,
    INTERVAL_START_UTC,
    OBSERVED_SHARE,
    SUB_METERS,
    Finding,
    Meter,
    Verdict,
)
from smartgrid_pipeline.quality import expectations
from smartgrid_pipeline.quality.readings import KNOWN_SHARE, LIMIT_KW, ROUNDING_KW

SCARCE = ("power_lag_10080min_kw", "power_lag_1440min_kw", "power_24h_mean_kw", "power_24h_sd_kw")
"""Features that are missing in the first days of a source."""


def audit_feature_months(
    tables: Mapping[str, pd.DataFrame], meter: Meter, limit_kw: float = LIMIT_KW
) -> list[Verdict]:
    """A verdict for each month of a feature table: may its rows be trained on and served?"""
    names = feature_table.names(meter)
    frames = {month: table.rename_axis(INTERVAL_START).reset_index() for month, table in tables.items()}
    found = expectations.check_each(frames, _suite(meter, names, limit_kw))
    return [_verdict(table, meter, month, names, found[month]) for month, table in tables.items()]


def _verdict(
    table: pd.DataFrame, meter: Meter, month: str, names: tuple[str, ...], findings: list[Finding]
) -> Verdict:
    if table.empty or not {INTERVAL_START_UTC, OBSERVED_SHARE, *names} <= set(table.columns):
        return Verdict("features", month, tuple(findings))
    findings += [_grid(table, meter, month), _finite(table, names), _known(table, names)]
    findings += [_calendar(table, meter), _lags(table, meter), _window(table), *_derived(table, names)]
    return Verdict("features", month, tuple(findings))


def _suite(meter: Meter, names: tuple[str, ...], limit_kw: float) -> expectations.Suite:
    suite = expectations.Suite([INTERVAL_START_UTC, OBSERVED_SHARE, *names])
    column = {"column": INTERVAL_START}
    suite.add("ExpectColumnValuesToBeUnique", column, "intervals come once", "no interval start twice")
    suite.known(ACTIVE_POWER, KNOWN_SHARE)
    suite.between(OBSERVED_SHARE, 0, 1)
    suite.between(ACTIVE_POWER, -ROUNDING_KW, limit_kw, "kW")
    for name in ("power_1h_sd_kw", "power_24h_sd_kw"):
        suite.between(name, 0, limit_kw, "kW")
    if "power_factor" in names:
        suite.between("power_factor", -0.01, 1.0001)
    if "is_public_holiday" in names:
        values = {"column": "is_public_holiday", "value_set": [0.0, 1.0]}
        suite.add("ExpectColumnValuesToBeInSet", values, "is_public_holiday is a flag", "0 or 1")
    return suite


def _grid(table: pd.DataFrame, meter: Meter, month: str) -> Finding:
    """Whether intervals are regular, in order, and of this month."""
    width = np.timedelta64(meter.working_minutes, "m")
    steps = np.diff(table.index.to_numpy())
    odd, outside = int((steps != width).sum()), int((table.index.to_period("M") != pd.Period(month)).sum())
    return Finding(
        "intervals are regular and of the month",
        odd == 0 and outside == 0,
        f"{odd} irregular steps, {outside} rows of other months",
        f"steps of {meter.working_minutes} min within {month}",
    )


def _finite(table: pd.DataFrame, names: tuple[str, ...]) -> Finding:
    infinite = np.isinf(table[list(names)].to_numpy(np.float64)).sum(axis=0)
    bad = [f"{name} {count}×" for name, count in zip(names, infinite, strict=True) if count]
    return Finding("features are finite", not bad, ", ".join(bad) or "no infinite value", "none infinite")


def _known(table: pd.DataFrame, names: tuple[str, ...]) -> Finding:
    """Whether features are known where power is; the long lags of a source's first days are left out."""
    known = table[table[ACTIVE_POWER].notna()]
    if known.empty:
        return Finding("features are known where power is", False, "power is nowhere known", "some power")
    shares = known[[name for name in names if name not in SCARCE]].notna().mean()
    worst = str(shares.idxmin())
    return Finding(
        "features are known where power is",
        bool(shares[worst] >= 0.8),
        f"{100 * shares[worst]:.1f} % of {worst}, the scarcest",
        "at least 80 %",
    )


def _calendar(table: pd.DataFrame, meter: Meter) -> Finding:
    """Whether the calendar columns belong to the index, so that no row stands at the time of another."""
    expected = calendar.facts(table.index.to_numpy(), meter)
    wrong = [name for name, values in expected.items() if not np.allclose(table[name], values, atol=1e-6)]
    return Finding(
        "calendar features are those of their interval",
        not wrong,
        f"different: {', '.join(wrong)}" if wrong else f"{len(expected)} columns equal",
        "all equal to the civil calendar of the index",
    )


def _lags(table: pd.DataFrame, meter: Meter) -> Finding:
    """Whether each lag is the power of an earlier row, so that features are causal and of this meter."""
    power = table[ACTIVE_POWER].to_numpy(np.float64)
    wrong: list[str] = []
    for minutes in feature_table.LAG_MINUTES:
        rows, odd = divmod(minutes, meter.working_minutes)
        if odd or rows >= len(table):
            continue
        lag = table[f"power_lag_{minutes}min_kw"].to_numpy(np.float64)[rows:]
        if not np.allclose(lag, power[:-rows], atol=1e-5, equal_nan=True):
            wrong.append(f"{minutes} min")
    return Finding(
        "lags are earlier rows",
        not wrong,
        f"different: {', '.join(wrong)}" if wrong else "equal",
        "each lag equals the power so many minutes earlier",
    )


def _window(table: pd.DataFrame) -> Finding:
    low, mean, high = (table[f"power_1h_{what}_kw"].to_numpy(np.float64) for what in ("min", "mean", "max"))
    with np.errstate(invalid="ignore"):
        wrong = int(((low > mean + 1e-4) | (mean > high + 1e-4)).sum())
    return Finding(
        "hourly means lie between minimum and maximum", wrong == 0, f"{wrong} rows against it", "none"
    )


def _derived(table: pd.DataFrame, names: tuple[str, ...]) -> list[Finding]:
    if "other_load_kw" not in names:
        return []
    rest = table[ACTIVE_POWER].to_numpy(np.float64) - table[list(SUB_METERS)].to_numpy(np.float64).sum(axis=1)
    same = np.allclose(rest, table["other_load_kw"], atol=1e-3, equal_nan=True)
    demanded = "active power less its sub-meters"
    return [Finding("other load is what sub-meters leave", same, "equal" if same else "different", demanded)]
