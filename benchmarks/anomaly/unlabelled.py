"""python -m benchmarks.anomaly.unlabelled: files of meters without a detector, which is fitted on the file.

Each file is searched twice, as recorded and with one injected fault, each time by a detector fitted on that
file, as `smartgrid anomalies --file` does. A fault counts as found where an alarm is on that the recorded
file does not have. Homes of half-hourly power take part where their file is there (benchmarks/homes).
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from rich.console import Console
from rich.table import Table

from benchmarks.anomaly.__main__ import house
from benchmarks.anomaly.metrics import wilson
from benchmarks.anomaly.protocol import ALL_TYPES, GRACE, GUARD
from benchmarks.shared.half_hourly import half_hourly_file, meter_ids
from benchmarks.shared.result_head import ROOT, compact, head
from smartgrid_pipeline.core import meter_data
from smartgrid_pipeline.core.anomaly import fit_on_file
from smartgrid_pipeline.core.anomaly.detector import AnomalyDetector, Detection
from smartgrid_pipeline.core.anomaly.injection.catalogue import BENIGN_TYPES
from smartgrid_pipeline.core.anomaly.injection.faults import Event, inject
from smartgrid_pipeline.core.anomaly.scoring import alarms
from smartgrid_pipeline.core.schema import DataError, Meter
from smartgrid_pipeline.sources import SourceSpec, read

RESULT = ROOT / "benchmarks" / "results" / "unlabelled.json"
EVALUATION_FILES = (("house", "2010-02-15", 100), ("house", "2010-07-01", 100), ("house", "2009-11-25", 365),
          ("home", 3, 365), ("home", 13, 365), ("home", 23, 100), ("home", 33, 100))  # fmt: skip
DEVELOPMENT_FILES = (("house", "2007-03-01", 100), ("house", "2008-02-01", 100), ("house", "2008-01-01", 365),
               ("home", 0, 365), ("home", 20, 365), ("home", 30, 100), ("home", 40, 100))  # fmt: skip
EVALUATION_SEED, DEVELOPMENT_SEED = 411, 5
MOST_DRAWS = 20


@dataclass(frozen=True)
class File:
    """Readings of a meter without a detector."""

    name: str
    readings: pd.DataFrame
    meter: Meter

    @property
    def months(self) -> float:
        """Length in mean months."""
        return len(self.readings) * self.meter.step_minutes / 1440 / alarms.MONTH_DAYS

    def detect(self, readings: pd.DataFrame) -> Detection:
        """What a detector fitted on these readings finds in them."""
        detector = AnomalyDetector(1.0)
        fit_on_file.fit(detector, readings, self.meter)
        return detector.detect(readings)

    def faults(self, fault_type: str, count: int, seed: int) -> Iterator[tuple[pd.DataFrame, Event]]:
        """Copies with one fault each; none of a fault type that needs channels this meter lacks."""
        step = np.timedelta64(self.meter.step_minutes, "m")
        first, last = self.readings.index[[0, -1]].to_numpy().astype("datetime64[m]")
        for number in range(count):
            rng = np.random.default_rng([seed, sorted(ALL_TYPES).index(fault_type), number])
            for _ in range(MOST_DRAWS):
                magnitude, duration = ALL_TYPES[fault_type].draw(rng)
                steps = (last - duration - GUARD - first) // step
                if steps <= 0:
                    continue
                start = first + step * int(rng.integers(0, steps))
                try:
                    copy, event = inject(
                        self.readings, fault_type, magnitude, start, max(duration, step), rng
                    )
                except DataError:
                    return
                if event.labels.any():
                    yield copy, event
                    break


def files(chosen: tuple[tuple[str, Any, int], ...]) -> Iterator[File]:
    """The pieces of the house, and the homes where their file is there."""
    readings, meter = house()
    homes = half_hourly_file()
    for source, which, days in chosen:
        if source == "house":
            begin = pd.Timestamp(which)
            end = begin + pd.Timedelta(days=days) - pd.Timedelta(minutes=1)
            yield File(f"house {which} {days} d", readings[begin:end], meter)
        elif homes is not None:
            found = read(SourceSpec(str(homes), meter_id=meter_ids(homes)[which]))
            grid = meter_data.to_grid(found.frame, found.meter)
            rows = days * 1440 // found.meter.step_minutes
            yield File(f"home {found.meter.meter_id} {days} d", grid.iloc[:rows], found.meter)


def _alarms(detection: Detection) -> dict[str, npt.NDArray[np.bool_]]:
    scores = detection.scores
    others = scores["physics_alarm"] | scores["ensemble_alarm"]
    return {"rules": scores["rules_alarm"].to_numpy(bool), "others": others.to_numpy(bool)}


def found(file: File, clean: Detection, copy: pd.DataFrame, event: Event) -> bool:
    """Whether the copy alarms in the fault, or soon after, where its clean twin does not."""
    detection = file.detect(copy)
    starts = detection.scores.index.to_numpy()
    ends = starts + np.timedelta64(file.meter.working_minutes, "m")
    counted = (ends > event.start) & (starts < event.end + GRACE)
    twins = _alarms(clean)
    return any((on & ~twins[name] & counted).any() for name, on in _alarms(detection).items())


def figures(file: File, count: int, seed: int) -> dict[str, Any]:
    """Alarms a month of the file as recorded, and how many injected faults it gives away."""
    clean = file.detect(file.readings)
    layers = clean.events["layer"]
    fault_types: dict[str, dict[str, Any]] = {}
    for fault_type in ALL_TYPES:
        outcomes = [found(file, clean, copy, event) for copy, event in file.faults(fault_type, count, seed)]
        if outcomes:
            low, high = wilson(sum(outcomes), len(outcomes))
            fault_types[fault_type] = {"found": sum(outcomes), "n": len(outcomes), "wilson": [low, high]}
    faults = [
        row["found"] / row["n"] for fault_type, row in fault_types.items() if fault_type not in BENIGN_TYPES
    ]
    return {
        "voice_events_per_month": float((layers != "rules").sum() / file.months),
        "rule_events_per_month": float((layers == "rules").sum() / file.months),
        "alarmed_share": float(clean.scores["alarm"].mean()),
        "macro_twin_recall": float(np.mean(faults)),
        "fault_kinds": len(faults),
        "kinds": fault_types,
    }


def main() -> None:
    """Score every file and write the result."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.anomaly.unlabelled", description=__doc__)
    parser.add_argument("--events", type=int, default=2, help="injected faults per fault type and file")
    parser.add_argument("--development", action="store_true", help="other files and fault seeds")
    parser.add_argument("--result", type=Path, default=RESULT)
    options = parser.parse_args()
    began, rows = time.monotonic(), {}
    seed = DEVELOPMENT_SEED if options.development else EVALUATION_SEED
    table = Table(
        "file", "detector events a month", "rule events a month", "macro twin recall", "fault types"
    )
    for file in files(DEVELOPMENT_FILES if options.development else EVALUATION_FILES):
        row = rows[file.name] = figures(file, options.events, seed)
        print(file.name, {key: value for key, value in row.items() if key != "kinds"}, flush=True)
        table.add_row(file.name, *(f"{row[key]:.2f}" for key in list(row)[:2]),
                      f"{row['macro_twin_recall']:.3f}", str(row["fault_kinds"]))  # fmt: skip
    command = f"python -m benchmarks.anomaly.unlabelled --events {options.events}"
    options.result.write_text(compact(head(command, [seed], began, []) | {"files": rows}))
    Console().print(table)
    print(options.result)


if __name__ == "__main__":
    main()
