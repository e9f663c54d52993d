"""python -m benchmarks.aggregation: error of forecasts against the number of homes; JSON and HTML.

The last 91 days are the test; models are fitted, and their intervals calibrated, on what is before.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.aggregation.model import TASKS, forecast
from benchmarks.aggregation.page import write_page
from benchmarks.aggregation.population import Population, mean_power
from benchmarks.shared.half_hourly import half_hourly_file, half_hourly_table
from benchmarks.shared.result_head import ROOT, compact, head

RESULT = ROOT / "benchmarks" / "results" / "aggregation.json"

FIRST, LAST = "2012-07-02", "2014-02-23"
"""Where most of the homes are metered; it begins on a Monday."""

TEST_DAYS, LATER_DAYS = 91, 61
REAL = (1, 3, 10, 30, 80)
SIMULATED = (10, 30, 80, 300, 1_000, 3_000, 10_000, 30_000, 100_000)
AIM_PERCENT = 1.0


def main() -> None:
    """Score every size of population; write the result file and its page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.aggregation", description=__doc__)
    parser.add_argument("--draws", type=int, default=5, help="random sums of each size")
    parser.add_argument("--result", type=Path, default=RESULT)
    options = parser.parse_args()
    began = time.monotonic()
    file = half_hourly_file()
    if file is None:
        print("The development homes are not on this machine: nothing to measure.", file=sys.stderr)
        return
    homes = half_hourly_table(file)[FIRST:LAST]
    population = Population.of(homes, seed=0)
    rows = [_row(*each) for each in _sums(homes, population, options.draws)]
    result = head("python -m benchmarks.aggregation", [0], began, []) | {
        "protocol": _protocol(homes, population),
        "aggregation": rows,
        "below_one_percent": _below(rows),
        "check": _check(rows),
    }
    options.result.parent.mkdir(parents=True, exist_ok=True)
    options.result.write_text(compact(result, 2))
    write_page(result, options.result.with_suffix(".html"))
    for row in rows:
        print(f"{row['population']:>9} {row['homes']:>7} {row['lead']:<22} MAPE "
              f"{row['mape_percent']:6.2f} % ({row['interval'][0]:.2f} … {row['interval'][1]:.2f})  "
              f"coverage {row['coverage_80']:.3f}")  # fmt: skip
    print("\n".join(result["below_one_percent"].values()))


def _sums(
    homes: pd.DataFrame, population: Population, draws: int
) -> Iterator[tuple[str, int, str, list[dict[str, float]]]]:
    """Population, size, lead and the scores of each draw."""
    for name, sizes in (("real", REAL), ("simulated", SIMULATED)):
        for count in sizes:
            rng = np.random.default_rng(count)
            whole = name == "real" and count >= homes.shape[1]
            series = [_draw(name, homes, population, count, rng) for _ in range(1 if whole else draws)]
            for task in TASKS:
                scores = [_score(each, task) for each in series]
                print(f"{name} {count} {task.name}", file=sys.stderr, flush=True)
                yield name, count, task.name, [each for each in scores if each]


def _draw(
    name: str, homes: pd.DataFrame, population: Population, count: int, rng: np.random.Generator
) -> pd.Series:
    """Mean power per home of a random sum."""
    if name == "simulated":
        return population.mean_power(count, rng)
    return mean_power(homes, rng.permutation(homes.shape[1])[:count])


def _score(power: pd.Series, task: Any) -> dict[str, float] | None:
    """Scores of one sum; none where a home was not metered throughout."""
    test = power.index[-1].normalize() - pd.Timedelta(days=TEST_DAYS - 1)
    later = test - pd.Timedelta(days=LATER_DAYS)
    spans = power[:later], power[later:test], power[test:]
    if any(span.notna().mean() < 0.5 for span in spans):
        return None
    return forecast(power, task, later, test).scores()


def _row(population: str, count: int, lead: str, scores: list[dict[str, float]]) -> dict[str, Any]:
    """Means over the draws; ``interval`` is the range of MAPE that holds 80 % of them."""
    means = {key: float(np.mean([score[key] for score in scores])) for key in scores[0]}
    mapes = [score["mape_percent"] for score in scores]
    low, high = (float(value) for value in np.quantile(mapes, (0.1, 0.9)))
    return {"homes": count, "lead": lead, "population": population, **means, "interval": [low, high],
            "draws": len(scores)}  # fmt: skip


def _below(rows: list[dict[str, Any]]) -> dict[str, str]:
    """For each lead the smallest size from which MAPE stays below the aim, or that there is none."""
    out = {}
    for task in TASKS:
        sizes = {row["homes"]: row["mape_percent"] for row in rows
                 if row["lead"] == task.name and row["population"] == "simulated"}  # fmt: skip
        found = [n for n in sizes if all(sizes[m] < AIM_PERCENT for m in sizes if m >= n)]
        most = max(sizes)
        out[task.name] = (
            f"{task.name}: below {AIM_PERCENT:g} % from {min(found):,} homes on"
            if found
            else f"{task.name}: not below {AIM_PERCENT:g} %; {most:,} homes leave {sizes[most]:.2f} %, "
            "mostly the error of what all homes share, which no further home takes away"
        )
    return out


def _check(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """MAPE of simulated sums over that of real ones, where both were measured."""
    real = {(r["homes"], r["lead"]): r["mape_percent"] for r in rows if r["population"] == "real"}
    return [
        {"homes": r["homes"], "lead": r["lead"], "simulated_over_real": r["mape_percent"] / real[at]}
        for r in rows
        if r["population"] == "simulated" and (at := (r["homes"], r["lead"])) in real
    ]


def _protocol(homes: pd.DataFrame, population: Population) -> dict[str, Any]:
    return {
        "first": FIRST, "last": LAST, "test_days": TEST_DAYS, "later_days": LATER_DAYS,
        "homes_observed_mean": float(homes.notna().sum(axis=1).mean()),
        "mean_kw_per_home": float(np.nanmean(homes.to_numpy())),
        "common_share_by_band": [round(share, 3) for share in population.shares],
        "dependence": "independent given a common component; see benchmarks/aggregation/population.py",
        "model": "ridge and LightGBM, half each, on logarithms: lags, analogues, calendar; no weather",
    }  # fmt: skip


if __name__ == "__main__":
    main()
