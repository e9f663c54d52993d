"""Figures of forecasts: ranking, reliability, coverage, single days, daily loss."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from smartgrid_pipeline.core.evaluation.scoring.comparison import (
    COMPOSITE_TASKS,
    Evaluation,
    composite_loss_of,
)
from smartgrid_pipeline.core.evaluation.scoring.metrics import ANALOGUE, reliability, row_loss
from smartgrid_pipeline.core.evaluation.style import (
    GOOD,
    GRID,
    INK,
    MUTED,
    OBSERVED,
    REFERENCE,
    axis_labels,
    canvas,
    colour,
    hide_rest,
    label,
    title,
)
from smartgrid_pipeline.core.schema import FORECAST_TASKS, QUANTILE_COLUMNS, QUANTILES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WORST_SHOWN_PERCENT = 30.0
"""Models worse than the analogue by more than this are drawn at the edge, with their number."""

FEWEST_INTERVALS = 100
"""Scored intervals that a reliability diagram needs; with fewer it shows chance."""

TITLES = {card.name: card.title for card in FORECAST_TASKS}


def ranking(scores: Evaluation) -> "Figure | None":
    """CRPS of each model against the 28-day analogue (95 % intervals), a panel per card; None without it."""
    tests = scores.tests[scores.tests["b"] == ANALOGUE]
    cards = [card for card in scores.cards if (tests["card"] == card).any()]
    if not cards:
        return None
    n = int(tests.groupby("card").size().max())
    rows = -(-len(cards) // 2)
    figure, panels = canvas(rows, 2, 10.2, rows * (0.9 + 0.19 * n))
    figure.set_layout_engine("constrained", h_pad=0.09)
    for i, (axes, card) in enumerate(zip(panels, cards, strict=False)):
        shown = tests[tests["card"] == card].sort_values("mean_difference_percent", ascending=False)
        _ranking_panel(axes, shown)
        title(axes, f"{card} · {TITLES[card].split(',')[0]}")
        last = i + 2 >= len(cards)
        axis_labels(axes, "CRPS against the 28-day analogue, % (left is better)" if last else "")
    hide_rest(panels, len(cards))
    return figure


def _ranking_panel(axes: "Axes", shown: pd.DataFrame) -> None:
    middle, low, high = (
        shown[name].to_numpy() for name in ("mean_difference_percent", "low_percent", "high_percent")
    )
    left = min(-4.0, 1.08 * float(low.min()))
    right = min(max(6.0, -left), WORST_SHOWN_PERCENT)
    axes.axvline(0, color=INK, linewidth=1)
    for y, (model, m, a, b) in enumerate(zip(shown["a"], middle, low, high, strict=True)):
        if m > right:
            axes.text(right, y, f"+{m:.0f} % ▸", ha="right", va="center", fontsize=8, color=MUTED)
            continue
        axes.plot([a, min(b, right)], [y, y], color=colour(model), linewidth=2.2, alpha=0.45)
        axes.plot([m], [y], "o", color=colour(model), markersize=5.5)
    axes.set_xlim(left, right)
    axes.set_ylim(-0.7, len(shown) - 0.3)
    axes.set_yticks(range(len(shown)), [label(model) for model in shown["a"]], fontsize=8.5)
    for tick, model in zip(axes.get_yticklabels(), shown["a"], strict=True):
        tick.set_color(colour(model))
    axes.grid(False, axis="y")


def reliability_diagram(scores: Evaluation, models: Sequence[str]) -> "Figure | None":
    """Share of observations below each quantile against its level, by card; the diagonal is perfect.

    Cards with fewer than FEWEST_INTERVALS scored intervals are left out; None when that leaves nothing.
    """
    shown = {
        card: frames
        for card, frames in scores.aligned.items()
        if len(next(iter(frames.values()))) >= FEWEST_INTERVALS
    }
    if not shown:
        return None
    columns = max(2, len(shown))
    figure, panels = canvas(1, columns, min(10.2, 3.4 * columns), 3.1)
    for axes, (card, frames) in zip(panels, shown.items(), strict=False):
        axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
        for model in [model for model in models if model in frames]:
            axes.plot(QUANTILES, reliability(frames[model]), label=label(model), **_line(model))
        axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
        title(axes, f"{card} · {len(next(iter(frames.values()))):,} intervals")
        axis_labels(axes, "quantile level", "observations at or below" if axes is panels[0] else "")
    _legend_below(figure, panels[0])
    hide_rest(panels, len(shown))
    return figure


def _line(model: str) -> dict[str, Any]:
    """Style of a model's line: the colour of its group, dashed for references."""
    dashed = colour(model) == REFERENCE
    return {"color": colour(model), "linewidth": 1.5, "marker": "o", "markersize": 3.2,
            "linestyle": (0, (4, 2)) if dashed else "-"}  # fmt: skip


def _legend_below(figure: "Figure", axes: "Axes") -> None:
    handles = axes.get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=5, fontsize=8.5, frameon=False)


def coverage(month: Evaluation, span: Evaluation, models: Sequence[str], card: str) -> "Figure":
    """Coverage of the 80 % interval on a card by hour of day (the month) and by month (all scored months)."""
    figure, (by_hour, by_month) = canvas(1, 2, 10.2, 3.4)
    for axes, scores, group in ((by_hour, month, _hour), (by_month, span, _month)):
        axes.axhspan(0.78, 0.82, color=GOOD, alpha=0.13, linewidth=0)
        axes.axhline(0.8, color=GOOD, linewidth=1)
        frames = scores.aligned.get(card, {})
        for model in [model for model in models if model in frames]:
            share = _covered(frames[model]).groupby(group(frames[model])).mean()
            places = range(len(share)) if axes is by_month else share.index
            axes.plot(places, share, label=label(model), **_line(model))
        axes.set_ylim(min(0.4, axes.get_ylim()[0]), 1.0)
    months = _months(span, card)
    every = max(1, len(months) // 8)
    by_month.set_xticks(range(0, len(months), every), months[::every])
    by_month.set_xlim(-0.5, max(len(months) - 0.5, 0.5))
    by_hour.set_xticks(range(0, 25, 4))
    title(by_hour, f"{card}, by hour of the day")
    title(by_month, f"{card}, by month")
    axis_labels(by_hour, "hour the interval begins (civil clock)", "share within the 80 % interval")
    axis_labels(by_month, "month")
    _legend_below(figure, by_hour)
    return figure


def _hour(frame: pd.DataFrame) -> pd.Series:
    return frame["interval_start"].dt.hour.rename("hour")


def _month(frame: pd.DataFrame) -> pd.Series:
    return frame["origin"].dt.strftime("%Y-%m").rename("month")


def _months(scores: Evaluation, card: str) -> list[str]:
    frames = scores.aligned.get(card, {})
    return sorted(_month(next(iter(frames.values()))).unique()) if frames else []


def _covered(frame: pd.DataFrame) -> pd.Series:
    observed = frame["observed_kw"].to_numpy()
    low, high = frame[QUANTILE_COLUMNS[0]].to_numpy(), frame[QUANTILE_COLUMNS[-1]].to_numpy()
    return pd.Series((observed >= low) & (observed <= high), index=frame.index)


def day_forecasts(scores: Evaluation, model: str, card: str) -> "Figure | None":
    """Forecasts of the days at the 10th, 50th and 90th percentile of daily CRPS. None when no day was
    scored.
    """
    frame = scores.aligned.get(card, {}).get(model, pd.DataFrame())
    if frame.empty:
        return None
    daily = pd.Series(row_loss(frame, "crps")).groupby(frame["origin"].to_numpy()).agg(["mean", "size"])
    whole = daily[daily["size"] == daily["size"].max()].sort_values("mean", kind="stable")
    picks = [whole.index[round(share * (len(whole) - 1))] for share in (0.1, 0.5, 0.9)]
    figure, panels = canvas(1, 3, 10.2, 3.5)
    top = max(float(frame.loc[frame["origin"].isin(picks), c].max()) for c in ("observed_kw", "q90_kw"))
    for axes, origin, difficulty in zip(panels, picks, ("easy", "typical", "hard"), strict=True):
        day = frame[frame["origin"] == origin]
        _quantile_bands(axes, day, model)
        axes.set_ylim(0, top * 1.05)
        title(axes, f"{difficulty}: {pd.Timestamp(origin):%a %d %b}")
        axis_labels(axes, "hour (civil clock)", "mean power, kW" if axes is panels[0] else "")
    panels[0].legend(fontsize=8, frameon=False, loc="upper left")
    return figure


def _quantile_bands(axes: "Axes", day: pd.DataFrame, model: str) -> None:
    shade = colour(model)
    edges = [*day["interval_start"], day["interval_end"].iloc[-1]]
    hours = np.array([(edge - day["origin"].iloc[0]).total_seconds() / 3600 for edge in edges])

    def stepped(column: str) -> np.ndarray:
        return np.append(day[column].to_numpy(), day[column].iloc[-1])

    pairs = [(0, 8, 0.14, "80 %"), (1, 7, 0.14, "60 %"), (2, 6, 0.16, "40 %"), (3, 5, 0.18, "20 %")]
    for low, high, alpha, name in pairs:
        axes.fill_between(hours, stepped(QUANTILE_COLUMNS[low]), stepped(QUANTILE_COLUMNS[high]), step="post",
                          color=shade, alpha=alpha, linewidth=0,
                          label="20 … 80 % intervals" if name == "80 %" else None)  # fmt: skip
    axes.step(
        hours, stepped("q50_kw"), where="post", color=shade, linewidth=1.3, label=f"{label(model)}, median"
    )
    axes.step(hours, stepped("observed_kw"), where="post", color=OBSERVED, linewidth=1.1, label="observed")
    axes.set_xlim(0, 24)
    axes.set_xticks(range(0, 25, 6))


def daily_loss(scores: Evaluation, models: Sequence[str]) -> "Figure | None":
    """Composite loss of each day of the month: the analogue's mean is 1. None without the analogue."""
    if ANALOGUE not in scores.models:
        return None
    losses = composite_loss_of(scores.aligned, [model for model in models if model in scores.models])
    figure, (axes,) = canvas(1, 1, 10.2, 2.9)
    axes.axhline(1, color=GRID, linewidth=1.2)
    for model in losses:
        name = f"{label(model)} (mean {losses[model].mean():.2f})"
        axes.plot(losses.index, losses[model], label=name, **_line(model))
    for day in losses.index[losses.index.day_of_week >= 5]:
        axes.axvspan(
            day - pd.Timedelta("12h"), day + pd.Timedelta("12h"), color="#f3f5f8", linewidth=0, zorder=0
        )
    cards = ", ".join(card for card in COMPOSITE_TASKS if card in scores.cards)
    axis_labels(axes, "day of origin (weekends shaded)", "composite CRPS")
    title(axes, f"Day by day: mean over {cards} of CRPS, as a multiple of the 28-day analogue's mean")
    axes.set_ylim(0, None)
    axes.margins(x=0.01)
    _legend_below(figure, axes)
    _day_ticks(axes, losses.index)
    return figure


def _day_ticks(axes: "Axes", days: pd.DatetimeIndex) -> None:
    shown = days[:: max(1, len(days) // 8)]
    axes.set_xticks(shown, [f"{day:%d %b}" for day in shown])
