import numpy as np
import pandas as pd

from smartgrid_pipeline.core.evaluation.promotion import readiness
from smartgrid_pipeline.core.evaluation.promotion.deployment import COST_COLUMNS
from smartgrid_pipeline.core.evaluation.scoring.comparison import evaluate
from smartgrid_pipeline.core.schema import MODEL_NAMES, Finding, Verdict
from smartgrid_pipeline_tests.core.evaluation.helpers import month_of_models

GOOD_COSTS = pd.DataFrame(
    [(name, 1.0, 5.0, 450.0, 50.0, 1.0, 10.0, "") for name in MODEL_NAMES], columns=list(COST_COLUMNS)
)
RUNS = dict.fromkeys(MODEL_NAMES, "4f2a")
AUDITS = tuple(
    Verdict(suite, "x", (Finding("rows", True, "1", "1"),))
    for suite in ("readings", "features", "forecasts", "leakage")
)


def _scores() -> dict[str, pd.DataFrame]:
    sds = {name: 0.20 + 0.01 * i for i, name in enumerate(reversed(MODEL_NAMES))}
    return month_of_models({**sds, "equal_weights": 0.25, "analogue_28d": 0.5, "persistence": 0.6}, days=15)


def test_readiness__is_complete_when_all_is_there() -> None:
    findings = readiness.check(evaluate(_scores()), "mixture_of_experts", AUDITS, RUNS, GOOD_COSTS)
    failed = [finding.rule for finding in findings if not finding.passed and finding.severity == "critical"]
    assert not failed


def test_readiness__counts_what_is_missing_as_not_met() -> None:
    models = _scores()
    del models["gru"]
    runs = {**RUNS, "ridge": ""}
    findings = readiness.check(evaluate(models), None, AUDITS[:-1], runs, None)
    failed = {finding.rule: finding.found for finding in findings if not finding.passed}
    assert "GRU" in failed["all eight models on every card"]
    assert "Ridge" in failed["a tracking run behind each model"]
    assert failed["audits of leakage"] == "0 of 0 passed"
    assert failed["latency of one forecast, each of the eight"] == "not measured"
    assert failed["80 % interval of the challenger on T2"] == "not scored"


def test_readiness__names_the_model_over_its_limit() -> None:
    costs = GOOD_COSTS.assign(size_mb=[9.0, *[1.0] * 6, np.nan])
    findings = readiness.check(evaluate(_scores()), "gru", AUDITS, RUNS, costs)
    size = next(finding for finding in findings if finding.rule.startswith("size on disk"))
    assert not size.passed
    assert size.found == (
        "nearest to its limit: Ridge, 9.00 of 7.22 MB; over it or not measured: Ridge, Mixture of experts"
    )
