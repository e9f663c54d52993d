"""python -m benchmarks.anomaly: injected faults at two rolling origins; resumable, writes JSON and HTML."""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from benchmarks.anomaly import summary, sweeps
from benchmarks.anomaly.baselines import Baselines
from benchmarks.anomaly.page import write_page
from benchmarks.anomaly.protocol import ALL_TYPES, ORIGINS, NothingChanged, Origin, Outcome, TestYear
from benchmarks.anomaly.targets import against_targets
from benchmarks.shared.result_head import ROOT, compact, head
from smartgrid_pipeline.core import meter_data
from smartgrid_pipeline.core.anomaly.detector import AnomalyDetector
from smartgrid_pipeline.core.anomaly.ensemble.members import MEMBERS
from smartgrid_pipeline.core.anomaly.scoring import alarms
from smartgrid_pipeline.core.schema import Meter

Side = dict[str, Any]

RESULT = ROOT / "benchmarks" / "results" / "anomaly.json"
EVALUATION_SEED, DEVELOPMENT_SEED = 20104, 77
PROMISED_RATES = (0.5, 1.0, 4.0)


def arguments() -> argparse.Namespace:
    """What to run: origins, events per fault type, and where half-done work is kept."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.anomaly", description=__doc__)
    parser.add_argument("--origins", nargs="+", default=list(ORIGINS), choices=list(ORIGINS))
    parser.add_argument("--events", type=int, default=60, help="injected faults per type")
    parser.add_argument("--sweep-events", type=int, default=20, help="injected faults per size in the sweeps")
    parser.add_argument("--cache", type=Path, default=ROOT / "data" / "benchmarks" / "anomaly")
    parser.add_argument("--development", action="store_true", help="other fault seeds; 2009 only")
    parser.add_argument("--result", type=Path, default=RESULT)
    return parser.parse_args()


def house() -> tuple[pd.DataFrame, Meter]:
    """The recorded minutes of the UCI house on their grid, and its meter."""
    from smartgrid_pipeline.sources import SourceSpec, read

    found = read(SourceSpec("uci"))
    return meter_data.to_grid(found.frame, found.meter), found.meter


def fitted(origin: Origin, readings: pd.DataFrame, meter: Meter, cache: Path) -> tuple[AnomalyDetector, Side]:
    """The detector of an origin and its thresholds at every promised rate, fitted once and kept."""
    directory = cache / origin.name / "detector"
    side = directory / "budgets.json"
    if not side.exists():
        directory.mkdir(parents=True, exist_ok=True)
        began = time.process_time()
        fresh = AnomalyDetector(1.0)
        until = pd.Timestamp(origin.test_from) - pd.Timedelta(minutes=1)
        fresh.fit(readings[origin.fit_from : str(until)], meter, np.datetime64(origin.calibrate_from))
        seconds = time.process_time() - began
        fresh.save(directory)
        single_thresholds = {name: fresh.single_threshold(name, 1.0) for name in (*MEMBERS, "ensemble")}
        thresholds = {}
        for rate in PROMISED_RATES:
            fresh.set_thresholds(rate)
            thresholds[str(rate)] = {k: v for k, v in fresh.thresholds.items() if k not in MEMBERS}
        side.write_text(
            json.dumps({"budgets": thresholds, "alone": single_thresholds, "fit_cpu_seconds": seconds})
        )
    return AnomalyDetector.load(directory), json.loads(side.read_text())


def outcomes(
    year: TestYear, fault_type: str, count: int, seed: int, baselines: Baselines, cache: Path
) -> list[Outcome]:
    """``count`` injected faults of a type; done ones are read from the cache, new ones appended to it."""
    path = cache / year.origin.name / f"{fault_type}-{seed}.jsonl"
    done = [Outcome.from_json(line) for line in path.read_text().splitlines()] if path.exists() else []
    with path.open("a") as file:
        number = done[-1].number + 1 if done else 0
        while len(done) < count and number < 3 * count:
            try:
                done.append(year.outcome(fault_type, number, year.draw(fault_type, number, seed), baselines))
                file.write(done[-1].to_json() + "\n")
                file.flush()
            except NothingChanged:
                pass  # a fault that changes no reading is not an event; the next number is tried
            number += 1
    return done[:count]


def baselines_of(year: TestYear, single_thresholds: dict[str, float]) -> Baselines:
    """The systems without rules, fitted on the same years, with their scores in the clean test year."""
    recorded = year.prepared.recorded
    clean_rows = ~alarms.dilate(year.prepared.masked, recorded.per_hours(6))
    clean_rows &= recorded.intervals < np.datetime64(year.origin.test_from)
    baselines = Baselines.fit(
        year.detector, year.prepared, clean_rows, np.datetime64(year.origin.calibrate_from), single_thresholds
    )
    baselines.clean = baselines.score(year.detector, year.prepared, None, year.first)
    baselines.false_alarms = {name: year.rate(flags) for name, flags in baselines.clean.flags.items()}
    return baselines


def run_origin(origin: Origin, readings: pd.DataFrame, meter: Meter, options: argparse.Namespace) -> Side:
    """All figures of one origin."""
    detector, side = fitted(origin, readings, meter, options.cache)
    began = time.process_time()
    year = TestYear.score_clean(origin, detector, readings)
    listen_seconds = time.process_time() - began
    baselines = baselines_of(year, side["alone"])
    seed = DEVELOPMENT_SEED if options.development else EVALUATION_SEED
    rows = {}
    for fault_type in ALL_TYPES:
        rows[fault_type] = outcomes(year, fault_type, options.events, seed, baselines, options.cache)
        print(
            origin.name,
            fault_type,
            sum(o.delay is not None for o in rows[fault_type]),
            "of",
            len(rows[fault_type]),
            flush=True,
        )
    figures = summary.of_origin(year, rows, side["budgets"], baselines) | {
        "sweeps": sweeps.run(year, options.sweep_events, seed, options.cache),
        "fit_cpu_seconds": side["fit_cpu_seconds"],
        "listen_cpu_seconds": listen_seconds,
        "listened_intervals": len(year.prepared.recorded.intervals),
    }
    return figures | {"targets": against_targets(figures)}


def print_targets(origins: dict[str, Side]) -> None:
    """The targets of every origin as one table."""
    table = Table("target", "figure", "wanted", *origins)
    rows = zip(*(origin["targets"] for origin in origins.values()), strict=True)
    for each in rows:
        marks = ("", "missed", "hit")
        values = [f"{r['value']:.3f} {marks[0 if r['hit'] is None else 1 + r['hit']]}" for r in each]
        table.add_row(each[0]["target"], each[0]["figure"], each[0]["wanted"], *values)
    Console().print(table)


def main() -> None:
    """Run, resume or finish the benchmark and write its result file and page."""
    options = arguments()
    began = time.monotonic()
    readings, meter = house()
    chosen = [ORIGINS[name] for name in (["2009"] if options.development else options.origins)]
    origins = {origin.name: run_origin(origin, readings, meter, options) for origin in chosen}
    first = origins[chosen[0].name]
    command = f"python -m benchmarks.anomaly --events {options.events} --sweep-events {options.sweep_events}"
    seed = DEVELOPMENT_SEED if options.development else EVALUATION_SEED
    result = head(command, [seed], began, []) | {
        "origins": origins,
        "members": first["members"],
        "ablation": first["ablation"],
        "natural": first["natural"],
        "sweeps": first["sweeps"],
    }
    options.result.parent.mkdir(parents=True, exist_ok=True)
    options.result.write_text(compact(result))
    write_page(result, options.result.with_suffix(".html"))
    print_targets(origins)
    print(f"{options.result}\n{options.result.with_suffix('.html')}")


if __name__ == "__main__":
    main()
