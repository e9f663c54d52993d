"""The numbers of a month's comparison as one JSON file: what `smartgrid report` prints."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from smartgrid_pipeline.core.schema import DataError
from smartgrid_pipeline.orchestration.files import write_atomically
from smartgrid_pipeline.orchestration.resources import Resources


def write_summary(resources: Resources, month: str, summary: Mapping[str, Any]) -> Path:
    """Store a month's numbers; returns the path of the file."""
    path = summary_path(resources, month)
    write_atomically(path, json.dumps(summary, indent=1, default=str).encode())
    return path


def read_summary(resources: Resources, month: str) -> dict[str, Any]:
    """The stored numbers of a month. Raises DataError when the month has no comparison yet."""
    path = summary_path(resources, month)
    if not path.exists():
        raise DataError(f"{month} has no comparison yet: materialise comparison_report for it first.")
    return dict(json.loads(path.read_text()))


def is_published(resources: Resources, month: str) -> bool:
    """Whether the month's numbers are stored and the tracking run of its report still exists."""
    if not summary_path(resources, month).exists():
        return False
    reports = resources.registry.runs(month=month, run_type="report")
    return read_summary(resources, month)["report_run_id"] in {run.run_id for run in reports}


def summary_path(resources: Resources, month: str) -> Path:
    """The file of a month's numbers."""
    return resources.settings.data_dir / "reports" / month / "summary.json"
