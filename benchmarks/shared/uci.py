"""The UCI house as a history: restored gaps, five-minute grid, features; made once and kept as arrays."""

from pathlib import Path

from benchmarks.shared import fingerprint
from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.forecasting import history_frames


def uci_history(cache: Path) -> History:
    """The whole record of the UCI house; read from the cache when code and data have not changed since."""
    path = cache / f"house-{code_fingerprint()}.npz"
    if not path.exists():
        history_frames.save(_make(), path)
    return history_frames.load(path)


def code_fingerprint() -> str:
    """Hash of the code that turns the published file into a history."""
    return fingerprint.of_modules(
        "smartgrid_pipeline.sources",
        "smartgrid_pipeline.core.meter_data",
        "smartgrid_pipeline.core.features.feature_table",
    )


def _make() -> History:
    from smartgrid_pipeline.core import meter_data
    from smartgrid_pipeline.sources import SourceSpec, read

    found = read(SourceSpec("uci"))
    return history_frames.history_from_readings(meter_data.to_grid(found.frame, found.meter), found.meter)
