"""Audit of one month of recorded readings: structure by expectations, electricity and patterns by rules."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from smartgrid_pipeline.core.schema import (
    ACTIVE_POWER,
    CHANNELS,
    CURRENT,
    INTERVAL_START,
    INTERVAL_START_UTC,
    REACTIVE_POWER,
    SUB_METERS,
    VOLTAGE,
    DataError,
    Finding,
    Meter,
    Verdict,
)
from smartgrid_pipeline.quality import electrical, expectations, patterns
from smartgrid_pipeline.quality.month import Month

LIMIT_KW = 250.0
"""No household supply carries more (three phases of 125 A are 86 kW, an apartment block some 200 kW); a
home's readings a thousand times too large always exceed it. Give a larger site its own limit."""

ROUNDING_KW = 0.005
"""How far below zero rounding may take a power: the coarsest common register step is 10 W."""

VOLTAGE_LIMITS = (80.0, 300.0)
"""Volts between an outage and insulation damage, for nominal voltages from 100 to 240."""

KNOWN_SHARE = 0.7
"""Share of a month's readings that must be known. The worst months of the UCI house lack 17 %."""


def check_structure(
    recorded: Mapping[str, pd.DataFrame], meter: Meter, limit_kw: float = LIMIT_KW
) -> dict[str, list[Finding]]:
    """Findings of the expectation suite on the recorded rows of each month, by month."""
    frames = {month: rows.rename_axis(INTERVAL_START).reset_index() for month, rows in recorded.items()}
    return expectations.check_each(frames, _suite(meter, limit_kw))


def audit_month(
    recorded: pd.DataFrame,
    meter: Meter,
    month: str,
    findings: Sequence[Finding],
    earlier: pd.DataFrame | None = None,
    followed: bool = False,
) -> Verdict:
    """Verdict on the readings of a civil month ("2010-10"): the findings given, and those of all rules.

    ``recorded`` are the rows of the month as recorded, ``findings`` those of ``check_structure``. ``earlier``
    are masked readings before the month, from which the rules take what is natural for this meter.
    ``followed`` states that the source has readings after the month, so that the month must run to its end.
    Small defects that ``meter_data`` masks are warnings; past a limit they are critical.
    """
    findings = list(findings)
    needed = [INTERVAL_START_UTC, *meter.channels]
    if recorded.empty or not set(needed) <= set(recorded.columns):
        return Verdict("readings", month, tuple(findings))
    try:
        subject = Month.of(recorded, meter, month, earlier, followed)
    except DataError as error:
        findings.append(Finding("readings fit a regular grid", False, str(error), "a regular grid"))
        return Verdict("readings", month, tuple(findings))
    rules: tuple[Callable[[Month], list[Finding]], ...] = (
        _timestamps,
        _completeness,
        patterns.defects,
        patterns.standstill,
        patterns.structure,
        electrical.scale,
        electrical.volts_times_amperes,
        electrical.sub_meters,
    )
    for rule in rules:
        findings += rule(subject)
    return Verdict("readings", month, tuple(findings))


def _suite(meter: Meter, limit_kw: float) -> expectations.Suite:
    """Expectations on recorded rows: row count, columns, ranges, known shares, order and uniqueness."""
    suite = expectations.Suite([INTERVAL_START_UTC, *meter.channels])
    time = {"column": INTERVAL_START}
    suite.add("ExpectColumnValuesToBeUnique", time, "times come once", "no interval start twice")
    suite.add(
        "ExpectColumnValuesToBeIncreasing", time | {"strictly": True}, "times are in order", "each later"
    )
    suite.known(ACTIVE_POWER, KNOWN_SHARE)
    limits: dict[str, tuple[float, float, str, float]] = {
        ACTIVE_POWER: (-ROUNDING_KW, limit_kw, "kW", 1.0),
        REACTIVE_POWER: (-limit_kw, limit_kw, "kvar", 1.0),
        VOLTAGE: (*VOLTAGE_LIMITS, "V", 0.99),  # short outages are real
        CURRENT: (0.0, 1000 * limit_kw / VOLTAGE_LIMITS[0], "A", 1.0),
        **dict.fromkeys(SUB_METERS, (-ROUNDING_KW, limit_kw, "kW", 1.0)),
    }
    for channel in CHANNELS:
        if channel in meter.channels:
            low, high, unit, mostly = limits[channel]
            suite.between(channel, low, high, unit, mostly)
    return suite


def _timestamps(month: Month) -> list[Finding]:
    """Whether times lie in the month, on the meter's grid, and agree with UTC."""
    index = month.recorded.index
    outside = int((index.to_period("M") != month.period).sum())
    step = 60 * month.meter.step_minutes
    off = int((index.to_numpy().astype("datetime64[s]").astype(np.int64) % step != 0).sum())
    utc = pd.DatetimeIndex(month.recorded[INTERVAL_START_UTC])
    lag = (index.tz_localize("UTC") - utc)[~utc.isna()].to_numpy().astype("timedelta64[m]").astype(int)
    worst = int(np.abs(lag).max()) if len(lag) else 0
    return [
        Finding("times lie in the month", outside == 0, f"{outside} rows outside", f"all in {month.period}"),
        Finding(
            "times are on the meter's grid",
            off <= 0.001 * len(index),
            f"{off} of {len(index)} rows off the grid",
            f"whole {month.meter.step_minutes}-min intervals for 99.9 % of the rows",
        ),
        Finding(
            "civil clock and UTC agree",
            len(lag) > 0 and worst <= 14 * 60,
            f"at most {worst} min apart, {len(lag)} rows with UTC",
            "at most 840 min apart",
        ),
    ]


def _completeness(month: Month) -> list[Finding]:
    """Whether enough of the month was observed; missing rows, missing values and masked
    defects count alike.
    """
    observed = ~np.isnan(month.power)
    whole = month.calendar_rows
    share = observed.sum() / max(len(observed), 1)
    return [
        Finding(
            "the month is observed",
            bool(share >= KNOWN_SHARE),
            f"{100 * share:.1f} % of the intervals from {month.clean.index[0]} to {month.clean.index[-1]}",
            f"at least {100 * KNOWN_SHARE:g} %",
        ),
        Finding(
            "the month is whole",
            bool(len(observed) >= 0.95 * whole),
            f"{len(observed)} of {whole} intervals lie between its first and last reading",
            "95 % (a source's first and last month may be in part)",
            "warning",
        ),
    ]
