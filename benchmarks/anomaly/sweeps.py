"""How small a fault may be: recall by size and by time since its start, on faults of two weeks."""

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.anomaly.metrics import wilson
from benchmarks.anomaly.protocol import Outcome, TestYear
from smartgrid_pipeline.core.anomaly.physics import voltage_clock

SIZES = {
    "bypass": (0.5, 0.7, 0.8, 0.9, 0.95),
    "clock_shift": (15.0, 30.0, 60.0, -60.0, 120.0),
    "gain_step": (0.01, 0.02, 0.05, -0.05),
}
HORIZONS_HOURS = (12, 48, 72, 168)
DURATION = np.timedelta64(8, "D").astype("timedelta64[m]")


def run(year: TestYear, count: int, seed: int, cache: Path) -> dict[str, list[dict[str, Any]]]:
    """Recall within each horizon for every size; for clocks also the share of sizes right after 72 h."""
    found: dict[str, list[dict[str, Any]]] = {}
    for fault_type, sizes in SIZES.items():
        found[fault_type] = []
        for size in sizes:
            rows = _outcomes(year, fault_type, size, count, seed, cache)
            row: dict[str, Any] = {"size": size, "n": len(rows)}
            for hours in HORIZONS_HOURS:
                hit = sum(o.delay is not None and o.delay <= hours for o in rows)
                low, high = wilson(hit, len(rows))
                row[f"recall_{hours}h"] = hit / len(rows)
                row[f"recall_{hours}h_low"], row[f"recall_{hours}h_high"] = low, high
            if fault_type == "clock_shift":
                row["size_within_10_min"] = float(np.mean([_is_shift_right(year, o) for o in rows]))
            found[fault_type].append(row)
    return found


def _outcomes(
    year: TestYear, fault_type: str, size: float, count: int, seed: int, cache: Path
) -> list[Outcome]:
    path = cache / year.origin.name / f"sweep-{fault_type}-{size}-{seed}.jsonl"
    done = [Outcome.from_json(line) for line in path.read_text().splitlines()] if path.exists() else []
    with path.open("a") as file:
        for number in range(len(done), count):
            _, start, _ = year.draw(fault_type, 1000 + number, seed)
            start = min(start, year.intervals[-1] - DURATION - np.timedelta64(2, "D"))
            outcome = year.outcome(fault_type, number, (size, start, DURATION), None)
            done.append(outcome)
            file.write(outcome.to_json() + "\n")
    return done[:count]


def _is_shift_right(year: TestYear, outcome: Outcome) -> bool:
    """The shift that fits best after 72 h is within 10 min of the true one."""
    start = np.datetime64(outcome.start)
    prepared, _ = year.copy(
        "clock_shift", outcome.magnitude, start, np.timedelta64(72 * 60, "m"), outcome.number
    )
    known = prepared.hourly
    row = (
        int(
            (start + np.timedelta64(72, "h") - known.first_hour.astype("datetime64[m]"))
            / np.timedelta64(60, "m")
        )
        - 1
    )
    from dataclasses import replace

    shifts, scores = voltage_clock.shift_scores(replace(known, from_row=row), 3)
    return abs(float(shifts[int(np.argmax(scores[row]))]) - outcome.magnitude) <= 10
