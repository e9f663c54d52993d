"""Meters → recorded readings: the UCI house, CSV and Parquet files, SQL databases.

Only ``SourceSpec`` is imported with the package. The readers load pandas, pyarrow and SQLAlchemy, so they are
imported at their first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from smartgrid_pipeline.sources.spec import SourceSpec

if TYPE_CHECKING:
    from smartgrid_pipeline.sources.readings import list_meters, read
    from smartgrid_pipeline.sources.types import DataFingerprint, Readings

__all__ = ["DataFingerprint", "Readings", "SourceSpec", "list_meters", "read"]

_MODULES = {"DataFingerprint": "types", "Readings": "types", "list_meters": "readings", "read": "readings"}


def __getattr__(name: str) -> Any:
    """Import an exported name at its first use (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
