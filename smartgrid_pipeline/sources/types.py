"""The description of a source, given by the user, and the result of reading it."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from smartgrid_pipeline.core.schema import CHANNELS, Meter


@dataclass(frozen=True)
class SourceSpec:
    """Where readings are, and facts that their file does not contain; None means "find it in the data".

    ``location`` is "uci", the path of a file or folder, or an SQLAlchemy URL (with ``table`` or ``query``).
    ``unit`` (kW, W, kWh or Wh per interval) is that of the power or energy column.
    """

    location: str = "uci"
    meter_id: str | None = None
    time_column: str | None = None
    value_column: str | None = None
    unit: str | None = None
    timezone: str | None = None
    table: str | None = None
    query: str | None = None
    holiday_country: str | None = None
    school_zone: str | None = None

    @property
    def shown(self) -> str:
        """The location without its password, for messages and logs."""
        return re.sub(r"(://[^:/@]*:)[^@]*@", r"\1***@", self.location)

    @property
    def name(self) -> str:
        """A short name for people: file or folder without its ending, or database and
        table; and the meter.
        """
        path = self.location.partition("://")[2].partition("?")[0] if self._is_url else self.location
        table = self.table if self._is_url else None
        return " ".join(filter(None, [Path(path).stem, table, self.meter_id]))

    def key(self, home: Path) -> str:
        """Hash that identifies the series: of path or URL, table, query, value column and meter.

        A file below ``home`` enters with its path relative to ``home``, so that a home may be moved; any
        other file with its absolute path. User names and passwords do not enter.
        """
        where = re.sub(r"://[^/]*@", "://", self.location)
        if not self._is_url:
            path, root = Path(self.location).expanduser().resolve(), home.resolve()
            where = str(path.relative_to(root) if path.is_relative_to(root) else path)
        parts = (where, self.table, self.query, self.value_column, self.meter_id)
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    @property
    def _is_url(self) -> bool:
        return "://" in self.location


@dataclass(frozen=True)
class DataFingerprint:
    """SHA-256, size and span of a source's readings: equal fingerprints are equal readings."""

    sha256: str
    rows: int
    first: str
    last: str
    location: str
    channels: tuple[str, ...]

    @property
    def span(self) -> str:
        """First and last time, as a part of a sentence."""
        return f"runs from {self.first} to {self.last}"


@dataclass(frozen=True)
class Readings:
    """One meter's readings as recorded: rows in their order with repeats kept, channels in canonical units.

    ``frame`` is indexed by INTERVAL_START (civil clock, naive); ``notes`` list the assumptions made, as
    sentences.
    """

    frame: pd.DataFrame
    meter: Meter
    fingerprint: DataFingerprint
    notes: tuple[str, ...] = ()


def fingerprint_of(frame: pd.DataFrame, location: str, sha256: str | None = None) -> DataFingerprint:
    """The fingerprint of a readings frame; ``sha256`` replaces the hash of its times and
    channels if given.
    """
    channels = tuple(channel for channel in CHANNELS if channel in frame)
    if sha256 is None:
        digest = hashlib.sha256()
        digest.update(frame.index.to_numpy().astype("datetime64[s]").tobytes())
        for channel in channels:
            digest.update(channel.encode())
            digest.update(np.ascontiguousarray(frame[channel].to_numpy(np.float64)).tobytes())
        sha256 = digest.hexdigest()
    return DataFingerprint(
        sha256, len(frame), str(frame.index.min()), str(frame.index.max()), location, channels
    )
