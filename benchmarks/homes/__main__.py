"""python -m benchmarks.homes: day-ahead CRPS of ten homes nobody tuned on, and of ever shorter histories."""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.homes.protocol import ANALOGUE, OURS, quarter, score_cold_start, score_models
from benchmarks.shared.half_hourly import half_hourly_file, with_a_year
from benchmarks.shared.result_head import ROOT, compact, head
from smartgrid_pipeline.core.features.history import History

RESULT = ROOT / "benchmarks" / "results" / "homes.json"

PARTS = ("last_91_days", "last_fourth_of_record")
HISTORIES = {"two_years_or_all": None, "one_year": 365, "two_months": 61, "three_weeks": 21}
COLD_HOURS = {"0 hours": 0, "1 hour": 1, "1 day": 24, "1 week": 168}
AIM_PERCENT = 5.0


def main() -> None:
    """Score the homes, write the result file and print it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.homes", description=__doc__)
    parser.add_argument("--homes", type=int, default=10, help="how many, in order of id")
    parser.add_argument("--skip", type=int, default=0, help="leave out so many first: development")
    parser.add_argument(
        "--models", nargs="+", default=[OURS, "ridge", "lightgbm", "mixture_of_experts"], metavar="MODEL"
    )
    parser.add_argument("--result", type=Path, default=RESULT)
    options = parser.parse_args()
    began, file = time.monotonic(), half_hourly_file()
    if file is None:
        print("The development homes are not on this machine: nothing to measure.", file=sys.stderr)
        return
    homes = with_a_year(file, options.homes, options.skip)
    models = tuple(dict.fromkeys((ANALOGUE, *options.models)))
    result: dict[str, Any] = head("python -m benchmarks.homes " + " ".join(sys.argv[1:]), [0], began, [])
    result["quarters"] = {
        part: _quarter(homes, part, models if part == PARTS[0] else (ANALOGUE, OURS)) for part in PARTS
    }
    result["histories"] = {name: _shorter(homes, days) for name, days in HISTORIES.items()}
    result["cold_start"] = {name: _cold(homes, hours) for name, hours in COLD_HOURS.items()}
    result |= head(result["command"], [0], began, [])
    options.result.parent.mkdir(parents=True, exist_ok=True)
    options.result.write_text(compact(result, 4))
    _print(result)


def _quarter(homes: dict[str, History], part: str, models: tuple[str, ...]) -> dict[str, Any]:
    """Every model on every home, and how the homes fared against the 28-day analogue."""
    per_home = {}
    for meter_id, history in homes.items():
        per_home[meter_id] = score_models(history, quarter(history, part), models)
        print(part, meter_id, _ratios(per_home[meter_id]), file=sys.stderr, flush=True)
    return {"homes": per_home, "models": _summaries(list(per_home.values()))}


def _shorter(homes: dict[str, History], days: int | None) -> dict[str, Any]:
    """The analog ensemble when nothing older than ``days`` before the test is known."""
    found = [score_models(home, quarter(home, PARTS[0]), (ANALOGUE, OURS), days) for home in homes.values()]
    return _summaries(found)[OURS] | {"learn_days": days}


def _cold(homes: dict[str, History], hours: float) -> dict[str, Any]:
    """Which tier forecasts, and its CRPS over that of the 28-day analogue with all its days."""
    ratios, tiers = [], []
    for history in homes.values():
        test = quarter(history, PARTS[0])
        found = score_cold_start(history, test, hours)
        ratios.append(found["crps_kw"] / score_models(history, test, (ANALOGUE,))[ANALOGUE]["crps_kw"])
        tiers.append(found["tier"])
    return {"tier": max(set(tiers), key=tiers.count), "median_crps_over_analogue": float(np.median(ratios)),
            "worst_crps_over_analogue": float(max(ratios))}  # fmt: skip


def _ratios(scores: dict[str, dict[str, float]]) -> dict[str, float]:
    return {name: round(row["crps_kw"] / scores[ANALOGUE]["crps_kw"], 4) for name, row in scores.items()}


def _summaries(per_home: list[dict[str, dict[str, float]]]) -> dict[str, dict[str, Any]]:
    """Per model: median gain on the analogue, homes that are worse than it, coverage, cost."""
    out = {}
    for name in per_home[0]:
        ratios = np.array([_ratios(scores)[name] for scores in per_home])
        out[name] = {
            "median_gain_percent": float(100 * (1 - np.median(ratios))),
            "mean_gain_percent": float(100 * (1 - ratios.mean())),
            "worst_gain_percent": float(100 * (1 - ratios.max())),
            "worse_than_analogue": int((ratios > 1).sum()),
            "homes": len(ratios),
            "coverage_80": float(np.mean([scores[name]["coverage_80"] for scores in per_home])),
            "cpu_seconds_per_home": float(np.mean([scores[name]["cpu_seconds"] for scores in per_home])),
        }
    return out


def _print(result: dict[str, Any]) -> None:
    for part, entry in result["quarters"].items():
        for name, row in entry["models"].items():
            print(f"{part:<22} {name:<18} median gain {row['median_gain_percent']:6.2f} %, "
                  f"worst {row['worst_gain_percent']:6.2f} %, worse on {row['worse_than_analogue']} of "
                  f"{row['homes']}, coverage {row['coverage_80']:.3f}")  # fmt: skip
    ours = result["quarters"][PARTS[0]]["models"].get(OURS)
    if ours:
        met = ours["median_gain_percent"] >= AIM_PERCENT and not ours["worse_than_analogue"]
        print(f"target (median ≥ {AIM_PERCENT:g} %, worse on none): {'met' if met else 'missed'}")
    for name, row in result["histories"].items():
        print(f"{name:<22} {OURS:<18} median gain {row['median_gain_percent']:6.2f} %, worse on "
              f"{row['worse_than_analogue']} of {row['homes']}")  # fmt: skip
    for name, row in result["cold_start"].items():
        print(f"{name:<22} {row['tier']:<28} CRPS {row['median_crps_over_analogue']:.2f} of the analogue's")


if __name__ == "__main__":
    main()
