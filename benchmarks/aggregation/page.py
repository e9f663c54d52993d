"""The page of the aggregation benchmark: error against the number of homes."""

from pathlib import Path
from typing import Any

from markupsafe import Markup

from benchmarks.shared.page import Section, inline_svg
from benchmarks.shared.page import write_page as write_result_page
from benchmarks.shared.tables import Table
from smartgrid_pipeline.core.evaluation.style import BAD, axis_labels, canvas, title

COLUMNS = ("population", "homes", "lead", "mape_percent", "wape_percent", "coverage_80", "width_80_percent",
           "draws")  # fmt: skip


def write_page(result: dict[str, Any], path: Path) -> None:
    """Write the page of a result file to ``path``."""
    rows = result["aggregation"]
    introduction = (
        "Leak-free forecasts of sums of homes, the last 91 days are the test. Dots: real homes; line: the "
        "simulated population; bars hold 80 % of the random draws."
    )
    sentences = [f"{sentence}." for sentence in result["below_one_percent"].values()]
    sections = [
        Section("Error against size", [*sentences, curve(rows)]),
        Section("Figures", [Table.from_records(rows, COLUMNS)]),
    ]
    write_result_page(path, "Error against the number of homes", introduction, result, sections)


def curve(rows: list[dict[str, Any]]) -> Markup:
    """MAPE against the number of homes, one panel per lead, both axes logarithmic."""
    leads = list(dict.fromkeys(row["lead"] for row in rows))
    figure, panels = canvas(1, len(leads), 4.0 * len(leads), 3.4)
    for axes, lead in zip(panels, leads, strict=True):
        for population, shape in (("simulated", "-"), ("real", "o")):
            chosen = [row for row in rows if row["lead"] == lead and row["population"] == population]
            sizes, errors = [row["homes"] for row in chosen], [row["mape_percent"] for row in chosen]
            axes.plot(sizes, errors, shape, label=population, markersize=5)
            for row in chosen:
                axes.vlines(row["homes"], *row["interval"], linewidth=1)
        axes.axhline(1.0, color=BAD, linewidth=1.2, linestyle="--")
        axes.set_xscale("log")
        axes.set_yscale("log")
        axis_labels(axes, "homes", "MAPE, %")
        axes.legend(frameon=False)
        title(axes, lead)
    return inline_svg(figure)
