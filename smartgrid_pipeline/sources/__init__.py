"""Recorded readings of one meter from the UCI house, CSV and Parquet files, or SQL databases."""

from smartgrid_pipeline.sources.readings import last_month, list_meters, read
from smartgrid_pipeline.sources.types import DataFingerprint, Readings, SourceSpec

__all__ = ["DataFingerprint", "Readings", "SourceSpec", "last_month", "list_meters", "read"]
