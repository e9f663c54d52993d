"""The targets A1–A11 beside what one origin shows: figures with their intervals, hit or missed."""

from typing import Any

Side = dict[str, Any]

MIN_RECALL = 0.80


def against_targets(origin: Side) -> list[Side]:
    """One row per target that injected faults can decide; ``hit`` is None where a figure is only reported."""
    sweeps = origin["sweeps"]
    faults = {fault_type: row for fault_type, row in origin["types"].items() if row["tier"] != "benign"}
    return [
        _at_least("A1", "macro twin recall", origin["macro_twin_recall"], 0.95),
        _at_most("A1", "false alarms a month", origin["false_alarms_per_month"], 1.0),
        _lowest(faults),
        *_rules(faults),
        _sized("A3", sweeps, "bypass", (0.5, 0.7, 0.8), 48, 0.95),
        _sized("A3", sweeps, "bypass", (0.9,), 168, 0.80),
        _sized("A4", sweeps, "clock_shift", (30.0, 60.0, -60.0, 120.0), 72, 0.95),
        _sized("A5", sweeps, "gain_step", (0.05, -0.05), 12, 0.90),
        _sized("A5", sweeps, "gain_step", (0.02,), 168, 0.90),
        _at_least("A6", "macro VUS-PR at 5 % prevalence", origin["macro_vus_pr"], 0.80),
        _natural(origin["natural"]),
        *map(_kept, origin["budgets"]),
        _against_member(origin["ensemble_against_best_member"]),
        _at_least("A10", "channel top-1", origin["channel_top1"], 0.85),
        _at_least("A10", "fault class macro F1", origin["fault_class_macro_f1"], 0.80),
        _at_most("A10", f"alarmed of {origin['benign_n']} benign episodes", origin["benign_alarmed"], 0.05),
        _at_most("A11", "fit, CPU s", origin["fit_cpu_seconds"], 60),
        _at_most(
            "A11",
            f"score {origin['listened_intervals']:,} intervals, CPU s",
            origin["listen_cpu_seconds"],
            30,
        ),
    ]


def _row(target: str, figure: str, value: float, wanted: str, hit: bool | None, interval: str = "") -> Side:
    return {"target": target, "figure": figure, "value": value, "interval": interval, "wanted": wanted,
            "hit": hit}  # fmt: skip


def _at_least(target: str, figure: str, value: float, bound: float) -> Side:
    return _row(target, figure, value, f"≥ {bound:g}", value >= bound)


def _at_most(target: str, figure: str, value: float, bound: float) -> Side:
    return _row(target, figure, value, f"≤ {bound:g}", value <= bound)


def _lowest(faults: dict[str, Side]) -> Side:
    fault_type = min(faults, key=lambda name: faults[name]["twin_recall"])
    below = [name for name, each in faults.items() if each["twin_recall"] < MIN_RECALL]
    row = _at_least("A1", f"lowest kind, {fault_type}; below: {', '.join(below) or 'none'}",
                    faults[fault_type]["twin_recall"], MIN_RECALL)  # fmt: skip
    return row | {"interval": _interval(faults[fault_type]["wilson_low"], faults[fault_type]["wilson_high"])}


def _rules(faults: dict[str, Side]) -> list[Side]:
    rules = {fault_type: row for fault_type, row in faults.items() if row["tier"] == "rules"}
    found = sum(row["twin_recall"] * row["n"] for row in rules.values())
    slowest = max(rules, key=lambda fault_type: rules[fault_type]["delay_median_hours"] or 1e9)
    minutes = 60 * (rules[slowest]["delay_median_hours"] or float("nan"))
    return [
        _at_least("A2", "rules tier, recall over its events", found / sum(r["n"] for r in rules.values()), 1),
        _at_most("A2", f"rules tier, slowest median delay, {slowest}, min", minutes, 15),
    ]


def _sized(
    target: str, sweeps: Side, fault_type: str, sizes: tuple[float, ...], hours: int, bound: float
) -> Side:
    """The worst of some sizes after so many hours."""
    rows = [row for row in sweeps[fault_type] if row["size"] in sizes]
    worst = min(rows, key=lambda row: row[f"recall_{hours}h"])
    figure = f"{fault_type} {worst['size']:g}, worst of {len(sizes)}, in {hours} h, n {worst['n']}"
    row = _at_least(target, figure, worst[f"recall_{hours}h"], bound)
    return row | {"interval": _interval(worst[f"recall_{hours}h_low"], worst[f"recall_{hours}h_high"])}


def _natural(found: Side) -> Side:
    hit = found["found"] == found["total"] and not found["extra"]
    return _row("A7", f"natural defects found and typed, of {found['total']}; {found['extra']} extra",
                found["found"], "all, none extra", hit)  # fmt: skip


def _kept(rates: Side) -> Side:
    ratio = rates["realised"] / rates["promised"]
    figure = f"realised over promised at {rates['promised']:g} a month"
    return _row("A8", figure, ratio, "0.5 … 1.5", 0.5 <= ratio <= 1.5)


def _against_member(found: Side) -> Side:
    return _row("A9", f"ensemble recall less that of {found['best_member']}", found["difference"],
                "told as it is", None, _interval(found["low"], found["high"]))  # fmt: skip


def _interval(low: float, high: float) -> str:
    return f"{low:.2f} … {high:.2f}"
