"""What assets, flows and commands work with, made from settings: readings, registry, budget, verdicts."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from smartgrid_pipeline.core.schema import DataError, Meter, Verdict
from smartgrid_pipeline.orchestration.files import write_atomically
from smartgrid_pipeline.settings import Settings

if TYPE_CHECKING:
    from smartgrid_pipeline.core.forecasting.forecaster import TrainingBudget
    from smartgrid_pipeline.registry import Registry
    from smartgrid_pipeline.sources import Readings

DATA_SUITES = ("readings", "features")
"""Audit suites of a month's data. A month that fails one of them is left out of training."""


@dataclass(frozen=True)
class VerdictFiles:
    """Verdicts of audits as JSON: ``<directory>/<suite>/<subject>.json``, a new one replaces the old."""

    directory: Path

    def write(self, verdict: Verdict) -> Path:
        """Store a verdict, passed or failed; returns the path of its file."""
        path = self.directory / verdict.suite / f"{verdict.subject}.json"
        write_atomically(path, json.dumps(verdict.to_dict(), indent=1).encode())
        return path

    def read(self, suite: str, subjects: Sequence[str]) -> list[Verdict]:
        """The stored verdicts of a suite about these subjects; subjects without one are left out."""
        paths = [self.directory / suite / f"{subject}.json" for subject in subjects]
        return [_load(path) for path in paths if path.exists()]

    def all(self) -> list[Verdict]:
        """Every stored verdict, sorted by suite and subject."""
        return [_load(path) for path in sorted(self.directory.glob("*/*.json"))]

    def failed(self, suites: Sequence[str], subjects: Sequence[str]) -> list[Verdict]:
        """The failed verdicts of these suites about these subjects."""
        return [verdict for suite in suites for verdict in self.read(suite, subjects) if not verdict.passed]

    def failed_data(self, months: Sequence[str]) -> list[Verdict]:
        """The failed verdicts about readings or features of these months; their subject is the month."""
        return self.failed(DATA_SUITES, months)


@dataclass(frozen=True)
class Resources:
    """Everything that is made from settings; each part is made at its first use. Tests pass fakes instead."""

    settings: Settings

    @cached_property
    def readings(self) -> "Readings":
        """All readings of the source, read once per process. Raises SourceError."""
        from smartgrid_pipeline import sources

        return sources.read(self.settings.source_spec)

    @cached_property
    def registry(self) -> "Registry":
        """Runs, models and the champion of this meter, ready to use. Raises RegistryError."""
        from smartgrid_pipeline.registry import Registry

        settings = self.settings
        registry = Registry(settings.mlflow_uri, settings.mlflow_dir / "artifacts", settings.registered_name)
        registry.prepare()
        return registry

    @property
    def budget(self) -> "TrainingBudget":
        """How much work one fit may do, with its seed and threads."""
        from smartgrid_pipeline.core.forecasting.forecaster import TINY, TrainingBudget

        if self.settings.effort == "tiny":
            return TINY
        return TrainingBudget(seed=self.settings.seed, threads=self.settings.threads)

    @property
    def verdicts(self) -> VerdictFiles:
        """The verdicts of this meter's audits."""
        return VerdictFiles(self.settings.data_dir / "verdicts")

    def write_quality_page(self) -> Path:
        """Write every stored verdict to one HTML page beside the reports; returns its path."""
        from smartgrid_pipeline import quality

        path = self.settings.data_dir / "reports" / "quality.html"
        write_atomically(path, quality.render_html(self.verdicts.all()).encode())
        return path

    def save_source_facts(self) -> None:
        """Store the source's meter and the time of its last reading, for steps that read only tables."""
        facts = asdict(self.readings.meter) | {"last_reading": self.readings.fingerprint.last}
        write_atomically(self._facts_path, json.dumps(facts, indent=1).encode())

    @property
    def meter(self) -> Meter:
        """The meter as stored by ``save_source_facts``. Raises DataError before raw_readings was made."""
        facts = {key: value for key, value in self._source_facts().items() if key != "last_reading"}
        return Meter(**{**facts, "channels": tuple(facts["channels"])})

    @property
    def last_reading(self) -> pd.Timestamp:
        """Start of the source's last reading, civil clock. Raises DataError before raw_readings was made."""
        return pd.Timestamp(self._source_facts()["last_reading"])

    @property
    def _facts_path(self) -> Path:
        return self.settings.data_dir / "meter.json"

    def _source_facts(self) -> dict[str, Any]:
        if not self._facts_path.exists():
            raise DataError(
                f"No meter known yet: {self._facts_path} is missing. Materialise raw_readings first."
            )
        return dict(json.loads(self._facts_path.read_text()))


def _load(path: Path) -> Verdict:
    return Verdict.from_dict(json.loads(path.read_text()))
