"""The Dagster instance of one meter: its own home, telemetry off, one retraining at a time."""

from pathlib import Path

import dagster as dg

from smartgrid_pipeline.orchestration.resources import write_atomically

DAGSTER_YAML = """\
telemetry:
  enabled: false
nux:
  enabled: false
concurrency:
  pools:
    default_limit: 1
run_monitoring:
  enabled: true
  poll_interval_seconds: 10
  free_slots_after_run_end_seconds: 20
  max_runtime_seconds: 7200
"""


def prepare_home(home: Path) -> Path:
    """Make a Dagster home with this project's settings; an existing dagster.yaml is left as it is."""
    config = home / "dagster.yaml"
    if not config.exists():
        write_atomically(config, DAGSTER_YAML.encode())
    return home


def open_instance(home: Path) -> dg.DagsterInstance:
    """The instance that lives in a Dagster home, made on first use."""
    return dg.DagsterInstance.from_config(str(prepare_home(home)))
