"""The Dagster home of a meter, and its failures as messages."""

import sqlite3
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy.exc import OperationalError

from smartgrid_pipeline.orchestration.runtime import instance


def test_home__gets_settings_once_and_keeps_those_it_has(tmp_path: Path) -> None:
    config = instance.prepare_home(tmp_path / "home") / "dagster.yaml"
    assert config.read_text() == instance.DAGSTER_YAML
    config.write_text("telemetry:\n  enabled: false\n")
    instance.prepare_home(tmp_path / "home")
    assert "pools" not in config.read_text()


def test_locked_database__is_a_state_error_with_the_first_cause_and_what_to_do(tmp_path: Path) -> None:
    cause = sqlite3.OperationalError("database is locked")
    readable = r"database is locked.*then give the same command again"
    with pytest.raises(instance.StateError, match=readable), instance.readable_failures(tmp_path):
        raise OperationalError("SELECT 1", {}, cause) from cause


def test_other_errors__are_not_touched(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="as it was"), instance.readable_failures(tmp_path):
        raise ValueError("as it was")


def test_reason__is_the_innermost_message_of_the_first_failed_step() -> None:
    @dg.op
    def breaks() -> None:
        try:
            raise RuntimeError("the disk is on fire")
        except RuntimeError as error:
            raise ValueError("could not go on") from error

    @dg.job
    def job() -> None:
        breaks()

    with dg.DagsterInstance.ephemeral() as ephemeral:
        result = job.execute_in_process(instance=ephemeral, raise_on_error=False)
        reason = instance.reason_of_failure(ephemeral, result.run_id)
    assert reason.startswith("breaks: ") and "the disk is on fire" in reason
