"""From raw readings to honest intervals: hidden defects found in the readings, masked, then resampled.

Readings are frames indexed by INTERVAL_START (civil clock, regular) with INTERVAL_START_UTC and channels in
kW, kvar, V and A. Nothing here is ever filled: what was not observed is NaN.
"""

from smartgrid_pipeline.core.meter_data.defects import (
    CHANCE_SHARE,
    DAY,
    DEFECT_KINDS,
    FINE_MINUTES,
    FREEZE_HOURS,
    FREEZE_MINUTES,
    Flags,
    defect_kinds,
    standstill_limit,
    standstills,
)
from smartgrid_pipeline.core.meter_data.grid import civil_to_utc, step_minutes, to_grid
from smartgrid_pipeline.core.meter_data.resampling import WITHIN_CHANNELS, mask, resample, within_columns
from smartgrid_pipeline.core.meter_data.tables import DEFECT_COLUMNS, defect_table, merge_defects

__all__ = [
    "CHANCE_SHARE",
    "DAY",
    "DEFECT_COLUMNS",
    "DEFECT_KINDS",
    "FINE_MINUTES",
    "FREEZE_HOURS",
    "FREEZE_MINUTES",
    "WITHIN_CHANNELS",
    "Flags",
    "civil_to_utc",
    "defect_kinds",
    "defect_table",
    "mask",
    "merge_defects",
    "resample",
    "standstill_limit",
    "standstills",
    "step_minutes",
    "to_grid",
    "within_columns",
]
