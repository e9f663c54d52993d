"""The page's second half: why the mixture forecasts as it does."""

from html import escape
from typing import Any

from benchmarks.accuracy import plots
from benchmarks.accuracy.table import table
from smartgrid_pipeline.core.evaluation.style import label


def reasons(told: dict[str, Any]) -> str:
    """Shares, drill, oracle, correlations, matched days and importances as HTML."""
    parts = ["<h2>Why</h2>"]
    for kind, facts in told["shares"].items():
        words = "next five minutes and hour" if kind == "near" else "day and week ahead"
        parts.append(f"<h3>Shares of the experts, {words}</h3>")
        parts.append(plots.shares(facts))
        alarms = "; ".join(facts["alarms"]) or "no collapse alarm"
        parts.append(f"<p>Entropy {facts['entropy']:.3f} (1: all alike); {escape(alarms)}.</p>")
    collapse = told["collapse"]
    verdict = "passed" if collapse["passed"] else "FAILED"
    parts += [
        f"<p>{escape(collapse['rule'])}: {escape(collapse['found'])}, {verdict}.</p>",
        "<h3>A gate that knew the best expert</h3>", _oracle(told["oracle"]),
        "<h3>Correlation of the experts' errors</h3>", _correlations(told["error_correlation"]),
        "<h3>Each expert left out or failing: growth of CRPS, %</h3>", _drill(told["drill"]),
        "<h3>Inputs spoiled: growth of CRPS, %</h3>", _importance(told["importance"]),
    ]  # fmt: skip
    if told["matched_days"]:
        parts += ["<h3>Days the attention expert matches</h3>", _matches(told["matched_days"])]
    return "\n".join(parts)


def _oracle(oracle: dict[str, dict[str, float]]) -> str:
    heads = ["card", "mixture", "best expert", "best expert of each origin", "best expert of each interval"]
    keys = ("mixture_crps_kw", "best_expert_crps_kw", "oracle_by_origin_crps_kw", "oracle_by_row_crps_kw")
    return table(heads, [[card, *(f"{row[key]:.4f}" for key in keys)] for card, row in oracle.items()])


def _correlations(by_card: dict[str, dict[str, dict[str, float]]]) -> str:
    parts = []
    for card in [name for name in ("T2", "T4_year") if name in by_card]:
        matrix = by_card[card]
        rows = [[escape(label(a)), *(f"{matrix[a][b]:.3f}" for b in matrix)] for a in matrix]
        parts.append(table([card, *(escape(label(b)) for b in matrix)], rows))
    return "".join(parts)


def _drill(rows: list[dict[str, Any]]) -> str:
    cards = list(dict.fromkeys(row["card"] for row in rows))
    cells: dict[tuple[str, str], dict[str, str]] = {}
    for row in rows:
        text = f"{row['worse_percent']:+.2f}" if row["answered"] else "no answer"
        cells.setdefault((row["expert"], row["failure"]), {})[row["card"]] = text
    body = [
        [f"{escape(label(expert))}, {escape(failure)}", *(found.get(card, "–") for card in cards)]
        for (expert, failure), found in cells.items()
    ]
    return table(["expert and failure", *cards], body)


def _importance(by_card: dict[str, dict[str, dict[str, float]]]) -> str:
    groups = list(dict.fromkeys(group for found in by_card.values() for group in found))
    body = [
        [group, *(f"{by_card[card][group]['crps_increase_percent']:+.1f}" for card in by_card)]
        for group in groups
    ]
    return table(["inputs", *by_card], body)


def _matches(facts: dict[str, Any]) -> str:
    words = (
        f"<p>It spreads over {facts['effective_days']:.1f} days. The same weekday gets "
        f"{100 * facts['weight_on_same_weekday']:.1f} % of the weight "
        f"({100 * facts['share_of_days_that_are_same_weekday']:.1f} % of the days), days of the same kind "
        f"(working day or weekend) {100 * facts['weight_on_same_kind_of_day']:.1f} % "
        f"({100 * facts['share_of_days_of_same_kind']:.1f} %).</p>"
    )
    return words + plots.match_weights(facts["mean_weight_by_days_back"])
