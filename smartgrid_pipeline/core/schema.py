"""Shared vocabulary: columns with units, meters, lead intervals, forecast tasks, verdicts, errors."""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

# --- arrays ---------------------------------------------------------------------------------------

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Times = npt.NDArray[np.datetime64]
Rows = npt.NDArray[np.int64]
"""Arrays by what they hold: stored numbers, sums, civil-clock times and row numbers."""

# --- readings -------------------------------------------------------------------------------------

INTERVAL_START = "interval_start"
"""Index of every readings frame: start of the interval on the meter's civil clock, naive and regular."""

INTERVAL_START_UTC = "interval_start_utc"
"""The same instant in UTC; NaT where the civil clock shows an hour that does not exist (spring change)."""

ACTIVE_POWER = "active_power_kw"
REACTIVE_POWER = "reactive_power_kvar"
VOLTAGE = "voltage_v"
CURRENT = "current_a"
SUB_METERS = ("sub_meter_1_kw", "sub_meter_2_kw", "sub_meter_3_kw")
CHANNELS = (ACTIVE_POWER, REACTIVE_POWER, VOLTAGE, CURRENT, *SUB_METERS)
"""All channels a meter may have, each the mean over its interval; only ACTIVE_POWER is required."""

OBSERVED_SHARE = "observed_share"
"""Share (0…1) of an interval's minutes that were really observed."""

QUANTILES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
QUANTILE_COLUMNS = tuple(f"q{round(100 * q):02d}_kw" for q in QUANTILES)

FORECAST_COLUMNS = (
    "card",
    "origin",
    "interval_start",
    "interval_end",
    "observed_kw",
    "mean_kw",
    *QUANTILE_COLUMNS,
)
"""A table of scored forecasts: one row per task (column ``card``), origin and lead
interval; civil clock, kW.
"""

MODEL_NAMES = (
    "ridge",
    "random_forest",
    "extra_trees",
    "gru",
    "cnn_lstm",
    "transformer",
    "attention",
    "mixture_of_experts",
)
EXPERT_NAMES = MODEL_NAMES[3:7]
REFERENCE_NAMES = ("persistence", "seasonal_day", "seasonal_week", "analogue_7d", "analogue_28d", "lightgbm")


@dataclass(frozen=True)
class Meter:
    """A meter: its id, clock, resolution and channels, and the holidays of its place."""

    meter_id: str
    timezone: str = "UTC"
    step_minutes: int = 1
    channels: tuple[str, ...] = (ACTIVE_POWER,)
    holiday_country: str | None = None
    school_zone: str | None = None

    @property
    def working_minutes(self) -> int:
        """Length of the working interval: the shortest whole part of an hour, at least 5 min, that holds
        whole steps of the meter (1 → 5, 2 → 6, 4 → 12, 30 → 30).
        """
        return next(m for m in range(5, 61) if 60 % m == 0 and m % self.step_minutes == 0)

    @property
    def absent_channels(self) -> tuple[str, ...]:
        """Optional channels this meter does not have, in the order of CHANNELS."""
        return tuple(channel for channel in CHANNELS if channel not in self.channels)


# --- what is forecast -----------------------------------------------------------------------------


@dataclass(frozen=True, order=True)
class LeadInterval:
    """The interval (t + start, t + end] after a forecast origin t, in minutes."""

    start_minutes: int
    end_minutes: int

    @property
    def width_minutes(self) -> int:
        """Length of the interval in minutes."""
        return self.end_minutes - self.start_minutes


ALL_LEADS = (
    *(LeadInterval(5 * i, 5 * i + 5) for i in range(12)),
    *(LeadInterval(15 * i, 15 * i + 15) for i in range(96)),
    *(LeadInterval(60 * i, 60 * i + 60) for i in range(24)),
    LeadInterval(0, 1440),
    LeadInterval(0, 7 * 1440),
)
"""12 × 5 min, 96 × 15 min, 24 × 1 h (the first is the next hour), the next day, the next week."""


def leads_for(working_minutes: int) -> tuple[LeadInterval, ...]:
    """The lead intervals of a meter: those of ALL_LEADS made of whole working intervals."""
    return tuple(
        lead
        for lead in ALL_LEADS
        if lead.width_minutes % working_minutes == 0 and lead.start_minutes % working_minutes == 0
    )


@dataclass(frozen=True)
class ForecastTask:
    """A forecast task: the lead intervals scored, from origins every ``origin_minutes`` from midnight on.

    Tables and files hold the name of a task under the key ``card``.
    """

    name: str
    title: str
    leads: tuple[LeadInterval, ...]
    origin_minutes: int


FORECAST_TASKS = (
    ForecastTask("T1", "next 5 minutes", (LeadInterval(0, 5),), 5),
    ForecastTask("T1_path", "next hour in 5-minute steps, hourly origins", ALL_LEADS[:12], 60),
    ForecastTask("T2", "next hour, hourly origins", (LeadInterval(0, 60),), 60),
    ForecastTask("T3", "day ahead, 96 × 15 min, origins at midnight", ALL_LEADS[12:108], 1440),
    ForecastTask("T4", "day ahead, 24 × 1 h, origins at midnight", ALL_LEADS[108:132], 1440),
    ForecastTask("T5", "next day's energy (mean power), origins at midnight", (LeadInterval(0, 1440),), 1440),
    ForecastTask(
        "T5_week", "next week's energy (mean power), origins at midnight", (LeadInterval(0, 7 * 1440),), 1440
    ),
)


def tasks_for(working_minutes: int) -> tuple[ForecastTask, ...]:
    """The forecast tasks whose lead intervals a meter can resolve."""
    possible = set(leads_for(working_minutes))
    return tuple(task for task in FORECAST_TASKS if possible.issuperset(task.leads))


# --- verdicts -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Finding:
    """The result of one rule: what was demanded, what was found, whether it passed."""

    rule: str
    passed: bool
    found: str
    demanded: str
    severity: str = "critical"  # "critical" blocks, "warning" informs


@dataclass(frozen=True)
class Verdict:
    """The result of one audit: its suite, its subject (a month, a model) and all findings.

    A verdict without findings never passes: nothing checked is not the same as nothing wrong.
    """

    suite: str
    subject: str
    findings: tuple[Finding, ...] = field(default_factory=tuple)

    @property
    def passed(self) -> bool:
        """Whether anything was checked and every critical finding passed."""
        critical = [finding for finding in self.findings if finding.severity == "critical"]
        return bool(critical) and all(finding.passed for finding in critical)

    @property
    def failures(self) -> tuple[Finding, ...]:
        """The findings that did not pass, warnings included."""
        return tuple(finding for finding in self.findings if not finding.passed)

    def summary(self) -> str:
        """The verdict as text: one line per failure, or one line with the number of rules passed."""
        head = f"{self.suite} of {self.subject}"
        if not self.findings:
            return f"{head}: FAILED, nothing was checked"
        if not self.failures:
            return f"{head}: passed, {len(self.findings)} rules"
        lines = [
            f"  {'✗' if finding.severity == 'critical' else '!'} {finding.rule}: found {finding.found}, "
            f"demanded {finding.demanded}"
            for finding in self.failures
        ]
        return "\n".join([f"{head}: {'passed with warnings' if self.passed else 'FAILED'}", *lines])

    def to_dict(self) -> dict[str, Any]:
        """Plain data, with ``passed`` beside the findings; the inverse of from_dict."""
        return {"suite": self.suite, "subject": self.subject, "passed": self.passed,
                "findings": [asdict(finding) for finding in self.findings]}  # fmt: skip

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Verdict":
        """Rebuild a verdict; ``passed`` is computed again from the findings, never read."""
        return cls(data["suite"], data["subject"], tuple(Finding(**row) for row in data["findings"]))


# --- errors ---------------------------------------------------------------------------------------


class SmartgridError(Exception):
    """Base of all errors of this package. A message states what was wrong, what was found, what to do."""


class SourceError(SmartgridError):
    """Readings could not be understood: no file, no time column, mixed steps, unknown unit, …"""


class DataError(SmartgridError):
    """Readings were understood but cannot be used: too short, all missing, not regular, …"""


class ModelError(SmartgridError):
    """A model could not be fitted, saved, loaded, or used for a forecast."""


class RegistryError(SmartgridError):
    """Tracking or registry failed: database locked, disk full, run or model not found, …"""


class PromotionRefused(SmartgridError):
    """The evidence for a promotion is missing or does not suffice; the champion stays as it was."""
