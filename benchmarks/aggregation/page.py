"""The curve of error against the number of homes, as one HTML page that opens without a server."""

from html import escape
from pathlib import Path
from typing import Any

from smartgrid_pipeline.core.evaluation.style import BAD, axis_labels, canvas, svg, title

STYLE = """body{font:15px sans-serif;margin:2rem;max-width:70rem}table{border-collapse:collapse}
td,th{padding:.2rem .6rem;border-bottom:1px solid #ddd;text-align:right}
td:nth-child(-n+3),th:nth-child(-n+3){text-align:left}svg{max-width:100%}"""

COLUMNS = ("population", "homes", "lead", "mape_percent", "wape_percent", "coverage_80", "width_80_percent",
           "draws")  # fmt: skip


def write_page(result: dict[str, Any], path: Path) -> None:
    """Write the page beside the result file."""
    rows = result["aggregation"]
    head = "".join(f"<th>{escape(name.replace('_', ' '))}</th>" for name in COLUMNS)
    body = "".join(
        "<tr>" + "".join(f"<td>{_cell(row[name])}</td>" for name in COLUMNS) + "</tr>" for row in rows
    )
    path.write_text(
        "\n".join(
            [
                "<!doctype html><meta charset='utf-8'><title>Error against the number of homes</title>",
                f"<style>{STYLE}</style><h1>Error against the number of homes</h1>",
                "<p>Leak-free forecasts of sums of homes, the last 91 days judged. Dots: real homes; "
                "line: the simulated population; bars hold 80 % of the random draws. "
                f"<code>{escape(result['command'])}</code>, {escape(result['created'])}.</p>",
                "".join(f"<p>{escape(said)}.</p>" for said in result["below_one_percent"].values()),
                curve(rows),
                f"<table><tr>{head}</tr>{body}</table>",
            ]
        )
    )


def curve(rows: list[dict[str, Any]]) -> str:
    """MAPE against the number of homes, one panel per lead, both axes logarithmic."""
    leads = list(dict.fromkeys(row["lead"] for row in rows))
    figure, panels = canvas(1, len(leads), 4.0 * len(leads), 3.4)
    for axes, lead in zip(panels, leads, strict=True):
        for population, shape in (("simulated", "-"), ("real", "o")):
            mine = [row for row in rows if row["lead"] == lead and row["population"] == population]
            x, y = [row["homes"] for row in mine], [row["mape_percent"] for row in mine]
            axes.plot(x, y, shape, label=population, markersize=5)
            for row in mine:
                axes.vlines(row["homes"], *row["interval"], linewidth=1)
        axes.axhline(1.0, color=BAD, linewidth=1.2, linestyle="--")
        axes.set_xscale("log")
        axes.set_yscale("log")
        axis_labels(axes, "homes", "MAPE, %")
        axes.legend(frameon=False)
        title(axes, lead)
    return svg(figure)


def _cell(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else escape(str(value))
