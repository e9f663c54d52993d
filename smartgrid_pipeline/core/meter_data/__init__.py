"""Recorded readings → working intervals: put on a regular grid, hidden defects masked, then averaged.

Readings are frames indexed by INTERVAL_START (civil clock, regular) with INTERVAL_START_UTC and channels in
kW, kvar, V and A. Nothing is filled here: what was not observed is NaN.
"""

from smartgrid_pipeline.core.meter_data.defects import (
    DEFECT_TYPES,
    FREEZE_HOURS,
    defect_types,
    standstill_limit,
    standstills,
)
from smartgrid_pipeline.core.meter_data.grid import civil_to_utc, step_minutes, to_grid
from smartgrid_pipeline.core.meter_data.resampling import WITHIN_CHANNELS, mask, resample, within_columns
from smartgrid_pipeline.core.meter_data.tables import DEFECT_COLUMNS, defect_table, merge_defects

__all__ = [
    "DEFECT_COLUMNS",
    "DEFECT_TYPES",
    "FREEZE_HOURS",
    "WITHIN_CHANNELS",
    "civil_to_utc",
    "defect_table",
    "defect_types",
    "mask",
    "merge_defects",
    "resample",
    "standstill_limit",
    "standstills",
    "step_minutes",
    "to_grid",
    "within_columns",
]
