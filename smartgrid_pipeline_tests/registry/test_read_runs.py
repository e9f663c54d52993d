"""Runs are found by their tags; what was logged with them is read back, or named when it is not there."""

from pathlib import Path

import pandas as pd
import pytest

from smartgrid_pipeline.core.schema import RegistryError
from smartgrid_pipeline.registry import Registry, read_runs, types
from smartgrid_pipeline_tests.registry.conftest import MONTH, Candidates, Train, verdict


def test_find__takes_runs_with_every_tag_newest_first(candidates: Candidates) -> None:
    connection = candidates.registry.connection
    wanted = {types.MODEL: "tiny", types.MONTH: MONTH}
    found = read_runs.find(connection, wanted, status="FINISHED")
    assert [run.run_id for run in found] == [run.run_id for run in candidates.runs[::-1]]
    assert len(read_runs.find(connection, wanted, limit=2)) == 2
    assert read_runs.find(connection, wanted | {types.MONTH: "2010-04"}) == []
    assert read_runs.find(connection, wanted, status="FAILED") == []


@pytest.mark.parametrize("value", ["o'clock", "a\\b"])
def test_find__refuses_what_cannot_be_searched_for(value: str, candidates: Candidates) -> None:
    with pytest.raises(RegistryError, match="quotes and backslashes are not allowed"):
        read_runs.find(candidates.registry.connection, {types.MODEL: value})


def test_reports__are_found_by_a_run_that_they_compared(registry: Registry) -> None:
    for compared in (["aa", "bb"], ["cc"]):
        registry.log_report(month=MONTH, compared=compared, html="", metrics={}, verdicts=[])
    (found,) = read_runs.find(registry.connection, {types.RUN_TYPE: types.REPORT}, compared="bb")
    assert found.tags[types.COMPARED_RUNS] == "aa bb"


def test_verdicts__of_a_run_are_read_back_and_damaged_ones_named(registry: Registry, train: Train) -> None:
    kept = [verdict("leakage", "tiny", False), verdict("forecasts", "tiny")]
    run, without = train(verdicts=kept), train(fingerprint="f2")
    assert read_runs.read_verdicts(registry.connection, run.run_id) == kept
    assert read_runs.read_verdicts(registry.connection, without.run_id) == []
    artifacts = registry.connection.client.get_run(run.run_id).info.artifact_uri.removeprefix("file://")
    (Path(artifacts) / read_runs.VERDICTS_FILE).write_text('[{"suite": "leakage"}]')
    with pytest.raises(RegistryError, match="are not readable"):
        read_runs.read_verdicts(registry.connection, run.run_id)


def test_table__that_was_not_logged_is_named_beside_those_that_were(registry: Registry, train: Train) -> None:
    run = train(tables={"costs": pd.DataFrame({"x": [1]})})
    with pytest.raises(RegistryError, match=r"keeps no table 'events'; it keeps \['tables/costs"):
        read_runs.read_table(registry.connection, run.run_id, "events")
