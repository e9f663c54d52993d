"""The command line: smartgrid run · report · validate · forecast · anomalies · champion · promote · rollback.

Progress and messages go to standard error; standard output carries the answer, one JSON document with --json.
"""

import functools
import inspect
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

if TYPE_CHECKING:
    from smartgrid_pipeline.settings import Settings

app = typer.Typer(
    help="Smart-meter readings to gated forecasts and alarms.", no_args_is_help=True, add_completion=False,
    pretty_exceptions_enable=False,
)  # fmt: skip
err = Console(stderr=True)
out = Console()

Month = Annotated[str | None, typer.Option(help="Civil month, as 2010-10; the newest by default.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]
Reason = Annotated[str, typer.Option(help="Why, for the ledger.")]

SOURCE_OPTIONS: dict[str, Any] = {
    "source": typer.Option(help='"uci", a CSV/Parquet file or folder, or an SQLAlchemy URL.'),
    "meter": typer.Option(help="Which meter, where the source holds several."),
    "time_column": typer.Option(help="Name of the time column, where it is not recognised."),
    "value_column": typer.Option(help="Name of the power or energy column."),
    "unit": typer.Option(help="Unit of the values: kW, W, kWh or Wh (per interval)."),
    "timezone": typer.Option(help="Clock of the meter, as Europe/Paris."),
    "table": typer.Option(help="Table of an SQL source."),
    "query": typer.Option(help="Query of an SQL source, instead of a table."),
}
"""What says which readings are meant; every one of them may also be set as SMARTGRID_<NAME>."""


def configure(**chosen: str | None) -> "Settings":
    """Settings of this call: the environment, overridden by what was said on the command line.

    The choices are put into the environment too, so that processes started from here see the same.
    """
    from smartgrid_pipeline.settings import Settings

    for name, value in chosen.items():
        if value is not None:
            os.environ[f"SMARTGRID_{name.upper()}"] = value
    return Settings()


def reads_source(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of SOURCE_OPTIONS; it receives them as its first argument, the settings."""

    @functools.wraps(command)
    def with_options(**chosen: Any) -> None:
        said = {name: chosen.pop(name) for name in SOURCE_OPTIONS if name in added}
        command(configure(**said), **chosen)

    own = list(inspect.signature(command).parameters.values())[1:]
    taken = {parameter.name for parameter in own}
    added = {name: option for name, option in SOURCE_OPTIONS.items() if name not in taken}
    extra = [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[str | None, option]
        )
        for name, option in added.items()
    ]
    with_options.__signature__ = inspect.Signature([*own, *extra])  # type: ignore[attr-defined]
    with_options.__annotations__ = {parameter.name: parameter.annotation for parameter in [*own, *extra]}
    return with_options


@app.command()
@reads_source
def run(
    settings: "Settings",
    month: Month = None,
    force: Annotated[
        bool, typer.Option(help="Run even when nothing has changed since the last run.")
    ] = False,
) -> None:
    """Take a month from raw readings to a gated champion: the job that the monthly schedule starts."""
    from smartgrid_pipeline.console import month_run

    month_run.run(settings, month, force, err, out)


@app.command()
@reads_source
def report(settings: "Settings", month: Month = None, as_json: AsJson = False) -> None:
    """The result table of a month that was run, and where its report is."""
    from smartgrid_pipeline.console import results, tables

    document = results.report(settings, month)
    _answer(document, as_json, lambda: tables.print_report(document, out))


@app.command()
@reads_source
def validate(
    settings: "Settings",
    file: Annotated[str, typer.Argument(help="A CSV/Parquet file or folder, or an SQLAlchemy URL.")],
    as_json: AsJson = False,
    page: Annotated[
        Path | None, typer.Option(help="Also write every rule checked to this HTML page.")
    ] = None,
) -> None:
    """The verdict that the pipeline would give on a file, month by month; exit code 1 when one fails."""
    from smartgrid_pipeline.console import results, tables

    document = results.validate(settings.model_copy(update={"source": file}), page)
    _answer(document, as_json, lambda: tables.print_verdicts(document, out))
    if not document["passed"]:
        raise typer.Exit(1)


@app.command()
@reads_source
def forecast(
    settings: "Settings",
    file: Annotated[str | None, typer.Option(help="Recent readings of a meter like the champion's.")] = None,
    as_json: AsJson = False,
) -> None:
    """Forecast from the newest reading: every lead interval, mean and quantiles in kW.

    By the champion; with none, too few readings or absent channels by the past days or a typical home, and
    always saying which.
    """
    from smartgrid_pipeline.console import results, tables

    document = results.forecast(settings, file)
    _answer(document, as_json, lambda: tables.print_forecast(document, out))


@app.command()
@reads_source
def anomalies(
    settings: "Settings",
    file: Annotated[
        str | None, typer.Option(help="Readings of this or any other meter, instead of the meter's.")
    ] = None,
    since: Annotated[str | None, typer.Option(help="Only events raised from this civil time on.")] = None,
    as_json: AsJson = False,
) -> None:
    """Events in the meter's readings or a file's: when, of what class, which channels, how grave, and why.

    A file of another meter, or of one without a detector, teaches its own.
    """
    from smartgrid_pipeline.console import results, tables

    document = results.anomalies(settings, file, since)
    _answer(document, as_json, lambda: tables.print_anomalies(document, out))


@app.command()
@reads_source
def champion(settings: "Settings", as_json: AsJson = False) -> None:
    """Who is champion, since when and why, and who was before."""
    from smartgrid_pipeline.console import results, tables

    document = results.champion(settings)
    _answer(document, as_json, lambda: tables.print_champion(document, out))


@app.command()
@reads_source
def promote(
    settings: "Settings",
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="MLflow run of the candidate.")],
    reason: Reason = "asked for on the command line",
) -> None:
    """Make a candidate champion, if the evidence logged with its run suffices; refuse otherwise."""
    from smartgrid_pipeline.console import results

    out.print(results.promote(settings, run_id, reason))


@app.command()
@reads_source
def rollback(settings: "Settings", reason: Reason = "asked for on the command line") -> None:
    """Give the title back to the champion before this one."""
    from smartgrid_pipeline.console import results

    out.print(results.rollback(settings, reason))


@app.command()
@reads_source
def defects(settings: "Settings", as_json: AsJson = False) -> None:
    """What is wrong with the readings, found in the readings alone."""
    from smartgrid_pipeline.console import results, tables

    document = results.defects(settings)
    _answer(document, as_json, lambda: tables.print_defects(document, out))


@app.command()
@reads_source
def ui(
    settings: "Settings",
    dagster_port: Annotated[int, typer.Option(help="Port of the Dagster UI.")] = 3000,
    mlflow_port: Annotated[int, typer.Option(help="Port of the MLflow UI.")] = 5000,
) -> None:
    """Start the Dagster and MLflow UIs on loopback; Ctrl-C stops both."""
    from smartgrid_pipeline.console import servers

    servers.serve(settings, dagster_port, mlflow_port, err)


def _answer(document: dict[str, Any], as_json: bool, show: Callable[[], None]) -> None:
    if as_json:
        sys.stdout.write(json.dumps(document, indent=1, allow_nan=False, default=str) + "\n")
    else:
        show()


def main() -> None:
    """Entry point: errors this system raises on purpose become one readable message and exit code 1."""
    from smartgrid_pipeline.core.schema import SmartgridError

    try:
        app()
    except SmartgridError as error:
        err.print(f"[bold red]{type(error).__name__}[/]: ", end="")
        err.print(str(error), markup=False, highlight=False)
        raise SystemExit(1) from error


if __name__ == "__main__":
    main()
