"""The benchmark as one HTML page that opens without a server."""

from html import escape
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

STYLE = """body{font:15px sans-serif;margin:2rem;max-width:70rem}table{border-collapse:collapse}
td,th{padding:.2rem .6rem;border-bottom:1px solid #ddd;text-align:right}
td:first-child,th:first-child{text-align:left}"""


def write_page(result: dict[str, Any], path: Path) -> None:
    """Write the page beside the result file."""
    parts = ["<!doctype html><meta charset='utf-8'><title>Anomaly benchmark</title>",
             f"<style>{STYLE}</style>",
             "<h1>Anomaly detection on injected faults</h1>",
             "<p>An event counts where a rule, or the voices together, alarm where those of its twin do "
             "not; see docs/anomaly_log.md. "
             f"<code>{escape(result['command'])}</code>, {escape(result['created'])}.</p>"]  # fmt: skip
    for year, origin in result["origins"].items():
        parts.append(f"<h2>Test year {escape(year)}</h2>")
        parts.append("<h3>Targets</h3>" + _targets(origin["targets"]) + _picture(origin))
        parts.append(
            _table(["figure", "value"], [[k, v] for k, v in origin.items() if isinstance(v, float | int)])
        )
        parts.append("<h3>Budgets</h3>" + _rows(origin["budgets"]))
        parts.append("<h3>Fault kinds</h3>" + _kinds(origin["types"]))
        parts.append("<h3>Layers</h3>" + _rows(origin["ablation"]))
        parts.append(
            "<h3>Systems without rules</h3>"
            + _rows([{"system": k} | v for k, v in origin["members"].items()])
        )
        parts.append(
            "<h3>Ensemble against its best member</h3>" + _rows([origin["ensemble_against_best_member"]])
        )
        for kind, rows in origin["sweeps"].items():
            parts.append(f"<h3>Sizes of {escape(kind)}</h3>" + _rows(rows))
    path.write_text("\n".join(parts))


def _targets(rows: list[dict[str, Any]]) -> str:
    """The targets, each hit, missed or only told."""
    words = {True: "hit", False: "missed", None: "told"}
    return _rows([row | {"hit": words[row["hit"]]} for row in rows])


def _picture(origin: dict[str, Any]) -> str:
    """Twin recall of every kind with its Wilson interval beside how often the twin alarmed, as inline SVG."""
    kinds = sorted(origin["types"], key=lambda kind: origin["types"][kind]["twin_recall"])
    rows = [origin["types"][kind] for kind in kinds]
    figure = Figure(figsize=(9, 0.24 * len(kinds) + 1), layout="constrained")
    axes = figure.subplots()
    recall = np.array([row["twin_recall"] for row in rows])
    low, high = (np.array([row[f"wilson_{side}"] for row in rows]) for side in ("low", "high"))
    error = np.maximum([recall - low, high - recall], 0)
    axes.errorbar(recall, np.arange(len(kinds)), xerr=error, fmt="o", label="twin recall, 95 % Wilson")
    axes.plot(
        [row["null_recall"] for row in rows], np.arange(len(kinds)), "x", label="null recall: twin alarmed"
    )
    axes.axvline(0.8, color="grey", lw=0.6)
    axes.set_yticks(np.arange(len(kinds)), kinds)
    axes.set_xlim(-0.02, 1.02)
    axes.set_xlabel("share of events")
    axes.legend(loc="lower right")
    text = StringIO()
    figure.savefig(text, format="svg")
    return text.getvalue()[text.getvalue().index("<svg") :]


def _kinds(types: dict[str, dict[str, Any]]) -> str:
    columns = ["twin_recall", "wilson_low", "wilson_high", "null_recall", "delay_median_hours",
               "delay_p90_hours", "vus_pr", "fault_class_right", "channel_right", "n"]  # fmt: skip
    return _table(["kind", *columns], [[kind, *(row[c] for c in columns)] for kind, row in types.items()])


def _rows(rows: list[dict[str, Any]]) -> str:
    return _table(list(rows[0]), [list(row.values()) for row in rows]) if rows else ""


def _table(heads: list[str], rows: list[list[Any]]) -> str:
    top = "".join(f"<th>{escape(head.replace('_', ' '))}</th>" for head in heads)
    body = "".join("<tr>" + "".join(f"<td>{_cell(value)}</td>" for value in row) + "</tr>" for row in rows)
    return f"<table><tr>{top}</tr>{body}</table>"


def _cell(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else escape(str(value))
