import numpy as np
import pandas as pd
import pytest

from smartgrid_pipeline.core.evaluation.audits import mixture
from smartgrid_pipeline.core.evaluation.scoring.metrics import align
from smartgrid_pipeline.core.schema import EXPERT_NAMES
from smartgrid_pipeline_tests.core.evaluation.helpers import month_of_models


def _shares(*shares: float) -> pd.DataFrame:
    rows = [
        (hour, 60, name, share) for hour in (0, 12) for name, share in zip(EXPERT_NAMES, shares, strict=True)
    ]
    return pd.DataFrame(rows, columns=list(mixture.SHARE_COLUMNS))


def test_gate__is_calm_when_every_expert_has_its_share() -> None:
    assert all(finding.passed for finding in mixture.share_findings(_shares(0.4, 0.3, 0.2, 0.1)))


def test_gate__raises_an_alarm_when_one_expert_does_all() -> None:
    findings = mixture.share_findings(_shares(0.97, 0.01, 0.01, 0.01))
    assert not any(finding.passed for finding in findings)


def test_mixture__that_equals_an_expert_is_no_mixture() -> None:
    models = month_of_models({"gru": 0.2, "cnn_lstm": 0.3, "mixture_of_experts": 0.1}, days=5)
    assert mixture.collapse_finding(align(models)).passed
    collapsed = {**models, "mixture_of_experts": models["cnn_lstm"]}
    finding = mixture.collapse_finding(align(collapsed))
    assert not finding.passed and finding.found == "0.0 W from CNN-LSTM"
    assert not mixture.collapse_finding(align({"gru": models["gru"]})).passed


def test_error_correlation__is_one_with_itself() -> None:
    matrix = mixture.error_correlation(align(month_of_models({"gru": 0.2, "attention": 0.3}, days=5)), "T2")
    assert matrix.loc["gru", "gru"] == pytest.approx(1)
    assert abs(matrix.loc["gru", "attention"]) < 0.4


def test_even_gate__is_told_from_one_that_decides() -> None:
    rows = [(hour, 60, expert, 0.25) for hour in range(24) for expert in EXPERT_NAMES]
    shares = pd.DataFrame(rows, columns=list(mixture.SHARE_COLUMNS))
    assert mixture.weighs_all_alike(shares)
    shares.loc[0, "share"] = 0.3
    assert not mixture.weighs_all_alike(shares)


def test_collapse_alarm__fires_on_a_collapsed_gate() -> None:
    collapsed = np.tile(np.array([0.0, 1.0, 0.0, 0.0], np.float32), (50, 3, 1))
    alarms = mixture.collapse_alarms(collapsed, EXPERT_NAMES)
    assert any("cnn_lstm has a share of 100.0 %" in alarm for alarm in alarms)
    assert any("equals one expert" in alarm for alarm in alarms)
    assert mixture.collapse_alarms(np.full((9, 2, 4), 0.25, np.float32), EXPERT_NAMES) == []
    assert mixture.entropy(collapsed).max() < 1e-3


def test_collapse_alarm__fires_when_the_expert_changes_but_is_always_one() -> None:
    switching = np.eye(4, dtype=np.float32)[np.arange(400) % 4]
    assert mixture.collapse_alarms(switching, EXPERT_NAMES) == [
        "the mixture equals one expert for most forecasts"
    ]
