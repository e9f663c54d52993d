"""Settings turned into plain collaborators, and the IO manager that keeps one Parquet file a month."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import numpy as np
import numpy.typing as npt
import pandas as pd

from smartgrid_pipeline.core.schema import DataError, Meter, Verdict
from smartgrid_pipeline.orchestration import process_locks
from smartgrid_pipeline.orchestration.partitions import month_of
from smartgrid_pipeline.settings import Settings

if TYPE_CHECKING:
    from smartgrid_pipeline.core.forecasting.forecaster import TrainingBudget
    from smartgrid_pipeline.registry import Registry
    from smartgrid_pipeline.sources import Readings


Months = npt.NDArray[np.datetime64]
"""Civil months, datetime64[M]."""


@dataclass(frozen=True)
class Resources:
    """What assets work with, made from settings; tests make their own."""

    settings: Settings

    @cached_property
    def readings(self) -> "Readings":
        """The source's readings, read once per process. Raises SourceError."""
        from smartgrid_pipeline import sources

        return sources.read(self.settings.source_spec)

    @cached_property
    def registry(self) -> "Registry":
        """Tracking and registry, ready to use. Raises RegistryError."""
        from smartgrid_pipeline.registry import Registry

        settings = self.settings
        registry = Registry(settings.mlflow_uri, settings.mlflow_dir / "artifacts", settings.registered_name)
        registry.prepare()
        return registry

    @property
    def budget(self) -> "TrainingBudget":
        """How much work a fit may do."""
        from smartgrid_pipeline.core.forecasting.forecaster import TINY, TrainingBudget

        if self.settings.effort == "tiny":
            return TINY
        return TrainingBudget(seed=self.settings.seed, threads=self.settings.threads)

    @property
    def verdicts(self) -> "VerdictFiles":
        """Where audits leave their verdicts."""
        return VerdictFiles(self.settings.data_dir / "verdicts")

    def write_quality_page(self) -> Path:
        """Every verdict on file as one page beside the reports; returns its path."""
        from smartgrid_pipeline import quality

        path = self.settings.data_dir / "reports" / "quality.html"
        write_atomically(path, quality.render_html(self.verdicts.all()).encode())
        return path

    def remember_source(self) -> None:
        """Keep what the source said of the meter and its last reading, for steps that only see tables."""
        known = asdict(self.readings.meter) | {"last_reading": self.readings.fingerprint.last}
        write_atomically(self.settings.data_dir / "meter.json", json.dumps(known, indent=1).encode())

    @property
    def meter(self) -> Meter:
        """The meter whose readings were taken in. Raises DataError before the first intake."""
        data = {key: value for key, value in self._remembered().items() if key != "last_reading"}
        return Meter(**{**data, "channels": tuple(data["channels"])})

    @property
    def last_reading(self) -> pd.Timestamp:
        """Start of the source's last reading. Raises DataError before the first intake."""
        return pd.Timestamp(self._remembered()["last_reading"])

    def _remembered(self) -> dict[str, Any]:
        path = self.settings.data_dir / "meter.json"
        if not path.exists():
            raise DataError(f"No meter known yet: {path} is missing. Materialise raw_readings first.")
        return dict(json.loads(path.read_text()))


def workbench_resource(settings: Settings) -> dg.ResourceDefinition:
    """A workbench for assets, schedules and sensors; the process of a run that has it is known to live."""

    @dg.resource
    def workbench(context: dg.InitResourceContext) -> Iterator[Resources]:
        run = context.run
        with process_locks.held(settings.dagster_home, run.run_id) if run else nullcontext():
            yield Resources(settings)

    return workbench


@dataclass(frozen=True)
class VerdictFiles:
    """Verdicts as JSON, one file per suite and subject; a later audit replaces the earlier one."""

    directory: Path

    def write(self, verdict: Verdict) -> Path:
        """Store a verdict, passed or not."""
        path = self.directory / verdict.suite / f"{verdict.subject}.json"
        write_atomically(path, json.dumps(verdict.to_dict(), indent=1).encode())
        return path

    def failed(self, suites: Sequence[str], subjects: Sequence[str]) -> list[Verdict]:
        """The verdicts of these suites about these subjects that did not pass."""
        return [v for suite in suites for v in self.read(suite, subjects) if not v.passed]

    def all(self) -> list[Verdict]:
        """Every verdict on file, by suite and subject."""
        paths = sorted(self.directory.glob("*/*.json"))
        return [Verdict.from_dict(json.loads(path.read_text())) for path in paths]

    def read(self, suite: str, subjects: Sequence[str]) -> list[Verdict]:
        """The verdicts that exist among those asked for."""
        paths = [self.directory / suite / f"{subject}.json" for subject in subjects]
        return [Verdict.from_dict(json.loads(path.read_text())) for path in paths if path.exists()]


def write_atomically(path: Path, content: bytes) -> None:
    """Write beside, flush to disk, then rename: a reader sees the old or the new file, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


class MonthlyParquet(dg.ConfigurableIOManager):
    """One Parquet file per asset and month, ``<directory>/<asset>/<month>.parquet``.

    A frame that covers several partitions is split by the month of its index, or of the column ``start``,
    ``origin`` or ``month``. Loading joins the months that exist; months never materialised are left out.
    """

    directory: str

    def path(self, asset: str, month: str) -> Path:
        """Where one month of an asset is kept."""
        return Path(self.directory) / asset / f"{month}.parquet"

    def handle_output(self, context: dg.OutputContext, obj: pd.DataFrame) -> None:
        """Write each month to its file; months without rows become empty frames."""
        keys = context.asset_partition_keys
        months = None if len(keys) == 1 else months_of(obj)
        for key in keys:
            part = obj if months is None else obj[months == np.datetime64(month_of(key), "M")]
            path = self.path(context.asset_key.to_user_string(), month_of(key))
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, part.to_parquet(compression="zstd"))

    def load_input(self, context: dg.InputContext) -> pd.DataFrame:
        """Join the months asked for, in order. Raises DataError when none of them exists."""
        asset = context.asset_key.to_user_string()
        keys = sorted(context.asset_partition_keys)
        frame = load_months(Path(self.directory), asset, [month_of(key) for key in keys])
        if frame is None:
            raise DataError(
                f"{asset} has no stored month among {keys[0]} … {keys[-1]}: materialise it first, "
                "or read its check to see why it was not published."
            )
        return frame


def months_of(frame: pd.DataFrame) -> Months:
    """The civil month of every row: from the index if it is time, else from start, origin or month."""
    if isinstance(frame.index, pd.DatetimeIndex):
        times = frame.index.to_numpy()
    elif "month" in frame:
        times = frame["month"].to_numpy(dtype="datetime64[M]")
    else:
        times = frame["start" if "start" in frame else "origin"].to_numpy()
    return times.astype("datetime64[M]")


def in_months(frame: pd.DataFrame, months: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Which rows lie in one of the months ("2010-10")."""
    return np.isin(months_of(frame), np.array(list(months), "datetime64[M]"))


def load_months(directory: Path, asset: str, months: Sequence[str]) -> pd.DataFrame | None:
    """The stored months of an asset joined in order; None when there is none."""
    paths = [directory / asset / f"{month}.parquet" for month in months]
    parts = [pd.read_parquet(path) for path in paths if path.exists()]
    if not parts:
        return None
    filled = [part for part in parts if len(part)] or parts[:1]
    return pd.concat(filled)
