"""The only reader of the environment: SMARTGRID_* variables to plain values and collaborators."""

import re
from pathlib import Path
from typing import Literal

from pydantic_settings import BaseSettings, SettingsConfigDict

from smartgrid_pipeline.sources.spec import SourceSpec


class Settings(BaseSettings):
    """What a deployment may choose; every field is the variable SMARTGRID_<NAME>."""

    model_config = SettingsConfigDict(env_prefix="SMARTGRID_", frozen=True)

    home: Path = Path()
    source: str = "uci"
    meter: str | None = None
    time_column: str | None = None
    value_column: str | None = None
    unit: str | None = None
    timezone: str | None = None
    table: str | None = None
    query: str | None = None
    holiday_country: str | None = None
    school_zone: str | None = None
    first_month: str = "2006-12"
    effort: Literal["full", "tiny"] = "full"
    seed: int = 0
    threads: int = 1
    alarms_per_month: float = 1.0
    tracking_uri: str | None = None
    notify_url: str | None = None

    @property
    def environment(self) -> dict[str, str]:
        """SMARTGRID_* variables that give a child process these settings; defaults are left out."""
        chosen = self.model_dump(include=self.model_fields_set, exclude_none=True)
        return {f"SMARTGRID_{name.upper()}": str(value) for name, value in chosen.items()}

    @property
    def source_spec(self) -> SourceSpec:
        """Which readings these settings mean; the fields of both have the same meaning."""
        return SourceSpec(
            location=self.source,
            meter_id=self.meter,
            time_column=self.time_column,
            value_column=self.value_column,
            unit=self.unit,
            timezone=self.timezone,
            table=self.table,
            query=self.query,
            holiday_country=self.holiday_country,
            school_zone=self.school_zone,
        )

    @property
    def last_month(self) -> str | None:
        """The month in which the source ends for good; None while it may grow."""
        return self.source_spec.last_month

    @property
    def meter_slug(self) -> str:
        """Name of this meter in paths and in the registry.

        The UCI house is "uci". Any other name holds source and meter, and eight digits of a hash of what is
        read: files in two folders may have one name.
        """
        if self.source == "uci":
            return "uci"
        spec = self.source_spec
        words = re.sub(r"[^a-z0-9]+", "-", spec.name.lower()).strip("-")
        return f"{words}-{spec.key(self.home)[:8]}".strip("-")

    @property
    def data_dir(self) -> Path:
        """Where the frames of this meter live; each meter but the house has a folder of its own."""
        data = self.home.resolve() / "data"
        return data if self.source == "uci" else data / "meters" / self.meter_slug

    @property
    def dagster_home(self) -> Path:
        """Where Dagster keeps runs and events of this meter."""
        return self.data_dir / "dagster"

    @property
    def mlflow_dir(self) -> Path:
        """Where MLflow keeps its embedded database and artifacts."""
        return self.home.resolve() / "mlruns"

    @property
    def mlflow_uri(self) -> str:
        """The tracking server, or the embedded SQLite database."""
        return self.tracking_uri or f"sqlite:///{self.mlflow_dir / 'mlflow.db'}"

    @property
    def registered_name(self) -> str:
        """Name of this meter's model in the registry."""
        return f"smartgrid-{self.meter_slug}"
