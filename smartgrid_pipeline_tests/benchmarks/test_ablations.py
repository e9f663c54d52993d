import numpy as np
import pytest

from benchmarks.accuracy import ablations, explanations, importance, weight_facts
from benchmarks.accuracy.protocol import Protocol, Window
from benchmarks.shared import fingerprint
from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.forecasting.catalogue import create
from smartgrid_pipeline.core.forecasting.forecaster import TINY, Split, TrainingBudget
from smartgrid_pipeline.core.forecasting.mixture.mixture import MixtureOfExperts
from smartgrid_pipeline.core.schema import FORECAST_TASKS
from smartgrid_pipeline_tests.core.evaluation.helpers import forecasts, truth

T2, T4 = (task for task in FORECAST_TASKS if task.name in ("T2", "T4"))


@pytest.fixture(scope="module")
def mixture(home_history: History) -> MixtureOfExperts:
    model = MixtureOfExperts(TrainingBudget(max_steps=1, max_trees=2, max_rows=200))
    model.fit(home_history, Split.before(home_history.end, home_history))
    return model


def test_cached_experts__change_no_forecast(mixture: MixtureOfExperts, home_history: History) -> None:
    origins = home_history.origins(home_history.end - np.timedelta64(4, "D"), home_history.end, 1440)
    cached = ablations.with_cached_experts(mixture, home_history, origins, T4.leads)
    np.testing.assert_allclose(
        cached.predict(home_history, origins[1:], T4.leads).quantiles_kw,
        mixture.predict(home_history, origins[1:], T4.leads).quantiles_kw,
        atol=1e-4,
    )


def test_drill__the_mixture_forecasts_when_any_expert_fails(
    mixture: MixtureOfExperts, home_history: History
) -> None:
    origins = home_history.origins(home_history.end - np.timedelta64(4, "D"), home_history.end, 1440)
    cached = ablations.with_cached_experts(mixture, home_history, origins, T4.leads)
    rows = ablations.failure_drill(cached, home_history, origins, (T4,), home_history.end)
    assert len(rows) == len(mixture.expert_names) * len(ablations.FAILURES_KW)
    assert all(row["answered"] for row in rows)
    assert max(row["worse_percent"] for row in rows if row["failure"] == "stuck at 10 kW") > 10


def test_day_weights__are_weights_over_past_days(mixture: MixtureOfExperts, home_history: History) -> None:
    origins = home_history.origins(home_history.end - np.timedelta64(4, "D"), home_history.end, 1440)
    expert = mixture.experts[mixture.expert_names.index("attention")]
    weights = weight_facts.day_weights(expert, home_history, origins, T4.leads[1:])
    assert weights is not None
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-5)
    facts = weight_facts.day_weight_facts(weights, origins)
    assert 1 <= facts["effective_days"] <= weights.shape[-1]
    other = mixture.experts[mixture.expert_names.index("gru")]
    assert weight_facts.day_weights(other, home_history, origins, T4.leads[1:]) is None


def test_gate_weight_facts__group_by_clock_and_lead() -> None:
    origins = np.array(["2010-01-01", "2010-07-01"], "datetime64[m]")
    weights = np.zeros((2, 24, 2), np.float32)
    weights[0, :, 0] = weights[1, :, 1] = 1
    facts = weight_facts.gate_weight_facts(weights, origins, T4.leads, ("a", "b"))
    assert facts["mean"] == {"a": 0.5, "b": 0.5}
    assert facts["by_season"] == {"winter": {"a": 1.0, "b": 0.0}, "summer": {"a": 0.0, "b": 1.0}}
    assert len(facts["by_hour"]) == 24
    assert facts["alarms"] == ["the mixture equals one expert for most forecasts"]


def test_oracle__is_never_worse_than_the_best_expert() -> None:
    observed = truth(48)
    high, low = observed + 0.5, observed - 0.5
    one = np.where(np.arange(48) < 24, observed, high)
    frames = {"one": one, "two": low, "mixture": observed}
    found = ablations.oracle(
        {k: forecasts(observed, v) for k, v in frames.items()}, ("one", "two"), "mixture"
    )
    assert found["oracle_by_row_crps_kw"] <= found["oracle_by_origin_crps_kw"]
    assert found["oracle_by_origin_crps_kw"] <= found["best_expert_crps_kw"]


def test_importance__finds_what_a_reference_depends_on(house_history: History) -> None:
    model = create("persistence", TINY)
    split = Split.before(house_history.starts[0] + np.timedelta64(25, "D"), house_history)
    model.fit(house_history.until(split.end), split)
    found = importance.permutation_importance(model, house_history, (T2,), split.end)["T2"]
    assert found["the last hour"]["rmse_increase_percent"] > 5
    for group in ("days and weeks before that", "other channels", "readings inside the intervals", "season"):
        assert found[group]["crps_increase_percent"] == pytest.approx(0, abs=1e-6)


def test_exchanged__leaves_what_lies_outside_the_stretch(house_history: History) -> None:
    origins = house_history.starts[0] + np.array([20, 30], "timedelta64[D]").astype("timedelta64[m]")
    past = importance.exchanged(house_history, origins, 60, 0, np.random.default_rng(0))
    rows = house_history.rows(origins)
    np.testing.assert_array_equal(past.power_kw[rows], house_history.power_kw[rows[::-1]])
    changed = np.flatnonzero(past.power_kw != house_history.power_kw)
    assert changed.min() > rows[0] - 12
    assert changed.max() <= rows[1]


def test_explanations__of_a_mixture_have_what_the_page_shows(
    mixture: MixtureOfExperts, home_history: History
) -> None:
    start = home_history.end - np.timedelta64(8, "D")
    windows = (Window("T4", "T4", start), Window("T5", "T5", start))
    protocol = Protocol(2010, start, home_history.end, windows)
    found = explanations.of_mixture(mixture, home_history, protocol)
    assert set(found) == {"shares", "drill", "leave_one_out", "importance", "matched_days"}
    assert [row["expert"] for row in found["leave_one_out"] if row["card"] == "T4"] == [*mixture.expert_names]
    assert sum(found["shares"]["far"]["mean"].values()) == pytest.approx(1, abs=1e-5)
    assert "season" in found["importance"]["T4"]


def test_explanations__hash_the_code_they_depend_on() -> None:
    assert len(fingerprint.of_modules(*explanations.CODE)) == 16
