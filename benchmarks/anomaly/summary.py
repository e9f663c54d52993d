"""From outcomes to the figures of the result file."""

from collections import Counter
from typing import Any

import numpy as np

from benchmarks.anomaly.baselines import SYSTEMS, Baselines
from benchmarks.anomaly.metrics import Scored, vus_pr, wilson
from benchmarks.anomaly.protocol import FAULT_TYPES, Outcome, TestYear
from smartgrid_pipeline.core.anomaly.ensemble.members import MEMBERS
from smartgrid_pipeline.core.anomaly.injection.catalogue import BENIGN_TYPES
from smartgrid_pipeline.core.anomaly.interval_array import Flags


def of_fault_type(outcomes: list[Outcome], normal: np.ndarray) -> dict[str, Any]:
    """Twin recall with its interval, null recall, delays and areas of one fault type."""
    n = len(outcomes)
    found = [o.delay for o in outcomes if o.delay is not None]
    low, high = wilson(len(found), n)
    scored = [_scored(o) for o in outcomes]
    fault_type = FAULT_TYPES.get(outcomes[0].fault_type) or BENIGN_TYPES[outcomes[0].fault_type]
    right = [o for o in outcomes if o.delay is not None and o.fault_class == fault_type.fault_class]
    channel = [o for o in outcomes if o.delay is not None and o.named_channel in o.channels]
    return {
        "twin_recall": len(found) / n,
        "wilson_low": low,
        "wilson_high": high,
        "voice_recall": sum(bool(o.detector_delays) for o in outcomes) / n,
        "null_recall": sum(bool(o.twin_detectors) for o in outcomes) / n,
        "delay_median_hours": float(np.median(found)) if found else None,
        "delay_p90_hours": float(np.quantile(found, 0.9)) if found else None,
        "vus_pr": vus_pr(normal, scored),
        "tier": fault_type.tier,
        "fault_class_right": len(right) / max(len(found), 1),
        "channel_right": len(channel) / max(len(found), 1),
        "voices": dict(Counter(detector_name for o in outcomes for detector_name in o.detector_delays)),
        "n": n,
    }  # fmt: skip


def _scored(outcome: Outcome) -> Scored:
    scores = np.array(outcome.scores)
    inside = np.zeros(len(scores), bool)
    inside[outcome.inside[0] : outcome.inside[1]] = True
    return Scored(scores, inside)


def class_f1(outcomes: list[Outcome]) -> float:
    """Macro F1 of the fault class over the events that were found."""
    truth = [FAULT_TYPES[o.fault_type].fault_class for o in outcomes if o.delay is not None]
    diagnosed = [o.fault_class for o in outcomes if o.delay is not None]
    scores = []
    for name in sorted(set(truth)):
        both = sum(t == s == name for t, s in zip(truth, diagnosed, strict=True))
        scores.append(2 * both / max(truth.count(name) + diagnosed.count(name), 1))
    return float(np.mean(scores)) if scores else 0.0


def _macro(rows: dict[str, list[Outcome]], layers: tuple[str, ...]) -> float:
    """Macro twin recall of the part of the detector made of these layers."""
    return float(
        np.mean(
            [
                np.mean([any(_layer(v) in layers for v in o.detector_delays) for o in fault_type])
                for fault_type in rows.values()
            ]
        )
    )


def _layer(detector_name: str) -> str:
    return detector_name if detector_name in ("rules", "ensemble") else "physics"


def found_by_baselines(rows: dict[str, list[Outcome]]) -> dict[str, np.ndarray]:
    """Found (1) or not (0) per event, of every system without rules, on events that have all systems."""
    evaluated = [o for fault_type in rows.values() for o in fault_type if o.baseline_delays is not None]
    return {name: np.array([name in o.baseline_delays for o in evaluated], float) for name in SYSTEMS} | {
        "whole": np.array([o.delay is not None for o in evaluated], float)
    }


def areas_of_baselines(
    rows: dict[str, list[Outcome]], baselines: Baselines, normal: Flags
) -> dict[str, float]:
    """Mean over fault types of the VUS-PR of every system without rules, on events that have all systems."""
    areas: dict[str, list[float]] = {name: [] for name in baselines.clean.scores}
    for outcomes in rows.values():
        evaluated = [o for o in outcomes if o.baseline_scores is not None]
        for name, found in areas.items():
            scored = [Scored(np.array(o.baseline_scores[name]), _scored(o).inside) for o in evaluated]  # type: ignore[index]
            found.append(vus_pr(baselines.clean.scores[name][normal].astype(float), scored))
    return {name: float(np.mean(found)) for name, found in areas.items()}


def against_best_member(found: dict[str, np.ndarray]) -> dict[str, Any]:
    """Paired bootstrap of the ensemble's recall less that of its best member, over events."""
    best = max(MEMBERS, key=lambda name: found[name].mean())
    difference = found["ensemble"] - found[best]
    rng = np.random.default_rng(0)
    means = difference[rng.integers(0, len(difference), (2000, len(difference)))].mean(1)
    return {
        "best_member": best,
        "difference": float(difference.mean()),
        "low": float(np.quantile(means, 0.025)),
        "high": float(np.quantile(means, 0.975)),
        "n": len(difference),
    }


def of_origin(
    year: TestYear,
    rows: dict[str, list[Outcome]],
    thresholds_by_rate: dict[str, dict[str, float]],
    baselines_of: Baselines,
) -> dict[str, Any]:
    """All figures of one origin but the sweeps."""
    excused = year.excused(6)
    normal = year.fused_score[~excused].astype(float)
    faults = {fault_type: outcomes for fault_type, outcomes in rows.items() if fault_type in FAULT_TYPES}
    types = {fault_type: of_fault_type(outcomes, normal) for fault_type, outcomes in rows.items()}
    faulty = [types[fault_type] for fault_type in faults]
    baselines = found_by_baselines(faults)
    areas = areas_of_baselines(faults, baselines_of, ~excused)
    evaluated = sum(o.baseline_delays is not None for fault_type in faults.values() for o in fault_type)
    rng = np.random.default_rng(0)
    random = [
        Scored(rng.random(len(o.scores)), _scored(o).inside)
        for fault_type in faults.values()
        for o in fault_type
    ]
    everything = [o for fault_type in faults.values() for o in fault_type]
    benign = [
        o.delay is not None for fault_type in rows if fault_type in BENIGN_TYPES for o in rows[fault_type]
    ]
    return {
        "macro_twin_recall": float(np.mean([t["twin_recall"] for t in faulty])),
        "lowest_twin_recall": float(min(t["twin_recall"] for t in faulty)),
        "null_recall": float(np.mean([t["null_recall"] for t in faulty])),
        "macro_vus_pr": float(np.mean([t["vus_pr"] for t in faulty])),
        "vus_pr_random": vus_pr(rng.random(len(normal)), random),
        "false_alarms_per_month": year.realised_per_month(year.detector_thresholds),
        "alarmed_share": year.alarmed_share(),
        "promised_per_month": year.detector.false_alarms_per_month,
        "budgets": [
            {"promised": float(promised), "realised": year.realised_per_month(thresholds)}
            for promised, thresholds in thresholds_by_rate.items()
        ],
        "channel_top1": float(np.mean([t["channel_right"] for t in faulty])),
        "fault_class_macro_f1": class_f1(everything),
        "benign_alarmed": float(np.mean(benign)) if benign else None,
        "benign_n": len(benign),
        "types": types,
        "members": {
            name: {
                "recall": float(found.mean()),
                "macro_vus_pr": areas.get(name),
                "false_alarms_per_month": baselines_of.false_alarms.get(name),
                "n": evaluated,
            }
            for name, found in baselines.items()
        },
        "ensemble_against_best_member": against_best_member(baselines),
        "ablation": [
            {"layers": "rules", "macro_twin_recall": _macro(faults, ("rules",))},
            {"layers": "ensemble", "macro_twin_recall": _macro(faults, ("ensemble",))},
            {"layers": "rules + ensemble", "macro_twin_recall": _macro(faults, ("rules", "ensemble"))},
            {"layers": "physics", "macro_twin_recall": _macro(faults, ("physics",))},
            {"layers": "rules + physics", "macro_twin_recall": _macro(faults, ("rules", "physics"))},
            {
                "layers": "rules + physics + ensemble",
                "macro_twin_recall": _macro(faults, ("rules", "physics", "ensemble")),
            },
        ],
        "natural": natural(year),
    }


def natural(year: TestYear) -> dict[str, Any]:
    """Defects really in the readings: found and rightly typed by the rules, and hits of rules elsewhere."""
    from smartgrid_pipeline.core import meter_data

    recorded = year.prepared.recorded
    fault_types = meter_data.defect_types(year.readings)
    table = meter_data.defect_table(fault_types, year.meter.step_minutes, year.meter.channels)
    real = table[table["kind"] != "chance_copy"]
    spans = [
        (hit.rule.name, recorded.times[hit.start], recorded.times[hit.end - 1]) for hit in year.prepared.hits
    ]
    typed = {"gap": {"copied_day", "copied_reading", "gap"}, "dst_copy": {"dst_copy"}, "freeze": {"freeze"}}
    found = sum(
        any(name in typed[row.kind] and a <= row.end and b >= row.start for name, a, b in spans)
        for row in real.itertuples()
    )
    marked = fault_types.to_numpy() != ""
    first = recorded.first_row
    extra = [h for h in year.prepared.hits if not marked[max(0, h.start - first) : h.end - first].any()]
    return {"found": int(found), "total": len(real), "extra": len(extra)}
