"""Readings in a database, given by an SQLAlchemy URL with a table or a query."""

from typing import Any

import pandas as pd
import pyarrow as pa
from sqlalchemy import (
    ColumnClause,
    Connection,
    String,
    TableClause,
    cast,
    column,
    create_engine,
    inspect,
    select,
    table,
    text,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import NoSuchModuleError, SQLAlchemyError

from smartgrid_pipeline.core.schema import SourceError
from smartgrid_pipeline.sources.columns import Layout, recognise
from smartgrid_pipeline.sources.spec import SourceSpec


def is_url(location: str) -> bool:
    """Whether a location is the URL of a database, not a path."""
    return "://" in location


def load(spec: SourceSpec) -> tuple[pa.Table, Layout]:
    """The recognised columns of a table or query; of one meter only when the spec names a meter."""
    if (spec.table is None) == (spec.query is None):
        raise SourceError(
            f"A database needs either a table or a query: found {'both' if spec.table else 'neither'} for "
            f"{spec.shown}. Give --table NAME or --query 'SELECT …'."
        )
    try:
        engine = create_engine(_url(spec))
        try:
            with engine.connect() as connection:
                return _load(connection, spec)
        finally:
            engine.dispose()
    except (SQLAlchemyError, ImportError) as error:
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        raise SourceError(
            f"Cannot read from {spec.shown}: {reason}. Check that the database runs, the URL, the "
            "table or query, and that the driver is installed."
        ) from error


def _url(spec: SourceSpec) -> URL:
    try:
        url = make_url(spec.location)
        if url.drivername in ("postgresql", "postgres"):
            return url.set(drivername="postgresql+psycopg2")  # the driver this package installs
        url.get_dialect()
    except (SQLAlchemyError, NoSuchModuleError, ImportError) as error:
        scheme = spec.location.split("://")[0]
        raise SourceError(
            f"The database URL is not understood (scheme '{scheme}'): {error}. Write an SQLAlchemy "
            "URL such as sqlite:///meters.db or postgresql+psycopg2://user:password@host/name."
        ) from error
    return url


def _load(connection: Connection, spec: SourceSpec) -> tuple[pa.Table, Layout]:
    if spec.query is not None:
        result = connection.execute(text(spec.query))
        layout = recognise(list(result.keys()), spec)
    else:
        source = _table(connection, spec)
        layout = recognise(list(source.columns.keys()), spec)
        statement = select(*(source.columns[name] for name in layout.columns))
        if spec.meter_id is not None and layout.meter is not None:
            statement = statement.where(cast(source.columns[layout.meter], String) == spec.meter_id)
        result = connection.execute(statement)
    frame = pd.DataFrame(result.fetchall(), columns=list(result.keys()))[list(layout.columns)]
    if frame.empty:
        meter = f" of meter {spec.meter_id}" if spec.meter_id else ""
        raise SourceError(
            f"No readings in {spec.table or 'the query'} of {spec.shown}: 0 rows with columns "
            f"{layout.columns}{meter}. Check table, query, meter."
        )
    for name, _ in layout.channels.values():
        frame[name] = _numbers(frame[name], name, spec)
    return pa.Table.from_pandas(frame, preserve_index=False), layout


def _table(connection: Connection, spec: SourceSpec) -> TableClause:
    schema, _, name = str(spec.table).rpartition(".")
    inspector: Any = inspect(connection)
    known = [*inspector.get_table_names(schema or None), *inspector.get_view_names(schema or None)]
    if name not in known:
        raise SourceError(
            f"No table '{spec.table}' in {spec.shown}: found "
            f"{', '.join(sorted(known)[:12]) or 'none'}. Name one of these with --table."
        )
    columns: list[ColumnClause[Any]] = [
        column(str(found["name"])) for found in inspector.get_columns(name, schema or None)
    ]
    return table(name, *columns, schema=schema or None)


def _numbers(values: pd.Series, name: str, spec: SourceSpec) -> pd.Series:
    try:
        return pd.to_numeric(values.astype(object)).astype("float64")
    except (ValueError, TypeError) as error:
        raise SourceError(
            f"Column '{name}' of {spec.shown} does not hold numbers: {error}. Correct that row."
        ) from error
