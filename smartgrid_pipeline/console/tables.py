"""The same answers for people: tables on the terminal."""

import shlex
from typing import TYPE_CHECKING, Any

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from smartgrid_pipeline.core.schema import FORECAST_TASKS, MODEL_NAMES, Verdict

if TYPE_CHECKING:
    from smartgrid_pipeline.settings import Settings

Document = dict[str, Any]


def print_report(document: Document, out: Console) -> None:
    """Ranking per card, best model first, and the decision."""
    out.print(
        "RMSE, MAE, CRPS in kW; MAPE, WAPE in per cent; covers: share inside the 80 % interval", style="dim"
    )
    titles = {card.name: card.title for card in FORECAST_TASKS}
    for card, content in document["cards"].items():
        title = f"{card}: {titles[card]} ({content['n_scored']} intervals scored)"
        table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
        table.add_column("model", no_wrap=True)
        for head in ("RMSE", "MAE", "MAPE", "WAPE", "CRPS", "covers", "R²"):
            table.add_column(head, justify="right", no_wrap=True)
        scored = {name: row for name, row in content["models"].items() if row["crps_kw"] is not None}
        for place, (name, row) in enumerate(sorted(scored.items(), key=lambda item: item[1]["crps_kw"])):
            mark = "[bold]" if place == 0 else ("" if name in MODEL_NAMES else "[dim]")
            formats = {"rmse_kw": ".3f", "mae_kw": ".3f", "mape_percent": ".1f", "wape_percent": ".1f",
                       "crps_kw": ".3f", "coverage_80": ".1%", "r2": ".3f"}  # fmt: skip
            table.add_row(f"{mark}{name}", *(_cell(row[key], spec) for key, spec in formats.items()))
        out.print(table)
    verdict = Verdict.from_dict(document["verdict"])
    outcome = "passed the gate" if verdict.passed else "did not pass the gate"
    out.print(f"challenger [bold]{document['challenger']}[/] {outcome}", highlight=False)
    if why := document.get("why_not_the_best"):
        out.print(f"  {why}", markup=False, highlight=False)
    for finding in verdict.failures:
        out.print(f"  ✗ {finding.rule}: found {finding.found}, demanded {finding.demanded}", markup=False)
    for audit in document.get("failed_audits", []):
        out.print(f"  ✗ {audit}", markup=False, highlight=False)
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
    extra = _source_options(settings)
    out.print(f"report     {document['report']}", highlight=False, soft_wrap=True)
    out.print(
        f"UIs        smartgrid ui{extra}   (Dagster on :3000, MLflow on :5000)",
        highlight=False,
        soft_wrap=True,
    )
    out.print(
        f"numbers    smartgrid report --month {document['month']} --json{extra}",
        highlight=False,
        soft_wrap=True,
    )


def _source_options(settings: "Settings") -> str:
    """Options with which the next command means the same meter, ready for a shell."""
    names = ("source", "meter", "time_column", "value_column", "unit", "timezone", "table", "query")
    given = {name: getattr(settings, name) for name in names if name in settings.model_fields_set}
    words = [f"--{name.replace('_', '-')} {shlex.quote(value)}" for name, value in given.items() if value]
    return "".join(f" {word}" for word in words)


def print_verdicts(document: Document, out: Console) -> None:
    """One line a month, and what failed."""
    for note in document["notes"]:
        out.print(f"note: {note}", highlight=False)
    for data in document["months"].values():
        verdict = Verdict.from_dict(data)
        out.print(f"[{'green' if verdict.passed else 'red'}]{'✓' if verdict.passed else '✗'}[/] ", end="")
        out.print(verdict.summary(), markup=False, highlight=False)


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


def print_forecast(document: Document, out: Console) -> None:
    """Which tier of the fallback chain forecasts and why; the next intervals, then the day in hours."""
    tier, champion_now = document["tier"], document["champion"]
    model = champion_now["model"] if tier.startswith("champion") else tier.replace("_", " ")
    out.print(f"{model} for {document['meter']}, from {document['origin']}", highlight=False)
    why = f": {document['reason']}" if document["reason"] else ""
    out.print(f"tier {tier}{why}", style="dim" if tier == "champion" else "yellow", markup=False)
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


def print_anomalies(document: Document, out: Console) -> None:
    """The events, one a line."""
    out.print(f"detected by {document['basis']}", style="dim")
    if document["monitors_off"]:
        out.print(f"off: {', '.join(document['monitors_off'])}", style="dim")
    table = Table(title=f"{len(document['events'])} events", title_justify="left", box=SIMPLE_HEAD)
    for head in ("start", "end", "what", "class", "severity", "kWh", "explanation"):
        table.add_column(head)
    for row in document["events"]:
        table.add_row(
            row["start"], row["end"], row["kind"], row["alarm_class"].replace("_", " "), str(row["severity"]),
            f"{row['energy_kwh']:.2f}", row["explanation"],
        )  # fmt: skip
    out.print(table)
