"""Meters → recorded readings: the UCI house, CSV and Parquet files, SQL databases."""

from smartgrid_pipeline.sources.readings import last_month, list_meters, read
from smartgrid_pipeline.sources.types import DataIdentity, Readings, SourceSpec

__all__ = ["DataIdentity", "Readings", "SourceSpec", "last_month", "list_meters", "read"]
