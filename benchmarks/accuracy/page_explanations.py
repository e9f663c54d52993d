"""The second half of the accuracy page: why the mixture forecasts as it does."""

from typing import Any

from benchmarks.accuracy import plots
from benchmarks.shared.page import Section
from benchmarks.shared.tables import Table
from smartgrid_pipeline.core.evaluation.style import label

HORIZONS = {"near": "next five minutes and hour", "far": "day and week ahead"}
CORRELATED = ("T2", "T4_year")
"""Windows whose error correlations are shown."""


def sections(explanations: dict[str, Any]) -> list[Section]:
    """Gate weights, oracle gates, error correlations, failing experts, spoiled inputs, days weighed."""
    collapse = explanations["collapse"]
    verdict = "passed" if collapse["passed"] else "FAILED"
    found = [Section("Why", [f"{collapse['rule']}: {collapse['found']}, {verdict}."])]
    found += [_gate_weights(HORIZONS[key], facts) for key, facts in explanations["shares"].items()]
    tables = {
        "A gate that knew the best expert": [_oracle(explanations["oracle"])],
        "Correlation of the experts' errors": _correlations(explanations["error_correlation"]),
        "Each expert left out or failing: growth of CRPS, %": [_drill(explanations["drill"])],
        "Inputs spoiled: growth of CRPS, %": [_importance(explanations["importance"])],
    }
    found += [Section(heading, parts, level=3) for heading, parts in tables.items()]
    if facts := explanations["matched_days"]:
        figure = plots.day_weights(facts["mean_weight_by_days_back"])
        found.append(Section("Past days the attention expert weighs", [_day_weights(facts), figure], level=3))
    return found


def _gate_weights(horizon: str, facts: dict[str, Any]) -> Section:
    alarms = "; ".join(facts["alarms"]) or "no collapse alarm"
    sentence = f"Entropy {facts['entropy']:.3f} (1: equal weights); {alarms}."
    return Section(f"Weights of the experts, {horizon}", [plots.gate_weights(facts), sentence], level=3)


def _oracle(oracle: dict[str, dict[str, float]]) -> Table:
    heads = ["card", "mixture", "best expert", "best expert of each origin", "best expert of each interval"]
    keys = ("mixture_crps_kw", "best_expert_crps_kw", "oracle_by_origin_crps_kw", "oracle_by_row_crps_kw")
    return Table(heads, [[window, *(f"{row[key]:.4f}" for key in keys)] for window, row in oracle.items()])


def _correlations(by_window: dict[str, dict[str, dict[str, float]]]) -> list[Table]:
    matrices = {window: by_window[window] for window in CORRELATED if window in by_window}
    return [
        Table([window, *map(label, matrix)], [[label(a), *(matrix[a][b] for b in matrix)] for a in matrix])
        for window, matrix in matrices.items()
    ]


def _drill(rows: list[dict[str, Any]]) -> Table:
    """Experts and their failures (rows) against tasks (columns)."""
    tasks = list(dict.fromkeys(row["card"] for row in rows))
    cells: dict[tuple[str, str], dict[str, str]] = {}
    for row in rows:
        text = f"{row['worse_percent']:+.2f}" if row["answered"] else "no forecast"
        cells.setdefault((row["expert"], row["failure"]), {})[row["card"]] = text
    body = [
        [f"{label(expert)}, {failure}", *(found.get(task) for task in tasks)]
        for (expert, failure), found in cells.items()
    ]
    return Table(["expert and failure", *tasks], body)


def _importance(by_task: dict[str, dict[str, dict[str, float]]]) -> Table:
    groups = list(dict.fromkeys(group for found in by_task.values() for group in found))
    body = [
        [group, *(f"{by_task[task][group]['crps_increase_percent']:+.1f}" for task in by_task)]
        for group in groups
    ]
    return Table(["inputs", *by_task], body)


def _day_weights(facts: dict[str, Any]) -> str:
    percent = {key: f"{100 * value:.1f} %" for key, value in facts.items() if isinstance(value, float)}
    return (
        f"Its weight spreads over {facts['effective_days']:.1f} days. The same weekday has "
        f"{percent['weight_on_same_weekday']} of the weight "
        f"({percent['share_of_days_that_are_same_weekday']} of the days), days of the same type (working day "
        f"or weekend) {percent['weight_on_same_kind_of_day']} ({percent['share_of_days_of_same_kind']})."
    )
