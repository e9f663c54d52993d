"""Style of all figures and tables of the report: names, one colour-blind-safe palette, SVG output."""

from io import StringIO
from typing import TYPE_CHECKING

from smartgrid_pipeline.core.schema import EXPERT_NAMES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, GRID, OBSERVED = "#1f2933", "#6b7785", "#e3e8ee", "#1f2933"
BASELINE, EXPERT, MIXTURE, REFERENCE, BOOSTING = "#0072B2", "#E69F00", "#D55E00", "#8a94a0", "#117755"
GOOD, BAD = "#0b6e4f", "#b04a00"
EXPERT_COLOURS = {"gru": "#E69F00", "cnn_lstm": "#56B4E9", "transformer": "#009E73", "attention": "#CC79A7"}
SEQUENCE = ("#D55E00", "#0072B2", "#117755", "#8a94a0")
"""Colours of a few lines in one figure, the most important first (after Okabe and Ito)."""

LABELS = {
    "ridge": "Ridge",
    "random_forest": "Random forest",
    "extra_trees": "Extra trees",
    "gru": "GRU",
    "cnn_lstm": "CNN-LSTM",
    "transformer": "Transformer",
    "attention": "Attention",
    "mixture_of_experts": "Mixture of experts",
    "persistence": "Persistence",
    "seasonal_day": "Same time yesterday",
    "seasonal_week": "Same time last week",
    "analogue_7d": "7-day analogue",
    "analogue_28d": "28-day analogue",
    "lightgbm": "LightGBM",
    "equal_weights": "Equal weights",
    "best_expert": "Best single expert",
}

COLOURS = {
    "mixture_of_experts": MIXTURE,
    "lightgbm": BOOSTING,
    **dict.fromkeys(EXPERT_NAMES, EXPERT),
    **dict.fromkeys(("ridge", "random_forest", "extra_trees"), BASELINE),
}
"""Colour of a model by its group; every other name is a reference."""


def label(model: str) -> str:
    """Display name of a model."""
    return LABELS.get(model, model.replace("_", " "))


def colour(model: str) -> str:
    """Colour of a model's group."""
    return COLOURS.get(model, REFERENCE)


def canvas(rows: int, columns: int, width: float, height: float) -> "tuple[Figure, list[Axes]]":
    """A figure (inches) with rows × columns panels in house style, panels in reading order."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    panels = list(figure.subplots(rows, columns, squeeze=False).ravel())
    for axes in panels:
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        for side in ("left", "bottom"):
            axes.spines[side].set_color("#b8c1cb")
        axes.tick_params(colors=MUTED, labelsize=8.5, length=3)
        axes.grid(True, color=GRID, linewidth=0.7)
        axes.set_axisbelow(True)
    return figure, panels


def title(axes: "Axes", text: str) -> None:
    """Panel title, to the left like a heading."""
    axes.set_title(text, loc="left", fontsize=10, color=INK, fontweight="bold")


def axis_labels(axes: "Axes", x: str = "", y: str = "") -> None:
    """Axis labels, with units."""
    axes.set_xlabel(x, fontsize=9, color=MUTED)
    axes.set_ylabel(y, fontsize=9, color=MUTED)


def hide_rest(panels: "list[Axes]", used: int) -> None:
    """Blank the panels after the first ``used``."""
    for axes in panels[used:]:
        axes.set_visible(False)


def svg(figure: "Figure") -> str:
    """The figure as SVG text; the same figure gives the same bytes."""
    import matplotlib

    with matplotlib.rc_context({"svg.hashsalt": "smartgrid", "svg.fonttype": "path"}):
        buffer = StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()
