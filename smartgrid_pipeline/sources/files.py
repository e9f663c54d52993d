"""CSV and Parquet files, one or a folder of them, as Arrow tables of the recognised columns."""

import csv
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from smartgrid_pipeline.core.schema import SourceError
from smartgrid_pipeline.sources.columns import Layout, recognise
from smartgrid_pipeline.sources.spec import SourceSpec

MISSING = ["", "?", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "-"]
"""How CSV files write "no reading"."""

CSV_SUFFIXES = (".csv", ".tsv", ".txt", ".gz")
PARQUET_SUFFIXES = (".parquet", ".pq")


def load(spec: SourceSpec) -> tuple[pa.Table, Layout]:
    """The recognised columns of a file, or of all files of a folder one after another in order of name."""
    paths = _paths(Path(spec.location).expanduser())
    parts = [_load_one(path, spec) for path in paths]
    layout = parts[0][1]
    for path, (_, other) in zip(paths, parts, strict=True):
        if other != layout:
            raise SourceError(
                f"The files of {spec.shown} have different columns: {paths[0].name} has {layout.columns}, "
                f"{path.name} has {other.columns}. Load them one by one, or give them the same header."
            )
    try:
        tables = _with_same_types([table for table, _ in parts])
        table = pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException as error:
        raise SourceError(
            f"The files of {spec.shown} hold different types in one column: {error}. "
            "Write them all with the same types."
        ) from error
    if table.num_rows == 0:
        raise SourceError(
            f"No readings in {spec.shown}: found a header ({', '.join(layout.columns)}) but no rows."
        )
    return table, layout


def _with_same_types(tables: list[pa.Table]) -> list[pa.Table]:
    """Cast columns that are text in one file to text in all; times and ids are parsed later."""
    texts = {field.name for table in tables for field in table.schema if _is_text(field.type)}
    return [
        table.cast(pa.schema([f.with_type(pa.string()) if f.name in texts else f for f in table.schema]))
        for table in tables
    ]


def _is_text(type_: pa.DataType) -> bool:
    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_))


def _paths(location: Path) -> list[Path]:
    if location.is_dir():
        paths = sorted(p for p in location.iterdir() if p.suffix.lower() in CSV_SUFFIXES + PARQUET_SUFFIXES)
        if not paths:
            raise SourceError(
                f"No readings in the folder {location}: found {len(list(location.iterdir()))} entries, none "
                f"ending in {', '.join(CSV_SUFFIXES + PARQUET_SUFFIXES)}."
            )
        return paths
    if not location.is_file():
        raise SourceError(
            f"No such source: '{location}' is neither 'uci', nor an existing file or folder, nor a database "
            "URL (such as sqlite:///meters.db). Check the path."
        )
    return [location]


def _load_one(path: Path, spec: SourceSpec) -> tuple[pa.Table, Layout]:
    try:
        if path.stat().st_size == 0:
            raise SourceError(f"No readings in {path}: the file is empty (0 bytes).")
        with path.open("rb") as file:
            is_parquet = file.read(4) == b"PAR1"
        return _load_parquet(path, spec) if is_parquet else _load_csv(path, spec)
    except OSError as error:
        raise SourceError(f"Cannot read {path}: {error}. Check that it is complete and readable.") from error


def _load_parquet(path: Path, spec: SourceSpec) -> tuple[pa.Table, Layout]:
    try:
        file = pyarrow.parquet.ParquetFile(path)
        layout = recognise(file.schema_arrow.names, spec)
        return file.read(columns=list(layout.columns), use_threads=False), layout
    except pa.ArrowException as error:
        raise SourceError(f"Cannot read {path} as Parquet: {error}. Write it again.") from error


def _load_csv(path: Path, spec: SourceSpec) -> tuple[pa.Table, Layout]:
    header, sample, encoding = _sniff(path)
    delimiter = max(";\t,|", key=header.count)
    names = next(csv.reader([header], delimiter=delimiter))
    names = [name.strip() for name in names]
    layout = recognise(names, spec)
    numbers = {column for column, _ in layout.channels.values()}
    fields = [field for line in sample for field in next(csv.reader([line], delimiter=delimiter), [])]
    comma = any(re.fullmatch(r"\s*-?\d+,\d+\s*", field) for field in fields)
    try:
        table = pyarrow.csv.read_csv(
            path,
            read_options=pyarrow.csv.ReadOptions(
                use_threads=False, column_names=names, skip_rows=1, encoding=encoding
            ),
            parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter),
            convert_options=pyarrow.csv.ConvertOptions(
                include_columns=list(layout.columns),
                column_types={c: pa.float64() if c in numbers else pa.string() for c in layout.columns},
                null_values=MISSING,
                strings_can_be_null=True,
                decimal_point="," if comma else ".",
            ),
        )
    except pa.ArrowException as error:
        raise SourceError(f"Cannot read {path} as CSV: {error}. Correct that row of the file.") from error
    return table, layout


def _sniff(path: Path) -> tuple[str, list[str], str]:
    """The header line, a sample of the following ones, and the encoding of a CSV file."""
    with pa.input_stream(str(path), compression="detect") as stream:
        head = stream.read(65_536)
    try:
        text, encoding = head.decode("utf-8-sig", errors="strict"), "utf8"
    except UnicodeDecodeError as error:
        cut_in_character = error.start >= len(head) - 4
        encoding = "utf8" if cut_in_character else "latin1"
        text = head.decode("utf-8-sig" if cut_in_character else encoding, errors="ignore")
    lines = text.splitlines()
    if not lines or not lines[0].strip():
        raise SourceError(f"No readings in {path}: the first line, which names the columns, is empty.")
    return lines[0], lines[1:200], encoding
