"""One month of readings, prepared once for all rules of the audit."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from smartgrid_pipeline.core import meter_data
from smartgrid_pipeline.core.schema import ACTIVE_POWER, CURRENT, VOLTAGE, DataError, Meter


@dataclass(frozen=True)
class Month:
    """A month of readings in the forms that rules need.

    ``recorded`` rows as recorded; ``grid`` the same on the regular grid; ``defects`` the defect type of each
    grid row; ``clean`` the grid with defects masked; ``earlier`` masked readings before the month, or None.
    """

    period: pd.Period
    meter: Meter
    recorded: pd.DataFrame
    grid: pd.DataFrame
    defects: pd.Series
    clean: pd.DataFrame
    earlier: pd.DataFrame | None

    @classmethod
    def of(
        cls, recorded: pd.DataFrame, meter: Meter, month: str, earlier: pd.DataFrame | None, followed: bool
    ) -> "Month":
        """Prepare a month. Raises DataError when it has no rows, or its rows fit no regular grid."""
        period = pd.Period(month, "M")
        step = pd.Timedelta(minutes=meter.step_minutes)
        earlier = None if earlier is None or earlier.empty else earlier
        inside = recorded[recorded.index.to_period("M") == period]
        if inside.empty:
            raise DataError(f"No readings of {month}: found {len(recorded)} rows of other months.")
        first = period.start_time if earlier is not None else inside.index.min().floor(step)
        last = (period.end_time if followed else inside.index.max()).floor(step)
        parts = [inside[~inside.index.duplicated(keep="first")]]
        if earlier is not None:
            parts.append(earlier[earlier.index >= (period - 1).start_time])
        ends = pd.DatetimeIndex([first, last]).difference(parts[0].index)
        channels = [part[list(meter.channels)].set_axis(part.index.as_unit("s")) for part in parts]
        context = meter_data.to_grid(pd.concat([*channels, pd.DataFrame(index=ends.as_unit("s"))]), meter)
        defects = meter_data.defect_types(context)
        own = context.index >= first
        grid, defects = context[own], defects[own]
        return cls(period, meter, recorded, grid, defects, meter_data.mask(grid, defects), earlier)

    @property
    def power(self) -> npt.NDArray[np.float64]:
        """Active power of the month in kW, NaN where not observed."""
        return self.clean[ACTIVE_POWER].to_numpy(np.float64)

    @property
    def calendar_rows(self) -> int:
        """Intervals of the whole civil month."""
        return int(self.period.days_in_month * 1440 // self.meter.step_minutes)

    @property
    def is_fine(self) -> bool:
        """Whether the meter has voltage and current too; their readings never stand still for long."""
        return {VOLTAGE, CURRENT} <= set(self.meter.channels)

    @property
    def rows_per_hour(self) -> float:
        """Intervals in an hour."""
        return 60 / self.meter.step_minutes

    def earlier_power(self, days: int) -> npt.NDArray[np.float64]:
        """Active power (kW) of at most ``days`` before the month; empty when there are none."""
        if self.earlier is None:
            return np.array([])
        recent = self.earlier[self.earlier.index >= self.period.start_time - pd.Timedelta(days=days)]
        return recent[ACTIVE_POWER].to_numpy(np.float64)
