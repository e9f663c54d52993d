"""python -m benchmarks.readings: every minute of the UCI house from its file to published features.

The job is the one that ``smartgrid run`` starts for the history, over all 48 months in one run, in a home of
its own. The audits by Great Expectations are timed once more alone. Exit code 1 when a limit is broken.
"""

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.shared.result_head import ROOT, compact, head
from smartgrid_pipeline.definitions import create_definitions
from smartgrid_pipeline.orchestration.months import load_months, months_of
from smartgrid_pipeline.orchestration.resources import Resources
from smartgrid_pipeline.orchestration.runtime import launch
from smartgrid_pipeline.orchestration.runtime.instance import open_instance
from smartgrid_pipeline.settings import Settings

LIMIT_SECONDS, LIMIT_MB = 60.0, 2048.0
RESULT = ROOT / "benchmarks" / "results" / "readings.json"


def take_in(resources: Resources) -> dict[str, float]:
    """Seconds of each step of the job over all months of the source."""
    begun: dict[str, float] = {}
    seconds: dict[str, float] = {}

    def notice(step: str, what: str) -> None:
        if what == "start":
            begun[step] = time.monotonic()
        else:
            seconds[step] = time.monotonic() - begun[step]

    with open_instance(resources.settings.dagster_home) as instance:
        months = launch.source_months(resources)
        launch.run_job(create_definitions(resources.settings), instance, "take_in", months, notice)
    return seconds


def great_expectations_seconds(resources: Resources) -> float:
    """What the expectations about all recorded minutes take, month by month as in the audit."""
    from smartgrid_pipeline import quality

    readings = resources.readings
    month = months_of(readings.frame)
    rows = {str(each): readings.frame[month == each] for each in np.unique(month)}
    began = time.monotonic()
    quality.check_structure(rows, readings.meter)
    return time.monotonic() - began


def measure(home: Path) -> dict[str, Any]:
    """The content of the result file."""
    began = time.monotonic()
    resources = Resources(Settings(home=home))
    steps = take_in(resources)
    result = head("make bench-readings", [], began, [])
    months = launch.source_months(resources)
    table = load_months(resources.settings.data_dir, "feature_table", months)
    assert table is not None
    return result | {
        "minutes": resources.readings.fingerprint.rows,
        "feature_rows": len(table),
        "months_passed": len(months) - len(resources.verdicts.failed_data(months)),
        "step_seconds": steps,
        "great_expectations_seconds": great_expectations_seconds(resources),
        "limit_seconds": LIMIT_SECONDS,
        "limit_memory_mb": LIMIT_MB,
    }


def main() -> int:
    """Measure, print, keep the result file; 1 when a limit is broken."""
    with tempfile.TemporaryDirectory(prefix="smartgrid-bench-") as home:
        result = measure(Path(home))
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(compact(result))
    steps = ", ".join(f"{step} {seconds:.1f} s" for step, seconds in result["step_seconds"].items())
    print(f"{result['minutes']:,} minutes to {result['feature_rows']:,} feature rows: {steps}")
    print(f"Great Expectations on all of them: {result['great_expectations_seconds']:.1f} s")
    print(
        f"in all {result['wall_seconds']:.1f} s, {result['cpu_seconds']:.1f} s of them on the CPU "
        f"(limit {LIMIT_SECONDS:g} s); at most {result['peak_memory_mb']:.0f} MB (limit {LIMIT_MB:g} MB)"
    )
    return int(result["wall_seconds"] > LIMIT_SECONDS or result["peak_memory_mb"] > LIMIT_MB)


if __name__ == "__main__":
    sys.exit(main())
