"""Values that the registry takes and returns: runs, champions, ledger rows; and the tags they are kept in."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import pandas as pd

from smartgrid_pipeline.core.schema import Meter

RUN_TYPE = "kind"
"""Run tag whose value is TRAINING, DETECTOR or REPORT."""
TRAINING = "training"
DETECTOR = "detector"
REPORT = "report"
MODEL = "model"
MONTH = "month"
FINGERPRINT = "fingerprint"
REGISTERED_MODEL = "registered_model"
COMPARED_RUNS = "judged_runs"
COMPARED_WITH = "judged_against"
"""Report tags: ids of the runs compared, and the id of the run that was champion then."""
DAGSTER_RUN = "dagster.run_id"
NOTE = "mlflow.note.content"
"""Run tag that the MLflow UI shows as the description."""
DATA_TAGS = ("data.sha256", "data.rows", "data.start", "data.end", "data.left_out")

ARTIFACTS = "artifacts"
FILES = "files"
"""Folder of a stored model, inside ARTIFACTS, that holds what the model's own ``save`` wrote."""
ABOUT = "about.json"
"""File beside FILES: the model's name and the meter that it was fitted on."""

CHAMPION = "champion"
CHALLENGER = "challenger"

RUN_SUITES = ("forecasts", "leakage", "promotion")
"""Suites that audit one candidate: the subject of their verdicts names its run."""
MONTH_SUITES = ("readings", "features")
"""Suites that audit one month of data: the subject of their verdicts is the month."""


def read_about(path: Path) -> tuple[str, Meter]:
    """Name and meter of a model from its file ABOUT.

    Raises OSError, ValueError, KeyError or TypeError when the file is missing or damaged.
    """
    about = json.loads(path.read_text())
    return str(about["model"]), Meter(**{**about["meter"], "channels": tuple(about["meter"]["channels"])})


@dataclass(frozen=True)
class TrainingData:
    """The data that a model was fitted on: SHA-256, rows, and the window [start, end) on the civil clock.

    ``left_out`` are months ("2010-10") inside the window that were never published, so not used.
    """

    sha256: str
    rows: int
    start: np.datetime64
    end: np.datetime64
    left_out: tuple[str, ...] = ()

    @property
    def months(self) -> tuple[str, ...]:
        """The civil months used, in order."""
        last = (self.end.astype("datetime64[m]") - np.timedelta64(1, "m")).astype("datetime64[M]")
        window = np.arange(self.start.astype("datetime64[M]"), last + 1)
        return tuple(month for month in map(str, window) if month not in self.left_out)

    def to_tags(self) -> dict[str, str]:
        """DATA_TAGS and their values."""
        window = [str(edge.astype("datetime64[m]")) for edge in (self.start, self.end)]
        left_out = " ".join(self.left_out)
        return dict(zip(DATA_TAGS, [self.sha256, str(self.rows), *window, left_out], strict=True))

    def describe(self) -> str:
        """Size and window in words, for people."""
        without = f" without {', '.join(self.left_out)}" if self.left_out else ""
        return f"{self.rows:,} rows from {str(self.start)[:10]} to {str(self.end)[:10]}{without}"

    @classmethod
    def from_tags(cls, tags: Mapping[str, str]) -> "TrainingData":
        """The inverse of to_tags."""
        sha256, rows, start, end, left_out = (tags[name] for name in DATA_TAGS)
        return cls(sha256, int(rows), np.datetime64(start), np.datetime64(end), tuple(left_out.split()))


class Detector(Protocol):
    """The methods of an anomaly detector that can be tracked."""

    @property
    def meter(self) -> Meter:
        """The meter that the detector was fitted on."""
        ...

    def parameters(self) -> dict[str, Any]:
        """Flat settings and sizes."""
        ...

    def save(self, directory: Path) -> None:
        """Write the fitted detector into an existing, empty directory, without pickle."""
        ...


@dataclass(frozen=True)
class Example:
    """The input example of a logged model: its meter, and recent masked readings of that meter."""

    meter: Meter
    readings: pd.DataFrame


@dataclass(frozen=True)
class TrackedRun:
    """One tracked run; ``model`` and ``fingerprint`` are empty for reports."""

    run_id: str
    experiment_id: str
    run_type: str
    model: str
    month: str
    fingerprint: str
    status: str
    started: datetime
    metrics: Mapping[str, float] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    model_id: str | None = None

    @property
    def data(self) -> TrainingData:
        """The training data of a training run."""
        return TrainingData.from_tags(self.tags)

    def link(self, server: str = "http://127.0.0.1:5000") -> str:
        """Address of the run's page on an MLflow server."""
        return f"{server.rstrip('/')}/#/experiments/{self.experiment_id}/runs/{self.run_id}"


@dataclass(frozen=True)
class Champion:
    """The model in production: registered version, training run, model name, month, and since when."""

    version: int
    run_id: str
    model: str
    month: str
    since: datetime


@dataclass(frozen=True)
class LedgerRow:
    """One change of champion: when, from which version to which, why, and the run that keeps the evidence.

    A row is ``pending`` before the alias moves and ``done`` after it; ``void`` when the alias never moved.
    """

    number: int
    when: datetime
    action: Literal["promote", "rollback"]
    from_version: int | None
    to_version: int
    run_id: str
    model: str
    month: str
    reason: str
    evidence_run: str
    status: Literal["pending", "done", "void"]

    def to_dict(self) -> dict[str, Any]:
        """Plain data, the time as ISO 8601; the inverse of from_dict."""
        return {**asdict(self), "when": self.when.isoformat()}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "LedgerRow":
        """Rebuild a row."""
        return cls(**{**data, "when": datetime.fromisoformat(data["when"])})


@dataclass(frozen=True)
class Promotion:
    """Result of a promotion or rollback; ``changed`` is False when that version was champion already."""

    row: LedgerRow
    changed: bool
