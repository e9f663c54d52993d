"""The end of the benchmark on the console: every model on every task, and the targets."""

from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.accuracy.targets import value_of

SHOWN = {
    "T1": ("rmse_kw", "mae_kw", "mape_percent", "crps_kw"),
    "T1_path": ("rmse_kw", "mae_kw", "r2", "crps_kw"),
    "T2": ("rmse_kw", "mae_kw", "r2", "crps_kw"),
    "T3": ("rmse_kw", "mae_kw", "r2", "crps_kw"),
    "T4": ("cvrmse_percent", "mae_kw", "crps_kw", "coverage_80"),
    "T4_year": ("cvrmse_percent", "mae_kw", "crps_kw", "coverage_80"),
    "T5": ("rmse_kw", "mae_kw", "crps_kw"),
    "T5_week": ("rmse_kw", "mae_kw", "crps_kw"),
}


def print_table(result: dict[str, Any]) -> None:
    """One table per card, models in order of CRPS, then the targets."""
    console = Console(width=110)
    for card, entry in result["cards"].items():
        console.print(f"\n[bold]{card}[/bold] {entry['title']}, {entry['n_scored']:,} scored intervals")
        console.print(_card(card, entry))
    if not result["targets"]:
        return
    console.print("\n[bold]Targets[/bold]")
    table = Table("card", "metric", "target", "model", "figure", "")
    for row in result["targets"]:
        verdict = "[green]hit[/green]" if row["hit"] else f"[red]missed by {row['missed_by']:.4f}[/red]"
        table.add_row(row["card"], row["metric"], row["target"], row["model"], f"{row['value']:.4f}", verdict)
    console.print(table)


def _card(card: str, entry: dict[str, Any]) -> Table:
    table = Table("model", *(name.replace("_", " ") for name in SHOWN[card]), "skill analogue")
    ranked = sorted(entry["models"].items(), key=lambda item: value_of(item[1]["crps_kw"]))
    for model, figures in ranked:
        values = [value_of(figures.get(name)) for name in (*SHOWN[card], "skill_analogue")]
        table.add_row(model, *(f"{value:.4f}" for value in values))
    return table
