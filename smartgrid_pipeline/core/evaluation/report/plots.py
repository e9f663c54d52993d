"""Figures of models: training curves, gate weights, deployment costs, and the MAPE of different tasks."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from smartgrid_pipeline.core.evaluation.audits.mape_forensics import CLAIMED_FRACTION, Forensics
from smartgrid_pipeline.core.evaluation.style import (
    BASELINE,
    EXPERT_COLOURS,
    INK,
    MIXTURE,
    MUTED,
    REFERENCE,
    SEQUENCE,
    axis_labels,
    canvas,
    colour,
    hide_rest,
    label,
    title,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WORST_SHOWN_PERCENT = 15.0
LATENCY_TICKS_MS = [digit * 10.0**power for power in range(-2, 5) for digit in (1, 2, 5)]

LEAD_EDGES_MINUTES = (0, 15, 60, 180, 360, 720, 1440, 10_080)


def training_curves(curves_by_model: Mapping[str, pd.DataFrame]) -> "Figure":
    """Loss per step or round, a panel per model; a text column (``horizon``) splits into line styles."""
    shown = {model: frame for model, frame in curves_by_model.items() if len(frame)}
    columns = min(3, max(1, len(shown)))
    rows = max(1, -(-len(shown) // columns))
    figure, panels = canvas(rows, columns, 3.4 * columns, 2.7 * rows)
    for axes, (model, frame) in zip(panels, shown.items(), strict=False):
        _curve_panel(axes, frame)
        title(axes, label(model))
        axis_labels(axes, "step", "loss" if axes in panels[::columns] else "")
    hide_rest(panels, len(shown))
    return figure


def _curve_panel(axes: "Axes", frame: pd.DataFrame) -> None:
    losses = [c for c in frame.select_dtypes("number") if c != "step"]
    parts = [c for c in frame.select_dtypes(exclude="number") if c != "step"]
    groups = list(frame.groupby(parts[0], sort=False)) if parts else [("", frame)]
    for style, (part, rows) in zip(("-", "--", ":"), groups, strict=False):
        for line, column in zip(SEQUENCE, losses, strict=False):
            if rows[column].notna().any():
                axes.plot(rows["step"], rows[column], style, color=line, linewidth=1.4,
                          label=f"{column} {part}".strip())  # fmt: skip
    axes.legend(fontsize=7.5, frameon=False)


def expert_shares(shares: pd.DataFrame) -> "Figure":
    """Mean gate weight of each expert by hour of the target and by lead; columns as of SHARE_COLUMNS."""
    figure, (by_hour, by_lead) = canvas(1, 2, 10.2, 3.3)
    hourly = shares.pivot_table(index="hour", columns="expert", values="share", aggfunc="mean")
    bins = pd.cut(shares["lead_minutes"], list(LEAD_EDGES_MINUTES))
    leads = shares.assign(bin=bins).pivot_table(
        index="bin", columns="expert", values="share", aggfunc="mean", observed=True
    )
    experts = [name for name in EXPERT_COLOURS if name in hourly] + [
        name for name in hourly if name not in EXPERT_COLOURS
    ]
    shades = [EXPERT_COLOURS.get(name, REFERENCE) for name in experts]
    by_hour.stackplot(
        hourly.index, hourly[experts].T * 100, colors=shades, labels=[label(e) for e in experts]
    )
    bottom = np.zeros(len(leads))
    for expert, shade in zip(experts, shades, strict=True):
        by_lead.bar(range(len(leads)), leads[expert] * 100, bottom=bottom, color=shade, width=0.82)
        bottom += leads[expert].to_numpy() * 100
    by_lead.set_xticks(range(len(leads)), [f"≤ {_duration(int(i.right))}" for i in leads.index])
    by_hour.set_xlim(hourly.index.min(), hourly.index.max())
    by_hour.set_xticks(range(0, 24, 4))
    for axes in (by_hour, by_lead):
        axes.set_ylim(0, 100)
    title(by_hour, "By hour of the target")
    title(by_lead, "By lead")
    axis_labels(by_hour, "hour the interval begins (civil clock)", "mean gate weight, %")
    axis_labels(by_lead, "end of the lead interval")
    figure.legend(*by_hour.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8.5,
                  frameon=False)  # fmt: skip
    return figure


def _duration(minutes: int) -> str:
    return (
        f"{minutes} min"
        if minutes < 60
        else f"{minutes // 60} h"
        if minutes <= 1440
        else f"{minutes // 1440} d"
    )


def deployment(costs: pd.DataFrame, composite: pd.Series) -> "Figure | None":
    """Accuracy against the latency of one forecast, the area of a dot growing with its size on disk.

    ``costs`` as of deployment.COST_COLUMNS; ``composite`` as of Evaluation. Models more than
    WORST_SHOWN_PERCENT worse than the analogue are left out. None when nothing is left.
    """
    costs = costs.assign(gain=100 * (costs["model"].map(composite).astype(float) - 1))
    shown = costs[(costs["gain"] <= WORST_SHOWN_PERCENT) & costs["latency_ms"].notna()].sort_values("gain")
    if shown.empty:
        return None
    figure, (axes,) = canvas(1, 1, 10.2, max(3.6, 0.3 * len(shown)))
    area = 40 + 70 * shown["size_mb"].fillna(0)
    shades = [colour(model) for model in shown["model"]]
    axes.scatter(shown["latency_ms"], shown["gain"], s=area, c=shades, alpha=0.8, edgecolors="white")
    axes.axhline(0, color=MUTED, linewidth=0.8)
    axes.set_xscale("log")
    axes.margins(x=0.06, y=0.1)
    fastest, slowest = axes.get_xlim()
    ticks = [tick for tick in LATENCY_TICKS_MS if fastest <= tick <= slowest]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.invert_yaxis()
    _name_at_the_side(axes, shown)
    axis_labels(axes, "latency of one forecast, all leads: ms (log scale)",
                "composite CRPS against the analogue, %")  # fmt: skip
    return figure


def _name_at_the_side(axes: "Axes", shown: pd.DataFrame) -> None:
    """Write names in a column right of the panel, in the order of the dots, with a thin line to each dot."""
    places = np.linspace(0.97, 0.03, len(shown)) if len(shown) > 1 else np.array([0.5])
    for place, (_, row) in zip(places, shown.iterrows(), strict=True):
        size = f" · {row['size_mb']:.2f} MB" if np.isfinite(row["size_mb"]) else ""
        axes.annotate(
            f"{label(row['model'])} · {row['latency_ms']:.1f} ms{size}",
            (row["latency_ms"], row["gain"]), xytext=(1.02, place), textcoords="axes fraction",
            va="center", fontsize=8.5, color=INK, annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colour(row["model"]), "linewidth": 0.7, "alpha": 0.6,
                        "relpos": (0, 0.5)},
        )  # fmt: skip


def what_mape(forensics: Forensics, forecast_mape: Mapping[str, tuple[str, float]]) -> "Figure":
    """MAPE of the replaced task and of physics beside forecasts (task → model and its MAPE in per cent)."""
    bars = [("Claim of the replaced project", 100 * CLAIMED_FRACTION, "claim")]
    bars += [(f"{row.inputs}", row.mape_percent, row.study) for row in forensics.rows]
    bars += [(f"{card}: {label(model)}", value, "forecast") for card, (model, value) in forecast_mape.items()]
    shades = {"claim": REFERENCE, "replaced task": BASELINE, "physics oracle": BASELINE, "forecast": MIXTURE}
    figure, (axes,) = canvas(1, 1, 10.2, 0.75 + 0.33 * len(bars))
    axes.barh(
        range(len(bars)),
        [value for _, value, _ in bars],
        color=[shades[group] for *_, group in bars],
        height=0.66,
    )
    for y, (_, value, group) in enumerate(bars):
        note = f"{value:.1f} %" + (f"   printed as “{CLAIMED_FRACTION:.2f} %”" if group == "claim" else "")
        axes.text(value, y, f"  {note}", va="center", fontsize=8.5, color=INK)
    axes.set_yticks(range(len(bars)), [name for name, *_ in bars], fontsize=8.5)
    axes.invert_yaxis()
    axes.grid(False, axis="y")
    axes.set_xlim(0, 1.22 * max(value for _, value, _ in bars))
    axis_labels(axes, "MAPE, %")
    return figure
