"""The month's anomalies as one self-contained HTML page."""

import base64
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from smartgrid_pipeline.core.anomaly.detector import Detection
from smartgrid_pipeline.core.schema import Meter

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def render(
    meter: Meter,
    month: str,
    detection: Detection,
    figures: "Mapping[str, Figure]",
    false_alarms_per_month: float,
) -> str:
    """Events as a table, the alarms against the promised number, and the gravest events drawn."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2").render(
        meter=meter,
        month=month,
        false_alarms_per_month=false_alarms_per_month,
        events=detection.events.to_dict("records"),
        inactive_monitors=detection.inactive_monitors,
        alarmed_share=float(detection.scores["alarm"].mean()) if len(detection.scores) else 0.0,
        images={name: _embedded(figure) for name, figure in figures.items()},
    )


def _embedded(figure: "Figure") -> str:
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=90, bbox_inches="tight")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
