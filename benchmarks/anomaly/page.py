"""The page of the anomaly benchmark: what was found of every fault type, and at what false-alarm rate."""

from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from benchmarks.shared.page import Section, inline_svg
from benchmarks.shared.page import write_page as write_result_page
from benchmarks.shared.tables import Table
from smartgrid_pipeline.core.evaluation.style import MUTED, axis_labels, canvas

TYPE_COLUMNS = (
    "fault_type", "twin_recall", "wilson_low", "wilson_high", "null_recall", "delay_median_hours",
    "delay_p90_hours", "vus_pr", "fault_class_right", "channel_right", "n",
)  # fmt: skip


def write_page(result: dict[str, Any], path: Path) -> None:
    """Write the page of a result file to ``path``."""
    introduction = (
        "Faults injected into readings the detector was not fitted on. An event is found where a rule, or "
        "the scores together, raise an alarm that the same readings without the fault do not raise; see "
        "docs/anomaly_log.md."
    )
    sections = [s for year, origin in result["origins"].items() for s in _sections(year, origin)]
    write_result_page(path, "Anomaly detection on injected faults", introduction, result, sections)


def _sections(year: str, origin: dict[str, Any]) -> list[Section]:
    """All that was measured on one test year."""
    figures = [[name, value] for name, value in origin.items() if isinstance(value, float | int)]
    types = [{"fault_type": name} | row for name, row in origin["types"].items()]
    members = [{"system": name} | row for name, row in origin["members"].items()]
    tables = {
        "Targets": Table.from_records(_targets(origin["targets"])),
        "Figures": Table(["figure", "value"], figures),
        "False-alarm rates": Table.from_records(origin["budgets"]),
        "Fault types": Table.from_records(types, TYPE_COLUMNS),
        "Layers": Table.from_records(origin["ablation"]),
        "Systems without rules": Table.from_records(members),
        "Ensemble against its best member": Table.from_records([origin["ensemble_against_best_member"]]),
    }
    tables |= {f"Sizes of {name}": Table.from_records(rows) for name, rows in origin["sweeps"].items()}
    sections = [Section(f"Test year {year}", [_recall_figure(origin["types"])])]
    return sections + [Section(heading, [table], level=3) for heading, table in tables.items()]


def _targets(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The targets with a word for whether each was hit; "no target" for figures that are only reported."""
    words = {True: "hit", False: "missed", None: "no target"}
    return [row | {"hit": words[row["hit"]]} for row in rows]


def _recall_figure(types: dict[str, dict[str, Any]]) -> Markup:
    """Recall of every fault type with its Wilson interval, beside how often the fault-free twin alarmed."""
    names = sorted(types, key=lambda name: types[name]["twin_recall"])
    rows, positions = [types[name] for name in names], np.arange(len(names))
    figure, (axes,) = canvas(1, 1, 9, 0.24 * len(names) + 1)
    recall = np.array([row["twin_recall"] for row in rows])
    low, high = (np.array([row[f"wilson_{side}"] for row in rows]) for side in ("low", "high"))
    error = np.maximum([recall - low, high - recall], 0)
    axes.errorbar(recall, positions, xerr=error, fmt="o", label="twin recall, 95 % Wilson interval")
    axes.plot([row["null_recall"] for row in rows], positions, "x", label="null recall: the twin alarmed")
    axes.axvline(0.8, color=MUTED, linewidth=0.6)
    axes.set_yticks(positions, names)
    axes.set_xlim(-0.02, 1.02)
    axis_labels(axes, "share of events")
    axes.legend(loc="lower right")
    return inline_svg(figure)
