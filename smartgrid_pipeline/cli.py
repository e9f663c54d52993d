"""The command line: smartgrid run · report · validate · forecast · anomalies · champion · promote · rollback.

Progress and messages go to standard error; standard output carries the answer, one JSON document with --json.
"""

import json
import os
import sys
from collections.abc import Callable
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

Source = Annotated[
    str | None, typer.Option(help='"uci", a CSV/Parquet file or folder, or an SQLAlchemy URL.')
]
MeterId = Annotated[str | None, typer.Option("--meter", help="Which meter, where the source holds several.")]
TimeColumn = Annotated[str | None, typer.Option(help="Name of the time column, where it is not recognised.")]
ValueColumn = Annotated[str | None, typer.Option(help="Name of the power or energy column.")]
Unit = Annotated[str | None, typer.Option(help="Unit of the values: kW, W, kWh or Wh (per interval).")]
Timezone = Annotated[str | None, typer.Option(help="Clock of the meter, as Europe/Paris.")]
TableName = Annotated[str | None, typer.Option("--table", help="Table of an SQL source.")]
Query = Annotated[str | None, typer.Option(help="Query of an SQL source, instead of a table.")]
Month = Annotated[str | None, typer.Option(help="Civil month, as 2010-10; the newest by default.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]


def configure(**chosen: str | None) -> "Settings":
    """Settings of this call: the environment, overridden by what was said on the command line.

    The choices are put into the environment too, so that processes started from here see the same.
    """
    from smartgrid_pipeline.settings import Settings

    for name, value in chosen.items():
        if value is not None:
            os.environ[f"SMARTGRID_{name.upper()}"] = value
    return Settings()


@app.command()
def run(
    month: Month = None,
    source: Source = None,
    meter: MeterId = None,
    time_column: TimeColumn = None,
    value_column: ValueColumn = None,
    unit: Unit = None,
    timezone: Timezone = None,
    table: TableName = None,
    query: Query = None,
    force: Annotated[
        bool, typer.Option(help="Run even when nothing has changed since the last run.")
    ] = False,
) -> None:
    """Take a month from raw readings to a gated champion: the job that the monthly schedule starts."""
    from smartgrid_pipeline.console import month_run

    settings = configure(
        source=source, meter=meter, time_column=time_column, value_column=value_column, unit=unit,
        timezone=timezone, table=table, query=query,
    )  # fmt: skip
    month_run.run(settings, month, force, err, out)


@app.command()
def report(
    month: Month = None, source: Source = None, meter: MeterId = None, as_json: AsJson = False
) -> None:
    """The result table of a month that was run, and where its report is."""
    from smartgrid_pipeline.console import results

    settings = configure(source=source, meter=meter)
    document = results.report(settings, month)
    _answer(document, as_json, lambda: results.print_report(document, out))


@app.command()
def validate(
    file: Annotated[str, typer.Argument(help="A CSV/Parquet file or folder, or an SQLAlchemy URL.")],
    meter: MeterId = None,
    time_column: TimeColumn = None,
    value_column: ValueColumn = None,
    unit: Unit = None,
    timezone: Timezone = None,
    table: TableName = None,
    query: Query = None,
    as_json: AsJson = False,
) -> None:
    """The verdict that the pipeline would give on a file, month by month; exit code 1 when one fails."""
    from smartgrid_pipeline.console import results

    settings = configure(
        source=file, meter=meter, time_column=time_column, value_column=value_column, unit=unit,
        timezone=timezone, table=table, query=query,
    )  # fmt: skip
    document = results.validate(settings)
    _answer(document, as_json, lambda: results.print_verdicts(document, out))
    if not document["passed"]:
        raise typer.Exit(1)


@app.command()
def forecast(
    file: Annotated[str | None, typer.Option(help="Recent readings of a meter like the champion's.")] = None,
    source: Source = None,
    meter: MeterId = None,
    as_json: AsJson = False,
) -> None:
    """Forecast from the newest reading with the champion: every lead interval, mean and quantiles in kW."""
    from smartgrid_pipeline.console import results

    document = results.forecast(configure(source=source, meter=meter), file)
    _answer(document, as_json, lambda: results.print_forecast(document, out))


@app.command()
def champion(source: Source = None, meter: MeterId = None, as_json: AsJson = False) -> None:
    """Who is champion, since when and why, and who was before."""
    from smartgrid_pipeline.console import results

    document = results.champion(configure(source=source, meter=meter))
    _answer(document, as_json, lambda: results.print_champion(document, out))


@app.command()
def promote(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="MLflow run of the candidate.")],
    source: Source = None,
    meter: MeterId = None,
    reason: Annotated[str, typer.Option(help="Why, for the ledger.")] = "asked for on the command line",
) -> None:
    """Make a candidate champion, if the evidence logged with its run suffices; refuse otherwise."""
    from smartgrid_pipeline.console import results

    out.print(results.promote(configure(source=source, meter=meter), run_id, reason))


@app.command()
def rollback(
    source: Source = None,
    meter: MeterId = None,
    reason: Annotated[str, typer.Option(help="Why, for the ledger.")] = "asked for on the command line",
) -> None:
    """Give the title back to the champion before this one."""
    from smartgrid_pipeline.console import results

    out.print(results.rollback(configure(source=source, meter=meter), reason))


@app.command()
def defects(source: Source = None, meter: MeterId = None, as_json: AsJson = False) -> None:
    """What is wrong with the readings, found in the readings alone."""
    from smartgrid_pipeline.console import results

    document = results.defects(configure(source=source, meter=meter))
    _answer(document, as_json, lambda: results.print_defects(document, out))


@app.command()
def ui(
    source: Source = None,
    meter: MeterId = None,
    dagster_port: Annotated[int, typer.Option(help="Port of the Dagster UI.")] = 3000,
    mlflow_port: Annotated[int, typer.Option(help="Port of the MLflow UI.")] = 5000,
) -> None:
    """Start the Dagster and MLflow UIs on loopback; Ctrl-C stops both."""
    from smartgrid_pipeline.console import servers

    servers.serve(configure(source=source, meter=meter), dagster_port, mlflow_port, err)


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
