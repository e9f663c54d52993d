"""Which leads are short, and which of them share a model, a blend weight, residuals or a recalibration.

The one table of groupings; a lead belongs to one group of each column:

=============  ===============================  ==================================================
grouped for    leads that end within the hour   later leads
=============  ===============================  ==================================================
models         next 5 min, next hour, all else  width
blending       each lead by itself              width
residuals      width and hour ahead; each 5-min lead by itself
recalibration  each lead by itself              width and clock hour; width alone beyond one hour
=============  ===============================  ==================================================
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from smartgrid_pipeline.core.schema import ALL_LEADS, LeadInterval, Meter, ModelError, Times, leads_for

Groups = npt.NDArray[np.int64]

SHORT_HORIZON_MINUTES = 60


def is_short(lead: LeadInterval) -> bool:
    """Whether a lead ends within the next hour."""
    return lead.end_minutes <= SHORT_HORIZON_MINUTES


# --- groups that share a model --------------------------------------------------------------------


@dataclass(frozen=True)
class LeadGroup:
    """Leads that share one model; that of a ``seasonal`` group also gets features of the time of year."""

    name: str
    leads: tuple[LeadInterval, ...]
    seasonal: bool = True

    @property
    def is_short(self) -> bool:
        """Whether every lead ends within the next hour."""
        return is_short(self.leads[-1])

    def residual_groups(self, origins: Times, lead_at: Groups) -> Groups:
        """Group of each (origin, lead) pair for residual quantiles of this group's model, (pairs,).

        The lead (short horizon), the hour of day at which the lead interval starts (long horizon), or one
        group for all (a day or a week). ``lead_at`` (pairs,) are indices into ``leads``.
        """
        if self.is_short:
            return lead_at
        if self.leads[0].width_minutes > 60:
            return np.zeros(len(lead_at), np.int64)
        minutes = (origins - origins.astype("datetime64[D]")).astype(np.int64)
        starts = np.array([lead.start_minutes for lead in self.leads])
        return (minutes + starts[lead_at]) // 60 % 24


LEAD_GROUP_NAMES = (
    "next_5min", "within_hour", "next_hour", "day_15min", "day_1h", "next_day", "next_week"
)  # fmt: skip
SHORT_LEAD_GROUPS = LEAD_GROUP_NAMES[:3]


def _model_group(lead: LeadInterval) -> str:
    if is_short(lead) and lead.width_minutes < 60:
        return "next_5min" if lead.end_minutes == 5 else "within_hour"
    if is_short(lead):
        return "next_hour"
    return {15: "day_15min", 60: "day_1h", 1440: "next_day", 10080: "next_week"}[lead.width_minutes]


def lead_groups(meter: Meter, seasonal: bool = True) -> tuple[LeadGroup, ...]:
    """Groups of leads that share a model, in the order of LEAD_GROUP_NAMES.

    A group is left out when the meter resolves none of its leads.
    """
    leads = leads_for(meter.working_minutes)
    members = {name: tuple(lead for lead in leads if _model_group(lead) == name) for name in LEAD_GROUP_NAMES}
    return tuple(LeadGroup(name, some, seasonal) for name, some in members.items() if some)


# --- groups that share a correction ---------------------------------------------------------------

Key = tuple[int, ...]


@dataclass(frozen=True)
class Grouping:
    """Numbers 0 … count − 1 for leads at clock hours: pairs of one key share a number."""

    count: int
    numbers: dict[LeadInterval, tuple[int, ...]]

    @classmethod
    def by(cls, key: Callable[[LeadInterval, int], Key]) -> Self:
        """Number the keys of all leads of the schema at all 24 clock hours, in ascending order."""
        keys = {lead: [key(lead, hour) for hour in range(24)] for lead in ALL_LEADS}
        ordered = {k: number for number, k in enumerate(sorted({k for row in keys.values() for k in row}))}
        return cls(len(ordered), {lead: tuple(ordered[k] for k in row) for lead, row in keys.items()})

    def of_leads(self, leads: tuple[LeadInterval, ...]) -> Groups:
        """Group of each lead, (leads,), where the clock hour does not matter.

        Raises ModelError for a lead outside ``schema.ALL_LEADS``.
        """
        return self._table(leads)[:, 0]

    def of_pairs(self, origins: Times, leads: tuple[LeadInterval, ...]) -> Groups:
        """Group of each pair, (origins, leads), by the clock hour at which the lead interval starts.

        Raises ModelError for a lead outside ``schema.ALL_LEADS``.
        """
        starts = np.array([lead.start_minutes for lead in leads], "timedelta64[m]")
        interval_starts = origins[:, None].astype("datetime64[m]") + starts
        hours = (interval_starts - interval_starts.astype("datetime64[D]")).astype(np.int64) // 60
        return self._table(leads)[np.arange(len(leads)), hours]

    def _table(self, leads: tuple[LeadInterval, ...]) -> Groups:
        unknown = [lead for lead in leads if lead not in self.numbers]
        if unknown:
            raise ModelError(f"Lead {unknown[0]} belongs to no group: it is not among schema.ALL_LEADS.")
        return np.array([self.numbers[lead] for lead in leads], np.int64).reshape(len(leads), 24)


def _blend_key(lead: LeadInterval, hour: int) -> Key:
    return lead.width_minutes, lead.start_minutes if is_short(lead) else -1


def _residual_key(lead: LeadInterval, hour: int) -> Key:
    return lead.width_minutes, lead.start_minutes // (5 if lead.width_minutes == 5 else 60)


def _recalibration_key(lead: LeadInterval, hour: int) -> Key:
    if is_short(lead):
        return lead.width_minutes, lead.start_minutes
    return (lead.width_minutes, 60, hour) if lead.width_minutes <= 60 else (lead.width_minutes,)


BLENDING = Grouping.by(_blend_key)
RESIDUALS = Grouping.by(_residual_key)
RECALIBRATION = Grouping.by(_recalibration_key)
