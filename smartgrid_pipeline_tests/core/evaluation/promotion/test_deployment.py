from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from smartgrid_pipeline.core.evaluation.promotion import deployment
from smartgrid_pipeline.core.evaluation.promotion.deployment import COST_COLUMNS, SCENARIOS, Scenario
from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.forecasting import catalogue, history_frames
from smartgrid_pipeline.core.forecasting.forecaster import TINY, Split
from smartgrid_pipeline_tests.core.evaluation.helpers import (
    HeavyForecaster,
    RuleForecaster,
    persistence,
)

COMPOSITE = pd.Series({"gru": 0.7, "lightgbm": 0.8, "ridge": 0.9})
COSTS = pd.DataFrame(
    [
        ("gru", 9.0, 60.0, 600.0, 300.0, 1.0, 9.0, ""),
        ("lightgbm", 9.0, 20.0, 390.0, 90.0, 5.0, 9.0, ""),
        ("ridge", 1.0, 1.0, np.nan, np.nan, 0.1, 9.0, "no process could be started"),
    ],
    columns=list(COST_COLUMNS),
)


def test_measure__finds_latency_and_size(tmp_path: Path, home_history: History) -> None:
    RuleForecaster("persistence", persistence).save(tmp_path)
    cost = deployment.measure(RuleForecaster.load, tmp_path, home_history, repeats=3)
    assert set(cost) < set(COST_COLUMNS)
    assert cost["size_mb"] == len("persistence") / 1e6
    assert cost["latency_ms"] > 0
    assert cost["parameters"] == 0


@pytest.mark.parametrize("name", ["ridge", "extra_trees", "lightgbm", "gru", "analogue_28d"])
def test_parameters__of_any_saved_model_are_counted(name: str, tmp_path: Path, home_history: History) -> None:
    model = catalogue.create(name, TINY)
    model.fit(home_history, Split.before(home_history.end, home_history))
    model.save(tmp_path)
    counted = deployment.count_parameters(tmp_path)
    told = [value for key, value in model.parameters().items() if key.endswith("_weights")]
    assert counted >= max(sum(told), 50)
    assert counted < 1.2 * sum(told) or not told


@pytest.fixture(scope="module")
def recent(tmp_path_factory: pytest.TempPathFactory, home_history: History) -> Path:
    """The last month of a home, as a new process reads it."""
    return history_frames.save(home_history.last_days(30), tmp_path_factory.mktemp("recent") / "recent.npz")


def test_memory__of_a_heavy_model_is_seen_in_a_new_process(tmp_path: Path, recent: Path) -> None:
    RuleForecaster("persistence", persistence).save(tmp_path)
    light = deployment.peak_memory(RuleForecaster.load, tmp_path, recent)
    heavy = deployment.peak_memory(HeavyForecaster.load, tmp_path, recent)
    assert light.reason == heavy.reason == ""
    assert light.whole_mb > light.model_mb + 20
    assert heavy.model_mb > light.model_mb + 0.9 * HeavyForecaster.MEGABYTES


def test_memory__that_cannot_be_measured_has_a_reason_and_no_number(tmp_path: Path, recent: Path) -> None:
    nowhere = deployment.peak_memory(RuleForecaster.load, tmp_path, recent, python="/no/python")
    broken = deployment.peak_memory(RuleForecaster.load, tmp_path, recent)
    assert "no process could be started" in nowhere.reason and np.isnan(nowhere.whole_mb)
    assert "rule.txt" in broken.reason and np.isnan(broken.model_mb)


def test_scenario__takes_the_most_accurate_that_fits() -> None:
    limits = {scenario.name: scenario for scenario in SCENARIOS}
    assert deployment.choose(COSTS, COMPOSITE, limits["Nightly batch"]) == "gru"
    assert deployment.choose(COSTS, COMPOSITE, limits["Online service"]) == "lightgbm"
    assert deployment.choose(COSTS, COMPOSITE, limits["Home gateway"]) is None  # ridge's memory is unknown
    assert deployment.choose(COSTS, COMPOSITE, Scenario("huge", "anywhere", 1e9, 1e9, 1e9)) == "gru"
