"""Figures of the anomaly report: alarms against the promised number, and each event beside what is normal."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from smartgrid_pipeline.core.anomaly.detection import Detection
from smartgrid_pipeline.core.schema import ACTIVE_POWER, CHANNELS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = {"data_quality": "#7f8c8d", "meter": "#c0392b", "behaviour": "#e0a030", "grid": "#2c6fbb"}


def alarms_per_month(detection: Detection, false_alarms_per_month: float) -> "Figure":
    """Bars of events per civil month and alarm class, with the promised number of false alarms as a line."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.2), layout="constrained")
    axes = figure.subplots()
    months = detection.scores.index.to_period("M").unique()
    bottom = np.zeros(len(months))
    for alarm_class, colour in COLOURS.items():
        chosen = detection.events[detection.events["alarm_class"] == alarm_class]
        counts = chosen["start"].dt.to_period("M").value_counts().reindex(months, fill_value=0).to_numpy()
        axes.bar(range(len(months)), counts, bottom=bottom, color=colour, label=alarm_class.replace("_", " "))
        bottom += counts
    axes.axhline(false_alarms_per_month, color="black", linestyle="--", linewidth=1)
    axes.annotate(
        f"promised: at most {false_alarms_per_month:g} false alarms a month",
        (len(months) - 0.5, false_alarms_per_month), ha="right", va="bottom", fontsize=8,
    )  # fmt: skip
    every = max(1, len(months) // 16)
    axes.set_xticks(range(0, len(months), every), [str(m) for m in months[::every]], rotation=45, fontsize=8)
    axes.set_ylabel("events")
    axes.legend(fontsize=8, ncols=4, loc="upper left")
    return figure


def normal_band(readings: pd.DataFrame, channel: str, start: pd.Timestamp, end: pd.Timestamp) -> pd.DataFrame:
    """Lowest 10 %, median and highest 10 % of a channel at each time of day over 28 days before ``start``.

    Rows are the readings from ``start`` to ``end``; columns low, middle, high.
    """
    past = readings.loc[start - pd.Timedelta("28D") : start - pd.Timedelta("1min"), channel]
    window = readings.loc[start:end].index
    if past.dropna().empty:
        return pd.DataFrame(np.nan, index=window, columns=["low", "middle", "high"])
    slot = (past.index.hour * 60 + past.index.minute) // 30
    band = past.groupby(slot).quantile([0.1, 0.5, 0.9]).unstack().reindex(range(48))
    rows = band.to_numpy()[(window.hour * 60 + window.minute) // 30]
    return pd.DataFrame(rows, index=window, columns=["low", "middle", "high"])


def event(readings: pd.DataFrame, row: pd.Series, most_channels: int = 4) -> "Figure":
    """One event (a row of Detection.events): its channels around it, over their normal band."""
    from matplotlib.figure import Figure

    start, end = pd.Timestamp(row["start"]), pd.Timestamp(row["end"])
    margin = max(pd.Timedelta("3h"), (end - start) * 0.5)
    window = readings.loc[start - margin : end + margin]
    named = [channel for channel in str(row["channels"]).split(",") if channel in readings]
    shown = list(dict.fromkeys([*named, ACTIVE_POWER]))[:most_channels]
    shown = [channel for channel in CHANNELS if channel in shown]
    figure = Figure(figsize=(9, 1.2 + 1.6 * len(shown)), layout="constrained")
    panels = np.atleast_1d(figure.subplots(len(shown), 1, sharex=True))
    for axes, channel in zip(panels, shown, strict=True):
        if len(window):
            band = normal_band(readings, channel, window.index[0], window.index[-1])
            axes.fill_between(band.index, band["low"], band["high"], color="#d8e3ee", label="usual 80 %")
            axes.plot(band.index, band["middle"], color="#8aa5bf", linewidth=0.8)
        axes.plot(window.index, window[channel], color="#1f2d3a", linewidth=0.7)
        axes.axvspan(start, end, color=COLOURS[str(row["alarm_class"])], alpha=0.2)
        axes.set_ylabel(channel, fontsize=7)
        axes.tick_params(labelsize=7)
    figure.suptitle(f"{start:%Y-%m-%d %H:%M} · {row['kind']} · {row['explanation']}"[:120], fontsize=9)
    return figure
