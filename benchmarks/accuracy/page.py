"""The benchmark as one HTML page that opens without a server: targets first, then cards, then reasons."""

from html import escape
from pathlib import Path
from typing import Any

from benchmarks.accuracy import plots
from benchmarks.accuracy.reasons import reasons
from benchmarks.accuracy.table import table
from benchmarks.accuracy.targets import value_of
from smartgrid_pipeline.core.evaluation.scoring.metrics import FORMULAS
from smartgrid_pipeline.core.evaluation.style import label

STYLE = """body{font:15px/1.45 sans-serif;margin:2rem auto;max-width:78rem;padding:0 1rem;color:#1f2933}
table{border-collapse:collapse;margin:.6rem 0 1.4rem;font-variant-numeric:tabular-nums}
td,th{padding:.22rem .65rem;border-bottom:1px solid #e3e8ee;text-align:right}th{color:#6b7785;font-weight:600}
td:first-child,th:first-child{text-align:left}.hit{color:#0b6e4f}.miss{color:#b04a00}.best{font-weight:700}
.wide{overflow-x:auto}svg{max-width:100%;height:auto}code{background:#f2f5f8;padding:.1rem .3rem}
small{color:#6b7785}"""

COLUMNS = (
    ("rmse_kw", "RMSE kW", 3), ("mae_kw", "MAE kW", 3), ("crps_kw", "CRPS kW", 3), ("r2", "R²", 3),
    ("mape_percent", "MAPE %", 1), ("wape_percent", "WAPE %", 1), ("cvrmse_percent", "CVRMSE %", 1),
    ("mase", "MASE", 2), ("coverage_80", "in 80 %", 3), ("width_80_kw", "width kW", 2),
    ("skill_persistence", "skill persist.", 3), ("skill_analogue", "skill analogue", 3),
    ("peak_hour_hit_rate", "peak hour", 2),
)  # fmt: skip
HIGHER = ("r2", "skill_persistence", "skill_analogue", "peak_hour_hit_rate")
NEITHER = ("coverage_80", "width_80_kw")


def write_page(result: dict[str, Any], path: Path) -> None:
    """Write the page beside the result file."""
    parts = [
        "<!doctype html><meta charset='utf-8'><title>Accuracy benchmark</title>",
        f"<style>{STYLE}</style><h1>Accuracy on the UCI house</h1>",
        f"<p>Fitted once on everything before {_day(result['protocol']['fit_before'])}; calibration rolls "
        f"month by month; judged until {_day(result['protocol']['until'])}. Same origins and intervals "
        f"for every model. <code>{escape(result['command'])}</code>, commit {escape(result['commit'][:10])}, "
        f"{escape(result['created'])}, {result['cpu_seconds'] / 60:.0f} min of CPU.</p>",
        "<h2>Targets</h2>",
        _targets(result["targets"]),
    ]
    for name, entry in result["cards"].items():
        parts += [
            f"<h2>{escape(name)}: {escape(entry['title'])}</h2>",
            f"<p>{entry['n_scored']:,} scored intervals from {entry['n_origins']:,} origins since "
            f"{_day(entry['from'])}.</p>",
            plots.ranking(name, entry),
            _models(entry["models"]),
            _tests(entry["tests"]),
        ]
        if name == "T4":
            parts.append(plots.coverage(entry["models"]))
    if "explanations" in result:
        parts.append(reasons(result["explanations"]))
    parts += ["<h2>Cost</h2>", _costs(result["models"]), "<h2>Formulas</h2>", _formulas()]
    path.write_text("\n".join(parts))


def _day(time: str) -> str:
    return escape(time[:10])


def _targets(rows: list[dict[str, Any]]) -> str:
    body = []
    for row in rows:
        verdict = (
            "<span class='hit'>hit</span>"
            if row["hit"]
            else f"<span class='miss'>missed by {row['missed_by']:.4f}</span>"
        )
        body.append([row["card"], row["metric"].replace("_", " "), row["target"],
                     escape(label(row["model"])), f"{row['value']:.4f}", verdict])  # fmt: skip
    return table(["card", "metric", "target", "model", "figure", ""], body)


def figure(value: Any, digits: int) -> str:
    """A figure with its spread over seeds where there is one."""
    if value is None:
        return "–"
    text = f"{value_of(value):.{digits}f}"
    if isinstance(value, dict) and value["sd"] is not None:
        text += f" <small>± {value['sd']:.{digits}f} ({value['n']})</small>"
    return text


def _models(models: dict[str, Any]) -> str:
    shown = [column for column in COLUMNS if any(m.get(column[0]) is not None for m in models.values())]
    best = {}
    for key, _, digits in shown:
        values = [value_of(m[key]) for m in models.values() if m.get(key) is not None]
        best[key] = f"{(max if key in HIGHER else min)(values):.{digits}f}"
    rows = []
    for name, figures in sorted(models.items(), key=lambda item: value_of(item[1]["crps_kw"])):
        cells = [escape(label(name))]
        for key, _, digits in shown:
            text = figure(figures.get(key), digits)
            is_best = key not in NEITHER and text.split(" ")[0] == best[key]
            cells.append(f"<span class='best'>{text}</span>" if is_best else text)
        rows.append(cells)
    return table(["model", *(head for _, head, _ in shown)], rows)


def _tests(tests: list[dict[str, Any]]) -> str:
    if not tests:
        return ""
    rows = [
        [
            f"{escape(label(t['a']))} against {escape(label(t['b']))}", t["loss"],
            f"{t['difference_percent']:+.2f} %", f"{t['low_percent']:+.2f} … {t['high_percent']:+.2f}",
            f"{t['bootstrap_p']:.4f}", f"{t['statistic']:+.2f}", f"{t['p']:.4f}",
        ]
        for t in tests
    ]  # fmt: skip
    heads = ["test", "loss", "difference", "95 % interval", "p bootstrap", "Diebold–Mariano", "p"]
    days = f"<p><small>{tests[0]['n_days']} days in blocks of {tests[0]['block_days']}.</small></p>"
    return table(heads, rows) + days


def _costs(models: dict[str, Any]) -> str:
    rows = []
    for name, told in models.items():
        fit, forecast = told.get("fit", {}), told.get("forecast", {})
        rows.append([
            escape(label(name)), f"{fit.get('cpu_seconds', float('nan')):.0f}",
            f"{forecast.get('cpu_seconds', float('nan')):.0f}",
            f"{max(fit.get('peak_memory_mb', 0), forecast.get('peak_memory_mb', 0)):.0f}",
            f"{told['size_mb']:.2f}" if "size_mb" in told else "–",
        ])  # fmt: skip
    return table(["model", "fit, CPU s", "forecasts, CPU s", "peak memory MB", "on disk MB"], rows)


def _formulas() -> str:
    return table(["metric", "formula"], [[escape(k), escape(v)] for k, v in FORMULAS.items()])
