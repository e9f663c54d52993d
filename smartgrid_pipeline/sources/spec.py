"""Which readings a user means. Standard library only: settings import this module, and no source reader."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

UCI_LAST_MONTH = "2010-11"
"""The month in which the readings of the UCI house end."""


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
    def last_month(self) -> str | None:
        """The civil month ("2010-11") in which the source ends for good; None for one that may still grow."""
        return UCI_LAST_MONTH if self.location == "uci" else None

    @property
    def _is_url(self) -> bool:
        return "://" in self.location
