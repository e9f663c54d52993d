"""What a detector hands back."""

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Detection:
    """What was found. ``scores``: one row per working interval; ``events``: EVENT_COLUMNS, one row each."""

    scores: pd.DataFrame
    events: pd.DataFrame
    monitors_off: tuple[str, ...]

    @property
    def alarms_per_month(self) -> pd.Series:
        """Number of events that start in each civil month of the scored period."""
        months = self.scores.index.to_period("M").unique()
        return self.events["start"].dt.to_period("M").value_counts().reindex(months, fill_value=0)
