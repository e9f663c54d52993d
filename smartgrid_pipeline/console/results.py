"""What the commands answer: plain documents for --json, and the same as tables for people."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from smartgrid_pipeline.core.schema import CARDS, MODEL_NAMES, DataError, RegistryError, Verdict

if TYPE_CHECKING:
    from smartgrid_pipeline.orchestration.resources import Workbench
    from smartgrid_pipeline.settings import Settings

Document = dict[str, Any]


def report(settings: "Settings", month: str | None) -> Document:
    """The stored summary of a month's comparison. Raises DataError when the month was never run."""
    folder = settings.data_dir / "reports"
    months = sorted(path.parent.name for path in folder.glob("*/summary.json"))
    if not months:
        raise DataError(f"No month has been run yet: {folder} holds no report. Start with `smartgrid run`.")
    if month is not None and month not in months:
        raise DataError(
            f"{month} has no report; found {', '.join(months)}. `smartgrid run --month {month}` makes it."
        )
    chosen = month or months[-1]
    document = json.loads((folder / chosen / "summary.json").read_text())
    now = _workbench(settings).registry.champion()
    return document | {
        "champion": None if now is None else champion_dict(now),
        "report": str(folder / chosen / "report.html"),
    }


def print_report(document: Document, out: Console) -> None:
    """Ranking per card, best model first, and the decision."""
    out.print(
        "RMSE, MAE and CRPS in kW; covers: share inside the 80 % interval; best CRPS first", style="dim"
    )
    titles = {card.name: card.title for card in CARDS}
    for card, content in document["cards"].items():
        title = f"{card}: {titles[card]} ({content['n_scored']} intervals scored)"
        table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1))
        table.add_column("model", no_wrap=True)
        for head in ("RMSE", "MAE", "MAPE %", "WAPE %", "CRPS", "covers", "R²"):
            table.add_column(head, justify="right", no_wrap=True)
        scored = {name: row for name, row in content["models"].items() if row["crps_kw"] is not None}
        for place, (name, row) in enumerate(sorted(scored.items(), key=lambda item: item[1]["crps_kw"])):
            mark = "[bold]" if place == 0 else ("" if name in MODEL_NAMES else "[dim]")
            formats = {"rmse_kw": ".3f", "mae_kw": ".3f", "mape_percent": ".1f", "wape_percent": ".1f",
                       "crps_kw": ".4f", "coverage_80": ".1%", "r2": ".3f"}  # fmt: skip
            table.add_row(f"{mark}{name}", *(_cell(row[key], spec) for key, spec in formats.items()))
        out.print(table)
    verdict = Verdict.from_dict(document["verdict"])
    said = "passed the gate" if verdict.passed else "did not pass the gate"
    out.print(f"challenger [bold]{document['challenger']}[/] {said}", highlight=False)
    for finding in verdict.failures:
        out.print(f"  ✗ {finding.rule}: found {finding.found}, demanded {finding.demanded}", markup=False)
    champion_now = document["champion"]
    if champion_now:
        out.print(
            f"champion   [bold green]{champion_now['model']}[/] trained for {champion_now['month']}, "
            f"version {champion_now['version']}, MLflow run {champion_now['run_id']}",
            highlight=False,
        )
    else:
        out.print("champion   none yet")


def _cell(value: float | None, spec: str) -> str:
    return "–" if value is None else format(value, spec)


def print_where_to_look(settings: "Settings", document: Document, out: Console) -> None:
    """Paths and commands for what was made."""
    extra = "" if settings.source == "uci" else f" --source {settings.source}"
    extra += f" --meter {settings.meter}" if settings.meter else ""
    out.print(f"report     {document['report']}", highlight=False, soft_wrap=True)
    out.print(f"UIs        smartgrid ui{extra}   (Dagster on :3000, MLflow on :5000)", highlight=False)
    out.print(f"numbers    smartgrid report --month {document['month']} --json{extra}", highlight=False)


def validate(settings: "Settings") -> Document:
    """The verdict of every month of a source, as the pipeline would give it. Raises SourceError."""
    from smartgrid_pipeline.orchestration import intake
    from smartgrid_pipeline.orchestration.resources import Workbench, months_of

    readings = Workbench(settings).readings
    months = [str(each) for each in np.unique(months_of(readings.frame))]
    last = pd.Timestamp(readings.identity.last)
    _, verdicts = intake.validate(readings.frame, readings.meter, months, last)
    return {
        "source": readings.identity.location,
        "meter": readings.meter.meter_id,
        "notes": list(readings.notes),
        "passed": all(verdict.passed for verdict in verdicts),
        "months": {verdict.subject: verdict.to_dict() for verdict in verdicts},
    }


def print_verdicts(document: Document, out: Console) -> None:
    """One line a month, and what failed."""
    for note in document["notes"]:
        out.print(f"note: {note}", highlight=False)
    for data in document["months"].values():
        verdict = Verdict.from_dict(data)
        out.print(f"[{'green' if verdict.passed else 'red'}]{'✓' if verdict.passed else '✗'}[/] ", end="")
        out.print(verdict.summary(), markup=False, highlight=False)


def defects(settings: "Settings") -> Document:
    """Defects of the whole source, from what was taken in, or from the readings when nothing was yet."""
    from smartgrid_pipeline.core import meter_data
    from smartgrid_pipeline.orchestration.resources import Workbench

    readings = Workbench(settings).readings
    grid = meter_data.to_grid(readings.frame, readings.meter)
    kinds = meter_data.defect_kinds(grid)
    found = meter_data.defect_table(kinds, readings.meter.step_minutes, readings.meter.channels)
    counts = found.groupby("kind")["minutes"].agg(["count", "sum"])
    return {
        "meter": readings.meter.meter_id,
        "source": readings.identity.location,
        "counts": {
            str(kind): {"intervals": int(row["count"]), "minutes": int(row["sum"])}
            for kind, row in counts.iterrows()
        },
        "defects": [
            {
                "start": str(row.start),
                "end": str(row.end),
                "kind": row.kind,
                "minutes": int(row.minutes),
                "channels": row.channels.split(","),
            }
            for row in found.itertuples()
        ],
    }


def print_defects(document: Document, out: Console) -> None:
    """Counts by kind, then the longest defects."""
    table = Table(title=f"defects of {document['meter']}", title_justify="left")
    for head in ("kind", "intervals", "minutes"):
        table.add_column(head, justify="left" if head == "kind" else "right")
    for kind, count in document["counts"].items():
        table.add_row(kind, str(count["intervals"]), str(count["minutes"]))
    out.print(table)
    longest = sorted(document["defects"], key=lambda row: -row["minutes"])[:12]
    for row in longest:
        out.print(f"{row['kind']:<12}{row['start']} … {row['end']}  {row['minutes']} min", highlight=False)
    if len(document["defects"]) > len(longest):
        out.print(f"… {len(document['defects']) - len(longest)} shorter ones; all of them with --json")


def champion(settings: "Settings") -> Document:
    """The champion and the ledger of its predecessors."""
    registry = _workbench(settings).registry
    now = registry.champion()
    return {
        "meter": settings.meter_slug,
        "champion": None if now is None else champion_dict(now),
        "ledger": [row.to_dict() for row in registry.ledger()],
    }


def champion_dict(now: Any) -> Document:
    """A champion as plain data."""
    return {
        "model": now.model,
        "month": now.month,
        "version": now.version,
        "run_id": now.run_id,
        "since": now.since.isoformat(),
    }


def print_champion(document: Document, out: Console) -> None:
    """Who it is, and the ledger."""
    now = document["champion"]
    if now is None:
        out.print("No champion yet: `smartgrid run` trains candidates and puts one through the gate.")
        return
    out.print(
        f"[bold green]{now['model']}[/] trained for {now['month']}, version {now['version']}, since "
        f"{now['since']}, MLflow run {now['run_id']}",
        highlight=False,
    )
    table = Table(title="ledger", title_justify="left")
    for head in ("when", "what", "model", "month", "from", "to", "why"):
        table.add_column(head)
    for row in document["ledger"]:
        table.add_row(
            row["when"][:19], row["action"], row["model"], row["month"], str(row["from_version"] or "–"),
            str(row["to_version"]), row["reason"],
        )  # fmt: skip
    out.print(table)


def promote(settings: "Settings", run_id: str, reason: str) -> str:
    """Promote a run on the evidence logged with it. Raises PromotionRefused with all that is missing."""
    from smartgrid_pipeline.orchestration import release

    promotion = release.promote_with_logged_evidence(_workbench(settings), run_id, reason)
    row = promotion.row
    if not promotion.changed:
        return f"{row.model} of {row.month} is champion already (version {row.to_version}); nothing changed."
    before = row.from_version or "none"
    return f"champion is now {row.model} of {row.month}, version {row.to_version} (was {before})"


def rollback(settings: "Settings", reason: str) -> str:
    """Give the title back. Raises PromotionRefused when there was no champion before."""
    row = _workbench(settings).registry.rollback(reason).row
    return f"champion is {row.model} of {row.month} again, version {row.to_version} (was {row.from_version})"


def forecast(settings: "Settings", file: str | None) -> Document:
    """The champion's forecast from the newest reading of a file, or of the meter itself."""
    from smartgrid_pipeline.orchestration import release
    from smartgrid_pipeline.sources import SourceSpec, read

    workbench = _workbench(settings)
    now = workbench.registry.champion()
    if now is None:
        raise RegistryError("There is no champion to forecast with: run `smartgrid run` first.")
    readings = workbench.readings if file is None else read(_spec(settings, file, SourceSpec))
    origin, frame = release.forecast_newest(workbench, now, readings.frame)
    return {
        "meter": readings.meter.meter_id,
        "origin": str(origin),
        "champion": champion_dict(now),
        "unit": "kW, mean over each interval (origin + lead_start, origin + lead_end]",
        "forecasts": frame.to_dict("records"),
    }


def print_forecast(document: Document, out: Console) -> None:
    """Next intervals in full, the day in hours."""
    out.print(f"{document['champion']['model']} for {document['meter']}, from {document['origin']}")
    table = Table()
    for head in ("from (min)", "to (min)", "mean kW", "10 %", "50 %", "90 %"):
        table.add_column(head, justify="right")
    frame = pd.DataFrame(document["forecasts"])
    width = frame["lead_end_minutes"] - frame["lead_start_minutes"]
    shown = frame[(width == 60) | (width >= 1440) | (frame["lead_end_minutes"] == width.min())]
    for row in shown.itertuples():
        table.add_row(
            f"{row.lead_start_minutes:.0f}", f"{row.lead_end_minutes:.0f}", f"{row.mean_kw:.3f}",
            f"{row.q10_kw:.3f}", f"{row.q50_kw:.3f}", f"{row.q90_kw:.3f}",
        )  # fmt: skip
    out.print(table)


def _workbench(settings: "Settings") -> "Workbench":
    from smartgrid_pipeline.orchestration.resources import Workbench

    return Workbench(settings)


def _spec(settings: "Settings", file: str, make: Any) -> Any:
    if not Path(file).exists() and "://" not in file:
        raise DataError(f"There is no file {file}.")
    fields = {**vars(settings.source_spec), "location": file}
    return make(**fields)
