"""Frames and figures as Dagster metadata: numbers, tables and pictures people look at in the UI."""

import base64
from io import BytesIO
from typing import TYPE_CHECKING

import dagster as dg
import pandas as pd

from smartgrid_pipeline.core.schema import ACTIVE_POWER, OBSERVED_SHARE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from smartgrid_pipeline.sources import Readings

Metadata = dict[str, dg.MetadataValue | float | int | str]


def picture(figure: "Figure") -> dg.MarkdownMetadataValue:
    """A matplotlib figure as an embedded PNG."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=80, bbox_inches="tight")
    return dg.MetadataValue.md(f"![](data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()})")


def table(frame: pd.DataFrame, rows: int = 30) -> dg.MarkdownMetadataValue:
    """The first rows of a frame as a Markdown table, numbers to four significant digits."""
    shown = frame.head(rows)
    header = ["| " + " | ".join(map(str, shown.columns)) + " |", "|" + "---|" * len(shown.columns)]
    body = [
        "| " + " | ".join(f"{v:.4g}" if isinstance(v, float) else str(v) for v in row) + " |"
        for row in shown.itertuples(index=False)
    ]
    more = [f"\n… {len(frame) - rows} more rows"] if len(frame) > rows else []
    return dg.MetadataValue.md("\n".join(header + body + more))


def readings(frame: pd.DataFrame) -> Metadata:
    """Numbers and a picture of readings or of a feature table."""
    observed = frame[ACTIVE_POWER].notna()
    facts: Metadata = {
        "dagster/row_count": len(frame),
        "observed_share": float(observed.mean()) if len(frame) else 0.0,
        "mean_power_kw": float(frame[ACTIVE_POWER].mean()) if observed.any() else 0.0,
        "max_power_kw": float(frame[ACTIVE_POWER].max()) if observed.any() else 0.0,
        "first": str(frame.index.min()),
        "last": str(frame.index.max()),
        "channels": ", ".join(column for column in frame if column.endswith(("_kw", "_kvar", "_v", "_a"))),
    }
    if observed.any():
        facts["picture"] = picture(_profile(frame))
    return facts


def identity(source: "Readings") -> Metadata:
    """Where readings came from: location, hash, span, and what was assumed or is absent."""
    return {
        "source": source.identity.location,
        "sha256": source.identity.sha256,
        "source_rows": source.identity.rows,
        "meter": source.meter.meter_id,
        "notes": dg.MetadataValue.md("\n".join(f"- {note}" for note in source.notes) or "nothing to note"),
    }


def defects(found: pd.DataFrame) -> Metadata:
    """Defects by kind, and the table itself."""
    minutes = found.groupby("kind")["minutes"].agg(["count", "sum"]) if len(found) else found
    by_kind = {f"{kind}_minutes": int(row["sum"]) for kind, row in minutes.iterrows()} if len(found) else {}
    return {"dagster/row_count": len(found), "table": table(found), **by_kind}


def _profile(frame: pd.DataFrame) -> "Figure":
    """Daily mean power, and where readings are missing."""
    from matplotlib.figure import Figure

    ordered = frame[~frame.index.duplicated()].sort_index()
    daily = ordered[ACTIVE_POWER].resample("1D").mean()
    share = ordered[OBSERVED_SHARE] if OBSERVED_SHARE in ordered else ordered[ACTIVE_POWER].notna()
    observed = share.astype(float).resample("1D").mean()
    figure = Figure(figsize=(8, 3), layout="constrained")
    power, coverage = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    power.plot(daily.index, daily.to_numpy(), color="#0072B2", linewidth=1)
    power.set_ylabel("daily mean (kW)")
    coverage.fill_between(observed.index, 100 * observed.to_numpy(), color="#009E73", step="mid")
    coverage.set_ylabel("observed (%)")
    coverage.set_ylim(0, 105)
    return figure
