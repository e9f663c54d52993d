"""``smartgrid promote``: a refusal is an exit code and a reason, and leaves the registry as it was."""

import os
import shutil
from pathlib import Path

import pytest

from smartgrid_pipeline import cli
from smartgrid_pipeline.core.schema import Verdict
from smartgrid_pipeline.registry import Example, Registry
from smartgrid_pipeline_tests.registry.conftest import MONTH, evidence_for, open_registry, trainer, verdict

SPOILT = {
    "leakage": "✗ is right: found wrong, demanded right",
    "promotion": "promotion of tiny on 2010-03",
    "readings": "readings of 2010-01: FAILED",
    "no promotion": "no verdict of suite 'promotion' about this run",
}
"""Suite whose verdict failed, and what the refusal says of it; a run never challenger has no "promotion"."""


def spoilt(verdicts: list[Verdict], suite: str) -> list[Verdict]:
    """The verdicts, those of one suite failed, or left out after "no "."""
    if suite.startswith("no "):
        return [v for v in verdicts if v.suite != suite.removeprefix("no ")]
    return [verdict(v.suite, v.subject, v.suite != suite) for v in verdicts]


@pytest.fixture
def registry(tmp_path: Path, migrated_folder: Path) -> Registry:
    """The registry that the command line finds in a home directory, without runs."""
    (tmp_path / "mlruns").mkdir()
    shutil.copy(migrated_folder / "mlflow.db", tmp_path / "mlruns")
    registry = open_registry(tmp_path / "mlruns", "smartgrid-uci")
    registry.prepare()
    return registry


@pytest.mark.parametrize("suite", SPOILT)
def test_refused_candidate__leaves_the_champion_and_says_why(
    suite: str,
    registry: Registry,
    example: Example,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    train = trainer(registry, example)
    reigning = train()
    registry.promote(reigning.run_id, evidence_for(reigning), reason="the first")
    candidate = train(fingerprint="f2")
    evidence = spoilt(evidence_for(candidate), suite)
    registry.log_report(month=MONTH, compared=[candidate.run_id], html="", metrics={}, verdicts=evidence)
    before, ledger = registry.champion(), registry.ledger()
    aliases = registry.connection.client.get_registered_model("smartgrid-uci").aliases
    monkeypatch.setattr(os, "environ", os.environ | {"SMARTGRID_HOME": str(tmp_path)})
    monkeypatch.setattr("sys.argv", ["smartgrid", "promote", candidate.run_id])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = " ".join(capsys.readouterr().err.split())
    assert ended.value.code == 1
    assert "PromotionRefused" in said and "the champion stays" in said and SPOILT[suite] in said
    assert registry.champion() == before and registry.ledger() == ledger
    assert registry.connection.client.get_registered_model("smartgrid-uci").aliases == aliases
