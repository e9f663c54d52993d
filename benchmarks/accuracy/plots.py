"""Figures of the accuracy page, as SVG elements."""

from typing import Any

from markupsafe import Markup

from benchmarks.accuracy.targets import TARGETS, value_of
from benchmarks.shared.page import inline_svg
from smartgrid_pipeline.core.evaluation.style import (
    BAD,
    EXPERT_COLOURS,
    INK,
    MUTED,
    SEQUENCE,
    axis_labels,
    canvas,
    colour,
    label,
    title,
)

PANELS = {"rmse_kw": "RMSE, kW", "mae_kw": "MAE, kW", "crps_kw": "CRPS, kW", "cvrmse_percent": "CVRMSE, %"}
WORST_SHOWN = 1.5
"""Bars are cut at this many times the best, so that a bad reference leaves room for the others."""

COVERAGE_MODELS = ("mixture_of_experts", "lightgbm", "equal_weights", "analogue_28d")


def ranking(window: str, entry: dict[str, Any]) -> Markup:
    """Bars of the main metrics of every model, the target as a line."""
    models = entry["models"]
    has = [key for key in PANELS if any(figures.get(key) is not None for figures in models.values())]
    keys = ["cvrmse_percent", "crps_kw"] if "cvrmse_percent" in has else ["rmse_kw", "mae_kw", "crps_kw"]
    figure, panels = canvas(1, len(keys), 3.7 * len(keys), 0.9 + 0.26 * len(models))
    for axes, key in zip(panels, keys, strict=True):
        _bars(axes, {name: value_of(figures.get(key)) for name, figures in models.items()})
        bound = next((t.high for t in TARGETS if t.window == window and t.metric == key), None)
        if bound is not None:
            axes.axvline(bound, color=BAD, linewidth=1.3, linestyle="--")
        title(axes, PANELS[key])
    return inline_svg(figure)


def _bars(axes: Any, values: dict[str, float]) -> None:
    ranked = sorted((item for item in values.items() if item[1] == item[1]), key=lambda item: -item[1])
    limit = WORST_SHOWN * ranked[-1][1] if ranked else 1.0
    names = [name for name, _ in ranked]
    shown = [min(value, limit) for _, value in ranked]
    axes.barh(range(len(names)), shown, color=[colour(name) for name in names], height=0.68)
    for y, (_, value) in enumerate(ranked):
        axes.text(min(value, limit), y, f" {value:.3f}", va="center", fontsize=7.5, color=INK)
    axes.set_yticks(range(len(names)), [label(name) for name in names])
    axes.set_xlim(0, 1.18 * limit)


def coverage(models: dict[str, Any]) -> Markup:
    """Coverage of the 80 % interval in each month of the day-ahead test."""
    figure, (axes,) = canvas(1, 1, 10.2, 3.0)
    names = [name for name in COVERAGE_MODELS if name in models]
    for name, shade in zip(names, SEQUENCE, strict=False):
        months = models[name]["coverage_80_by_month"]
        axes.plot(list(months), [100 * v for v in months.values()], "o-", color=shade, label=label(name),
                  markersize=4, linewidth=1.3)  # fmt: skip
    axes.axhspan(75, 85, color=MUTED, alpha=0.12)
    axes.axhline(80, color=MUTED, linewidth=0.8)
    axes.legend(fontsize=8, frameon=False, ncols=4)
    title(axes, "Share of hours inside the 80 % interval, by month (band: 75 … 85 %)")
    axis_labels(axes, "month of the origin", "%")
    return inline_svg(figure)


def gate_weights(facts: dict[str, Any]) -> Markup:
    """Mean gate weight of each expert by hour and season of the target and by lead."""
    figure, panels = canvas(1, 3, 12.0, 3.2)
    names = list(facts["mean"])
    for axes, key in zip(panels, ("by_hour", "by_season", "by_lead"), strict=True):
        groups = facts[key]
        bottom = [0.0] * len(groups)
        for name in names:
            heights = [100 * groups[group][name] for group in groups]
            axes.bar(range(len(groups)), heights, bottom=bottom, width=0.85,
                     color=EXPERT_COLOURS.get(name, MUTED), label=label(name))  # fmt: skip
            bottom = [a + b for a, b in zip(bottom, heights, strict=True)]
        every = 4 if key == "by_hour" else 1
        axes.set_xticks(range(0, len(groups), every), list(groups)[::every], rotation=0 if every > 1 else 25)
        axes.set_ylim(0, 100)
        title(axes, key.replace("by_", "By ").replace("lead", "end of the lead"))
    axis_labels(panels[0], "hour the interval begins", "mean weight, %")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(names),
                  fontsize=8, frameon=False)  # fmt: skip
    return inline_svg(figure)


def day_weights(by_days_back: dict[str, float]) -> Markup:
    """Mean weight of each past day in the attention expert's forecast."""
    figure, (axes,) = canvas(1, 1, 8.5, 2.4)
    axes.bar([int(k) for k in by_days_back], [100 * w for w in by_days_back.values()], color=SEQUENCE[1])
    axis_labels(axes, "days before the target", "mean weight, %")
    return inline_svg(figure)
