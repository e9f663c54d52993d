"""Result pages: sections of text, tables and figures, written as one HTML file that needs no server."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.figure import Figure

from benchmarks.shared.tables import Table, shown

Part = str | Markup | Table
"""A paragraph of plain text, ready-made HTML (an SVG figure), or a table."""


@dataclass(frozen=True)
class Section:
    """A heading of level 2 or 3 and what stands below it, in order."""

    heading: str
    parts: Sequence[Part]
    level: int = 2


def write_page(
    path: Path, title: str, introduction: str, result: Mapping[str, Any], sections: Sequence[Section]
) -> None:
    """Write a page to ``path``; ``result`` has the head of a result file (see ``result_head.head``).

    Everything that is not Markup is escaped.
    """
    loader = FileSystemLoader(Path(__file__).parent)
    environment = Environment(loader=loader, autoescape=True)
    environment.filters["shown"] = shown
    template = environment.get_template("page.html.j2")
    path.write_text(template.render(title=title, introduction=introduction, result=result, sections=sections))


def inline_svg(figure: Figure) -> Markup:
    """A figure as an SVG element; text stays text and coordinates have one decimal, which keeps it small."""
    buffer = StringIO()
    with rc_context({"svg.hashsalt": "smartgrid", "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = re.sub(r"font-family: [^;]*;", "", text[text.index("<svg") :])
    return Markup(re.sub(r"(\d+\.\d)\d+", r"\1", text))
