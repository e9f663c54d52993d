"""python -m benchmarks.feature_updates: what one new working interval costs each feature block.

Blocks of the UCI house are kept up to date over 200 intervals, after 30 to 1,400 days of history. The cost
must not grow with the history: exit code 1 when the median after the longest one is more than twice that
after the shortest.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.shared.result_head import ROOT, compact, head
from benchmarks.shared.uci import uci_history
from smartgrid_pipeline.core.features.appliances import DutyCycles
from smartgrid_pipeline.core.features.history import History, ObservedMeans
from smartgrid_pipeline.core.features.minute_series import MinuteSeries
from smartgrid_pipeline.core.features.submeters import SubmeterLoads
from smartgrid_pipeline.core.features.switch_times import SwitchTimes
from smartgrid_pipeline.core.forecasting.analog_ensemble.similarity import OriginLevels, TargetLevels

RESULT = ROOT / "benchmarks" / "results" / "feature_updates.json"
DAYS = (30, 120, 400, 1_400)
UPDATES = 200
LEVEL_KW, WIDTH_MINUTES = 1.0, 60
MOST_GROWTH = 2.0

BLOCKS: dict[Any, Callable[[History], Any]] = {
    ObservedMeans: ObservedMeans.transform,
    SwitchTimes: SwitchTimes.transform,
    DutyCycles: DutyCycles.transform,
    SubmeterLoads: SubmeterLoads.transform,
    MinuteSeries: lambda history: MinuteSeries.transform(history, LEVEL_KW),
    OriginLevels: OriginLevels.transform,
    (TargetLevels, WIDTH_MINUTES): lambda history: TargetLevels.transform(history, WIDTH_MINUTES),
}
"""Key → how a block is made, each after those it reads."""


def name_of(key: Any) -> str:
    """The block's class name."""
    return (key[0] if isinstance(key, tuple) else key).__name__


def measure(history: History, days: int) -> dict[str, dict[str, float]]:
    """CPU milliseconds of each block: the whole history, the first update, median and p99 of later updates.

    The first update makes room for the next half of the history, as every array that grows does.
    """
    first = days * 1440 // history.meter.working_minutes
    past, blocks, out = history.part(0, first), {}, {}
    for key, make in BLOCKS.items():
        began = time.process_time()
        blocks[key] = make(past)
        past.with_blocks(blocks)
        out[name_of(key)] = {"transform_ms": 1000 * (time.process_time() - began)}
    seconds: dict[str, list[float]] = {name: [] for name in out}
    for row in range(first, first + UPDATES):
        now = history.part(0, row + 1).with_blocks(blocks)
        for key, block in blocks.items():
            began = time.process_time()
            block.update(now, row)
            seconds[name_of(key)].append(1000 * (time.process_time() - began))
    for name, values in seconds.items():
        out[name] |= {"first_update_ms": values[0], "update_median_ms": float(np.median(values[1:])),
                      "update_p99_ms": float(np.quantile(values[1:], 0.99))}  # fmt: skip
    return out


def main() -> None:
    """Measure, write the result file, print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.feature_updates", description=__doc__)
    parser.add_argument("--cache", type=Path, default=ROOT / "data" / "benchmarks" / "accuracy")
    options = parser.parse_args()
    began = time.monotonic()
    history = uci_history(options.cache)
    found = {str(days): measure(history, days) for days in DAYS}
    growth = {
        name: found[str(DAYS[-1])][name]["update_median_ms"] / found[str(DAYS[0])][name]["update_median_ms"]
        for name in found[str(DAYS[0])]
    }
    result = {**head("python -m benchmarks.feature_updates", [], began, []), "days": found, "growth": growth}
    RESULT.write_text(compact(result))
    print(f"CPU ms of one new interval (median of {UPDATES}), by days of history")
    for name in growth:
        values = "  ".join(f"{found[str(days)][name]['update_median_ms']:7.3f}" for days in DAYS)
        print(f"{name:15s} {values}   ×{growth[name]:.2f}")
    worst = max(growth, key=lambda name: growth[name])
    if growth[worst] > MOST_GROWTH:
        sys.exit(f"{worst} costs {growth[worst]:.1f} times as much after {DAYS[-1]} days as after {DAYS[0]}.")


if __name__ == "__main__":
    main()
