"""The page of the accuracy benchmark: targets, every model on every task, tests of differences, cost."""

from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from benchmarks.accuracy import page_explanations, plots
from benchmarks.accuracy.targets import value_of
from benchmarks.shared.page import Part, Section
from benchmarks.shared.page import write_page as write_result_page
from benchmarks.shared.tables import Table, marked
from smartgrid_pipeline.core.evaluation.scoring.metrics import FORMULAS
from smartgrid_pipeline.core.evaluation.style import label

COLUMNS = (
    ("rmse_kw", "RMSE kW", 3), ("mae_kw", "MAE kW", 3), ("crps_kw", "CRPS kW", 3), ("r2", "R²", 3),
    ("mape_percent", "MAPE %", 1), ("wape_percent", "WAPE %", 1), ("cvrmse_percent", "CVRMSE %", 1),
    ("mase", "MASE", 2), ("coverage_80", "in 80 %", 3), ("width_80_kw", "width kW", 2),
    ("skill_persistence", "skill persist.", 3), ("skill_analogue", "skill analogue", 3),
    ("peak_hour_hit_rate", "peak hour", 2),
)  # fmt: skip
"""Metric, heading and decimals."""

HIGHER_IS_BETTER = ("r2", "skill_persistence", "skill_analogue", "peak_hour_hit_rate")
WITHOUT_BEST = ("coverage_80", "width_80_kw")
"""Neither a high nor a low value of these is better."""


def write_page(result: dict[str, Any], path: Path) -> None:
    """Write the page of a result file to ``path``."""
    protocol = result["protocol"]
    introduction = (
        f"Fitted once on everything before {protocol['fit_before'][:10]}; calibration rolls month by month; "
        f"scored until {protocol['until'][:10]}. Same origins and intervals for every model."
    )
    sections = [Section("Targets", [_targets(result["targets"])])]
    sections += [_task_section(name, entry) for name, entry in result["cards"].items()]
    if "explanations" in result:
        sections += page_explanations.sections(result["explanations"])
    sections += [
        Section("Cost", [_costs(result["models"])]),
        Section("Formulas", [Table(["metric", "formula"], list(FORMULAS.items()))]),
    ]
    write_result_page(path, "Accuracy on the UCI house", introduction, result, sections)


def _task_section(name: str, entry: dict[str, Any]) -> Section:
    """One window of the test: figure, models and tests; the day ahead also its coverage by month."""
    parts: list[Part] = [
        f"{entry['n_scored']:,} scored intervals from {entry['n_origins']:,} origins since "
        f"{entry['from'][:10]}.",
        plots.ranking(name, entry),
        _models(entry["models"]),
    ]
    if tests := entry["tests"]:
        parts += [_tests(tests), f"{tests[0]['n_days']} days in blocks of {tests[0]['block_days']}."]
    if name == "T4":
        parts.append(plots.coverage(entry["models"]))
    return Section(f"{name}: {entry['title']}", parts)


def _targets(rows: list[dict[str, Any]]) -> Table:
    heads = ["card", "metric", "target", "model", "figure", ""]
    body = [
        [row["card"], row["metric"].replace("_", " "), row["target"], label(row["model"]),
         f"{row['value']:.4f}",
         marked("hit", "hit") if row["hit"] else marked(f"missed by {row['missed_by']:.4f}", "miss")]
        for row in rows
    ]  # fmt: skip
    return Table(heads, body)


def figure(value: Any, digits: int) -> Markup:
    """A figure with its standard deviation over seeds where there is one; a dash where it is undefined."""
    if value is None:
        return Markup("–")
    text = escape(f"{value_of(value):.{digits}f}")
    if isinstance(value, dict) and value["sd"] is not None:
        text += Markup(" <small>± {} ({})</small>").format(f"{value['sd']:.{digits}f}", value["n"])
    return text


def _models(models: dict[str, Any]) -> Table:
    """Models in order of CRPS; the best figure of each column is marked."""
    columns = [column for column in COLUMNS if any(m.get(column[0]) is not None for m in models.values())]
    best = {}
    for key, _, digits in columns:
        values = [value_of(m[key]) for m in models.values() if m.get(key) is not None]
        best[key] = f"{(max if key in HIGHER_IS_BETTER else min)(values):.{digits}f}"
    rows = []
    for name, figures in sorted(models.items(), key=lambda item: value_of(item[1]["crps_kw"])):
        cells: list[str] = [label(name)]
        for key, _, digits in columns:
            text = figure(figures.get(key), digits)
            is_best = key not in WITHOUT_BEST and text.split(" ")[0] == best[key]
            cells.append(marked(text, "best") if is_best else text)
        rows.append(cells)
    return Table(["model", *(head for _, head, _ in columns)], rows)


def _tests(tests: list[dict[str, Any]]) -> Table:
    heads = ["test", "loss", "difference", "95 % interval", "p bootstrap", "Diebold–Mariano", "p"]
    rows = [
        [
            f"{label(t['a'])} against {label(t['b'])}", t["loss"], f"{t['difference_percent']:+.2f} %",
            f"{t['low_percent']:+.2f} … {t['high_percent']:+.2f}", f"{t['bootstrap_p']:.4f}",
            f"{t['statistic']:+.2f}", f"{t['p']:.4f}",
        ]
        for t in tests
    ]  # fmt: skip
    return Table(heads, rows)


def _costs(models: dict[str, Any]) -> Table:
    rows = []
    for name, facts in models.items():
        fit, forecast = facts.get("fit", {}), facts.get("forecast", {})
        rows.append([
            label(name), f"{fit.get('cpu_seconds', float('nan')):.0f}",
            f"{forecast.get('cpu_seconds', float('nan')):.0f}",
            f"{max(fit.get('peak_memory_mb', 0), forecast.get('peak_memory_mb', 0)):.0f}",
            f"{facts['size_mb']:.2f}" if "size_mb" in facts else None,
        ])  # fmt: skip
    return Table(["model", "fit, CPU s", "forecasts, CPU s", "peak memory MB", "on disk MB"], rows)
