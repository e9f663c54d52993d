"""From outcomes to the figures of the result file; nothing here looks at how the detector works."""

from collections import Counter
from typing import Any

import numpy as np

from benchmarks.anomaly.metrics import Scored, vus_pr, wilson
from benchmarks.anomaly.plain import SYSTEMS, Plain
from benchmarks.anomaly.protocol import KINDS, Outcome, TestYear
from smartgrid_pipeline.core.anomaly.ensemble.members import MEMBERS
from smartgrid_pipeline.core.anomaly.injection.catalogue import BENIGN_KINDS
from smartgrid_pipeline.core.anomaly.interval_array import Flags


def of_kind(outcomes: list[Outcome], normal: np.ndarray) -> dict[str, Any]:
    """Twin recall with its interval, null recall, delays and areas of one kind."""
    n = len(outcomes)
    found = [o.delay for o in outcomes if o.delay is not None]
    low, high = wilson(len(found), n)
    scored = [_scored(o) for o in outcomes]
    kind = KINDS.get(outcomes[0].kind) or BENIGN_KINDS[outcomes[0].kind]
    right = [o for o in outcomes if o.delay is not None and o.fault_class == kind.fault_class]
    channel = [o for o in outcomes if o.delay is not None and o.named_channel in o.channels]
    return {
        "twin_recall": len(found) / n,
        "wilson_low": low,
        "wilson_high": high,
        "voice_recall": sum(bool(o.voice_delays) for o in outcomes) / n,
        "null_recall": sum(bool(o.twin_voices) for o in outcomes) / n,
        "delay_median_hours": float(np.median(found)) if found else None,
        "delay_p90_hours": float(np.quantile(found, 0.9)) if found else None,
        "vus_pr": vus_pr(normal, scored),
        "tier": kind.tier,
        "fault_class_right": len(right) / max(len(found), 1),
        "channel_right": len(channel) / max(len(found), 1),
        "voices": dict(Counter(voice for o in outcomes for voice in o.voice_delays)),
        "n": n,
    }  # fmt: skip


def _scored(outcome: Outcome) -> Scored:
    scores = np.array(outcome.scores)
    inside = np.zeros(len(scores), bool)
    inside[outcome.inside[0] : outcome.inside[1]] = True
    return Scored(scores, inside)


def class_f1(outcomes: list[Outcome]) -> float:
    """Macro F1 of the fault class over the events that were found."""
    truth = [KINDS[o.kind].fault_class for o in outcomes if o.delay is not None]
    said = [o.fault_class for o in outcomes if o.delay is not None]
    scores = []
    for name in sorted(set(truth)):
        both = sum(t == s == name for t, s in zip(truth, said, strict=True))
        scores.append(2 * both / max(truth.count(name) + said.count(name), 1))
    return float(np.mean(scores)) if scores else 0.0


def _macro(rows: dict[str, list[Outcome]], layers: tuple[str, ...]) -> float:
    """Macro twin recall of the part of the detector made of these layers."""
    return float(
        np.mean(
            [
                np.mean([any(_layer(v) in layers for v in o.voice_delays) for o in kind])
                for kind in rows.values()
            ]
        )
    )


def _layer(voice: str) -> str:
    return voice if voice in ("rules", "ensemble") else "physics"


def found_by_plain(rows: dict[str, list[Outcome]]) -> dict[str, np.ndarray]:
    """Found or not, per event, of every system without rules (events all systems were asked about)."""
    asked = [o for kind in rows.values() for o in kind if o.plain_delays is not None]
    return {name: np.array([name in o.plain_delays for o in asked], float) for name in SYSTEMS} | {
        "whole": np.array([o.delay is not None for o in asked], float)
    }


def areas_of_plain(rows: dict[str, list[Outcome]], plain: Plain, normal: Flags) -> dict[str, float]:
    """Mean over kinds of the VUS-PR of every plain system, on the events all were asked about."""
    areas: dict[str, list[float]] = {name: [] for name in plain.clean.scores}
    for outcomes in rows.values():
        asked = [o for o in outcomes if o.plain_scores is not None]
        for name, found in areas.items():
            scored = [Scored(np.array(o.plain_scores[name]), _scored(o).inside) for o in asked]  # type: ignore[index]
            found.append(vus_pr(plain.clean.scores[name][normal].astype(float), scored))
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
    budgets: dict[str, dict[str, float]],
    plain_systems: Plain,
) -> dict[str, Any]:
    """All figures of one origin but the sweeps."""
    excused = year.excused(6)
    normal = year.score[~excused].astype(float)
    faults = {kind: outcomes for kind, outcomes in rows.items() if kind in KINDS}
    types = {kind: of_kind(outcomes, normal) for kind, outcomes in rows.items()}
    judged = [types[kind] for kind in faults]
    plain = found_by_plain(faults)
    areas = areas_of_plain(faults, plain_systems, ~excused)
    asked = sum(o.plain_delays is not None for kind in faults.values() for o in kind)
    rng = np.random.default_rng(0)
    random = [Scored(rng.random(len(o.scores)), _scored(o).inside) for kind in faults.values() for o in kind]
    everything = [o for kind in faults.values() for o in kind]
    quiet = [o.delay is not None for kind in rows if kind in BENIGN_KINDS for o in rows[kind]]
    return {
        "macro_twin_recall": float(np.mean([t["twin_recall"] for t in judged])),
        "lowest_twin_recall": float(min(t["twin_recall"] for t in judged)),
        "null_recall": float(np.mean([t["null_recall"] for t in judged])),
        "macro_vus_pr": float(np.mean([t["vus_pr"] for t in judged])),
        "vus_pr_random": vus_pr(rng.random(len(normal)), random),
        "false_alarms_per_month": year.false_alarms_per_month(year.voices),
        "alarmed_share": year.alarmed_share(),
        "promised_per_month": year.detector.budget_per_month,
        "budgets": [
            {"promised": float(b), "realised": year.false_alarms_per_month(heights)}
            for b, heights in budgets.items()
        ],
        "channel_top1": float(np.mean([t["channel_right"] for t in judged])),
        "fault_class_macro_f1": class_f1(everything),
        "benign_alarmed": float(np.mean(quiet)) if quiet else None,
        "benign_n": len(quiet),
        "types": types,
        "members": {
            name: {
                "recall": float(found.mean()),
                "macro_vus_pr": areas.get(name),
                "false_alarms_per_month": plain_systems.false_alarms.get(name),
                "n": asked,
            }
            for name, found in plain.items()
        },
        "ensemble_against_best_member": against_best_member(plain),
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

    stream = year.prepared.stream
    kinds = meter_data.defect_types(year.readings)
    table = meter_data.defect_table(kinds, year.meter.step_minutes, year.meter.channels)
    real = table[table["kind"] != "chance_copy"]
    spans = [
        (hit.rule.name, stream.times[hit.start], stream.times[hit.end - 1]) for hit in year.prepared.hits
    ]
    typed = {"gap": {"copied_day", "copied_reading", "gap"}, "dst_copy": {"dst_copy"}, "freeze": {"freeze"}}
    found = sum(
        any(name in typed[row.kind] and a <= row.end and b >= row.start for name, a, b in spans)
        for row in real.itertuples()
    )
    marked = kinds.to_numpy() != ""
    first = stream.first_row
    extra = [h for h in year.prepared.hits if not marked[max(0, h.start - first) : h.end - first].any()]
    return {"found": int(found), "total": len(real), "extra": len(extra)}
