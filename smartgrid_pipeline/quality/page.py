"""Verdicts as one self-contained HTML page."""

from collections.abc import Sequence
from pathlib import Path

from smartgrid_pipeline.core.schema import Verdict


def render_html(verdicts: Sequence[Verdict]) -> str:
    """An HTML page of verdicts, grouped by suite, that needs no server and loads nothing."""
    from jinja2 import Environment, PackageLoader, select_autoescape

    environment = Environment(
        loader=PackageLoader("smartgrid_pipeline.quality", ""), autoescape=select_autoescape(["j2", "html"])
    )
    suites = {
        suite: [v for v in verdicts if v.suite == suite] for suite in sorted({v.suite for v in verdicts})
    }
    return environment.get_template("page.html.j2").render(
        suites=suites,
        passed=sum(verdict.passed for verdict in verdicts),
        total=len(verdicts),
        rules=sum(len(verdict.findings) for verdict in verdicts),
    )


def write_html(verdicts: Sequence[Verdict], path: Path) -> Path:
    """Write the page of ``render_html`` to a file; returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render_html(verdicts), encoding="utf-8")
    return path
