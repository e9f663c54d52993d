"""What a detector returns: scores per interval and a table of events."""

from dataclasses import dataclass

import pandas as pd

EVENT_COLUMNS = (
    "start",
    "end",
    "raised",
    "kind",
    "kinds",
    "alarm_class",
    "layer",
    "channels",
    "severity",
    "rarity",
    "energy_kwh",
    "money",
    "fault_class",
    "explanation",
)
"""Columns of the events table. ``start`` and ``end`` (exclusive) bound the faulty readings, ``raised`` is
when the alarm could first be known. ``kind`` is the rule or detector that names the event, ``kinds`` all of
them, comma-separated. ``rarity`` is the highest anomaly score, ``energy_kwh`` the energy in doubt.
"""

ALARM_CLASS = {
    "copied": "data_quality",
    "missing": "data_quality",
    "frozen": "data_quality",
    "sign": "meter",
    "unit": "meter",
    "inconsistent": "meter",
    "bypass": "meter",
    "clock": "meter",
    "phase": "meter",
    "sub_meter": "meter",
    "voltage": "grid",
    "load": "behaviour",
}
"""Fault class → who should act: the data office, the meter workshop, the customer's adviser or the grid."""


@dataclass(frozen=True)
class Detection:
    """Result of a detection.

    ``scores`` has one row per working interval: ``<detector>_anomaly_score``, the members' votes, the alarms
    of each layer, the fused ``score`` and ``alarm``. ``events`` has one row per event, with EVENT_COLUMNS.
    ``inactive_monitors`` names the rules and monitors that this meter's channels do not allow.
    """

    scores: pd.DataFrame
    events: pd.DataFrame
    inactive_monitors: tuple[str, ...]

    @property
    def alarms_per_month(self) -> pd.Series:
        """Number of events that start in each civil month of the scored period."""
        months = self.scores.index.to_period("M").unique()
        return self.events["start"].dt.to_period("M").value_counts().reindex(months, fill_value=0)
