"""``smartgrid run``: missing history first, then the month, with progress and the result table at the end."""

import hashlib
import json
import time
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from smartgrid_pipeline.console import results, tables

if TYPE_CHECKING:
    import dagster as dg

    from smartgrid_pipeline.orchestration.resources import Resources
    from smartgrid_pipeline.settings import Settings


def run(settings: "Settings", month: str | None, force: bool, err: Console, out: Console) -> None:
    """Take a month from raw readings to a gated champion and print the result table.

    Raises SmartgridError with the reason when a step fails; the champion and what was published then stay as
    they were.
    """
    begun = time.monotonic()
    err.print(f"[bold]smartgrid[/] reads [cyan]{settings.source}[/] …")
    from smartgrid_pipeline.orchestration.flows.month_summary import is_published
    from smartgrid_pipeline.orchestration.resources import Resources
    from smartgrid_pipeline.orchestration.runtime import launch, run_lock
    from smartgrid_pipeline.orchestration.runtime.instance import open_instance, readable_failures

    resources = Resources(settings)
    month = launch.choose_month(resources, month)
    for note in resources.readings.notes:
        err.print(f"  note: {note}", highlight=False)
    settings = _first_month(settings, launch.source_months(resources)[0])
    with readable_failures(settings.dagster_home), open_instance(settings.dagster_home) as instance:
        state = _state(resources, month)
        if not force and _stored_state(resources, month) == state and is_published(resources, month):
            err.print(f"Nothing has changed since {month} was run: readings, code and settings are the same.")
        else:
            with run_lock.only_run(instance, resources) as closed:
                for run_id in closed:
                    err.print(f"  run {run_id} was killed: marked failed, its place in the pool freed")
                _run_changed(settings, resources, instance, month, err)
            _store_state(resources, month, state)
    document = results.report(settings, month)
    tables.print_report(document, out)
    err.print(f"[green]done[/] in {time.monotonic() - begun:.0f} s")
    tables.print_where_to_look(settings, document, out)


def _run_changed(
    settings: "Settings", resources: "Resources", instance: "dg.DagsterInstance", month: str, err: Console
) -> None:
    from smartgrid_pipeline.definitions import create_definitions
    from smartgrid_pipeline.orchestration.runtime import launch

    definitions = create_definitions(settings)
    with _progress(err) as progress:
        missing = launch.missing_months(instance, resources, month)
        if missing:
            steps = _Steps(progress, f"history {missing[0]} … {missing[-1]}", 4)
            history = launch.ingest_history(definitions, instance, resources, month, steps)
            for verdict in history.refused:
                progress.console.print(f"[yellow]left out[/] {verdict.summary()}", highlight=False)
        job = launch.resolve_job(definitions, "monthly_retraining")
        steps = _Steps(progress, f"month {month}", len(job.graph.node_defs))
        launch.run_job(definitions, instance, "monthly_retraining", [month], steps)


class _Steps:
    """The steps of a run as one progress bar; called as ``launch.OnStep``."""

    def __init__(self, progress: Progress, title: str, total: int) -> None:
        self.progress, self.title = progress, title
        self.task = progress.add_task(title, total=total)
        self.begun: dict[str, float] = {}

    def __call__(self, step: str, state: str) -> None:
        """Show that a step began, or print how it ended and how long it took."""
        if state == "start":
            self.begun[step] = time.monotonic()
            self.progress.update(self.task, description=f"{self.title}: {step}")
            return
        seconds = time.monotonic() - self.begun.get(step, time.monotonic())
        mark = {"success": "[green]✓[/]", "skipped": "[yellow]–[/]", "failure": "[red]✗[/]"}[state]
        self.progress.console.print(f"  {mark} {step} [dim]{seconds:.1f} s[/]", highlight=False)
        self.progress.update(self.task, advance=1, description=self.title)


def _progress(err: Console) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=err,
    )


def _first_month(settings: "Settings", first: str) -> "Settings":
    """Settings whose partitions begin no later than the readings do."""
    if first >= settings.first_month:
        return settings
    return settings.model_copy(update={"first_month": first})


def _state(resources: "Resources", month: str) -> str:
    """Hash of all that a run of the month depends on: readings, package, settings."""
    from smartgrid_pipeline.orchestration.code_version import package_sha256

    parts = (
        resources.readings.fingerprint.sha256,
        repr(resources.readings.meter),
        package_sha256(),
        repr(resources.budget),
        repr(resources.settings.alarms_per_month),
        month,
    )
    return hashlib.sha256("|".join(parts).encode()).hexdigest()


def _stored_state(resources: "Resources", month: str) -> str | None:
    path = resources.settings.data_dir / "runs" / f"{month}.json"
    return json.loads(path.read_text())["state"] if path.exists() else None


def _store_state(resources: "Resources", month: str, state: str) -> None:
    from smartgrid_pipeline.orchestration.files import write_atomically

    path = resources.settings.data_dir / "runs" / f"{month}.json"
    write_atomically(path, json.dumps({"month": month, "state": state}).encode())
