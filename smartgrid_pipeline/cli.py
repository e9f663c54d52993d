"""The command line: ``smartgrid`` run, report, validate, forecast, anomalies, champion, promote, rollback,
defects and ui.

Progress and messages go to standard error; standard output carries the answer, one JSON document with --json.
"""

import json
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

Source = Annotated[
    str | None, typer.Option(help='"uci", a CSV/Parquet file or folder, or an SQLAlchemy URL.')
]
MeterId = Annotated[str | None, typer.Option(help="Which meter, where the source holds several.")]
TimeColumn = Annotated[str | None, typer.Option(help="Name of the time column, where it is not recognised.")]
ValueColumn = Annotated[str | None, typer.Option(help="Name of the power or energy column.")]
Unit = Annotated[str | None, typer.Option(help="Unit of the values: kW, W, kWh or Wh (per interval).")]
Timezone = Annotated[str | None, typer.Option(help="Clock of the meter, as Europe/Paris.")]
Table = Annotated[str | None, typer.Option(help="Table of an SQL source.")]
Query = Annotated[str | None, typer.Option(help="Query of an SQL source, instead of a table.")]
# The eight options above say which readings are meant. Every command has them, at the end and in this order;
# each may also be set as SMARTGRID_<NAME>.


def configure(
    source: str | None, meter: str | None, time_column: str | None, value_column: str | None,
    unit: str | None, timezone: str | None, table: str | None, query: str | None,
) -> "Settings":  # fmt: skip
    """Settings of this call: those of the environment, except where an option was given."""
    from smartgrid_pipeline.settings import Settings

    given = {
        "source": source, "meter": meter, "time_column": time_column, "value_column": value_column,
        "unit": unit, "timezone": timezone, "table": table, "query": query,
    }  # fmt: skip
    return Settings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]


@app.command()
def run(
    month: Month = None,
    force: Annotated[
        bool, typer.Option(help="Run even when nothing has changed since the last run.")
    ] = False,
    source: Source = None, meter: MeterId = None, time_column: TimeColumn = None,
    value_column: ValueColumn = None, unit: Unit = None, timezone: Timezone = None,
    table: Table = None, query: Query = None,
) -> None:  # fmt: skip
    """Take a month from raw readings to a gated champion: the job that the monthly schedule starts."""
    from smartgrid_pipeline.console import month_run

    settings = configure(source, meter, time_column, value_column, unit, timezone, table, query)
    month_run.run(settings, month, force, err, out)


@app.command()
def report(
    month: Month = None, as_json: AsJson = False,
    source: Source = None, meter: MeterId = None, time_column: TimeColumn = None,
    value_column: ValueColumn = None, unit: Unit = None, timezone: Timezone = None,
    table: Table = None, query: Query = None,
) -> None:  # fmt: skip
    """The result table of a month that was run, and where its report is."""
    from smartgrid_pipeline.console import results, tables

    settings = configure(source, meter, time_column, value_column, unit, timezone, table, query)
    document = results.report(settings, month)
    _answer(document, as_json, lambda: tables.print_report(document, out))


@app.command()
def validate(
    file: Annotated[str, typer.Argument(help="A CSV/Parquet file or folder, or an SQLAlchemy URL.")],
    as_json: AsJson = False,
    page: Annotated[
        Path | None, typer.Option(help="Also write every rule checked to this HTML page.")
    ] = None,
    source: Source = None, meter: MeterId = None, time_column: TimeColumn = None,
    value_column: ValueColumn = None, unit: Unit = None, timezone: Timezone = None,
    table: Table = None, query: Query = None,
) -> None:  # fmt: skip
    """The verdict that the pipeline would give on a file, month by month; exit code 1 when one fails."""
    from smartgrid_pipeline.console import results, tables

    settings = configure(source, meter, time_column, value_column, unit, timezone, table, query)
    document = results.validate(settings.model_copy(update={"source": file}), page)
    _answer(document, as_json, lambda: tables.print_verdicts(document, out))
    if not document["passed"]:
        raise typer.Exit(1)


@app.command()
def forecast(
    file: Annotated[str | None, typer.Option(help="Recent readings of a meter like the champion's.")] = None,
    as_json: AsJson = False,
    source: Source = None, meter: MeterId = None, time_column: TimeColumn = None,
    value_column: ValueColumn = None, unit: Unit = None, timezone: Timezone = None,
    table: Table = None, query: Query = None,
) -> None:  # fmt: skip
    """Forecast from the newest reading: every lead interval, mean and quantiles in kW.

    By the champion. Without a champion that loads, or with too few readings or absent channels, by a lower
    tier of the fallback chain: past days of the meter, or a typical home. The answer names tier and reason.
    """
    from smartgrid_pipeline.console import results, tables

    settings = configure(source, meter, time_column, value_column, unit, timezone, table, query)
    document = results.forecast(settings, file)
    _answer(document, as_json, lambda: tables.print_forecast(document, out))


@app.command()
def anomalies(
    file: Annotated[
        str | None, typer.Option(help="Readings of this or any other meter, instead of the meter's.")
    ] = None,
    since: Annotated[str | None, typer.Option(help="Only events raised from this civil time on.")] = None,
    as_json: AsJson = False,
    source: Source = None, meter: MeterId = None, time_column: TimeColumn = None,
    value_column: ValueColumn = None, unit: Unit = None, timezone: Timezone = None,
    table: Table = None, query: Query = None,
) -> None:  # fmt: skip
    """Events in the meter's readings or a file's: when, of what class, which channels, how grave, and why.

    For a file of another meter, or of one without a detector, a detector is fitted on the file itself.
    """
    from smartgrid_pipeline.console import results, tables

    settings = configure(source, meter, time_column, value_column, unit, timezone, table, query)
    document = results.anomalies(settings, file, since)
    _answer(document, as_json, lambda: tables.print_anomalies(document, out))


@app.command()
def champion(
    as_json: AsJson = False,
    source: Source = None, meter: MeterId = None, time_column: TimeColumn = None,
    value_column: ValueColumn = None, unit: Unit = None, timezone: Timezone = None,
    table: Table = None, query: Query = None,
) -> None:  # fmt: skip
    """The champion, since when and why, and the champions before it."""
    from smartgrid_pipeline.console import results, tables

    settings = configure(source, meter, time_column, value_column, unit, timezone, table, query)
    document = results.champion(settings)
    _answer(document, as_json, lambda: tables.print_champion(document, out))


@app.command()
def promote(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="MLflow run id of a challenger.")],
    reason: Reason = "requested on the command line",
    source: Source = None, meter: MeterId = None, time_column: TimeColumn = None,
    value_column: ValueColumn = None, unit: Unit = None, timezone: Timezone = None,
    table: Table = None, query: Query = None,
) -> None:  # fmt: skip
    """Make a run champion that was a month's challenger and passed the gate; also one that was rolled back.

    Any other run is refused, with the verdicts that are missing or failed.
    """
    from smartgrid_pipeline.console import results

    settings = configure(source, meter, time_column, value_column, unit, timezone, table, query)
    out.print(results.promote(settings, run_id, reason))


@app.command()
def rollback(
    reason: Reason = "requested on the command line",
    source: Source = None, meter: MeterId = None, time_column: TimeColumn = None,
    value_column: ValueColumn = None, unit: Unit = None, timezone: Timezone = None,
    table: Table = None, query: Query = None,
) -> None:  # fmt: skip
    """Make the previous champion champion again."""
    from smartgrid_pipeline.console import results

    settings = configure(source, meter, time_column, value_column, unit, timezone, table, query)
    out.print(results.rollback(settings, reason))


@app.command()
def defects(
    as_json: AsJson = False,
    source: Source = None, meter: MeterId = None, time_column: TimeColumn = None,
    value_column: ValueColumn = None, unit: Unit = None, timezone: Timezone = None,
    table: Table = None, query: Query = None,
) -> None:  # fmt: skip
    """What is wrong with the readings, found in the readings alone."""
    from smartgrid_pipeline.console import results, tables

    settings = configure(source, meter, time_column, value_column, unit, timezone, table, query)
    document = results.defects(settings)
    _answer(document, as_json, lambda: tables.print_defects(document, out))


@app.command()
def ui(
    dagster_port: Annotated[int, typer.Option(help="Port of the Dagster UI.")] = 3000,
    mlflow_port: Annotated[int, typer.Option(help="Port of the MLflow UI.")] = 5000,
    source: Source = None, meter: MeterId = None, time_column: TimeColumn = None,
    value_column: ValueColumn = None, unit: Unit = None, timezone: Timezone = None,
    table: Table = None, query: Query = None,
) -> None:  # fmt: skip
    """Start the Dagster and MLflow UIs on loopback; Ctrl-C stops both."""
    from smartgrid_pipeline.console import servers

    settings = configure(source, meter, time_column, value_column, unit, timezone, table, query)
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
