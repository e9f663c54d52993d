import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smartgrid_pipeline.core.evaluation.scoring import metrics
from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.schema import QUANTILE_COLUMNS, QUANTILES, DataError, ModelError, tasks_for
from smartgrid_pipeline_tests.core.evaluation.helpers import forecasts, noisy, truth

OBSERVED = np.array([1.0, 2.0, 4.0, 1.0])
MEAN = np.array([1.5, 1.0, 4.0, 2.0])  # errors +0.5, −1, 0, +1


def test_metrics__equal_hand_computed_values() -> None:
    scored = metrics.score(forecasts(OBSERVED, MEAN), mase_scale_kw=1.25)
    assert scored["rmse_kw"] == pytest.approx(np.sqrt((0.25 + 1 + 0 + 1) / 4))
    assert scored["mae_kw"] == pytest.approx(2.5 / 4)
    assert scored["mape_percent"] == pytest.approx(100 * (0.5 + 0.5 + 0 + 1) / 4)
    assert scored["wape_percent"] == pytest.approx(100 * 2.5 / 8)
    assert scored["r2"] == pytest.approx(1 - 2.25 / 6)
    assert scored["mase"] == pytest.approx(0.5)
    assert scored["cvrmse_percent"] == pytest.approx(100 * np.sqrt(2.25 / 4) / 2)
    assert scored["width_80_kw"] == pytest.approx(0.8)
    assert scored["coverage_80"] == pytest.approx(0.25)  # ±0.4 kW around the mean covers only the third
    assert scored["n_scored"] == scored["n_origins"] == 4


def test_metrics__pinball_and_crps_equal_hand_computed_values() -> None:
    frame = forecasts(np.array([2.0]), np.array([1.0]), spread_kw=0.0)
    scored = metrics.score(frame)
    for column, level in zip(QUANTILE_COLUMNS, QUANTILES, strict=True):
        assert scored[f"pinball_{column}"] == pytest.approx(level)  # 1 kW too low costs its level
    assert scored["crps_kw"] == pytest.approx(1.0)  # a point forecast's CRPS is its absolute error
    assert metrics.row_loss(frame, "crps") == pytest.approx(metrics.row_loss(frame, "absolute"))


def test_metrics__peak_hour_is_hit_on_one_of_two_days() -> None:
    observed, mean = np.ones(48), np.ones(48)
    observed[[19, 24 + 19]] = 3.0
    mean[[19, 24 + 8]] = 2.0
    assert metrics.score(forecasts(observed, mean, "T4"))["peak_hour_hit_rate"] == 0.5
    quarters = forecasts(np.repeat(observed, 4), np.repeat(mean, 4), "T3")
    assert metrics.score(quarters)["peak_hour_hit_rate"] == 0.5
    assert np.isnan(metrics.score(forecasts(observed, mean, "T2"))["peak_hour_hit_rate"])


@settings(max_examples=25, deadline=None)
@given(scale=st.floats(0.01, 50), seed=st.integers(0, 999))
def test_crps__grows_with_the_unit(scale: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    observed, mean = rng.gamma(2, 1, 30), rng.gamma(2, 1, 30)
    small = metrics.score(forecasts(observed, mean))
    large = metrics.score(forecasts(scale * observed, scale * mean, spread_kw=scale))
    assert large["crps_kw"] == pytest.approx(scale * small["crps_kw"])
    assert large["mape_percent"] == pytest.approx(small["mape_percent"])


@settings(max_examples=25, deadline=None)
@given(spread=st.floats(0, 20), seed=st.integers(0, 999))
def test_coverage__stays_a_share_and_grows_with_width(spread: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    observed, mean = rng.gamma(2, 1, 40), rng.gamma(2, 1, 40)
    narrow = metrics.score(forecasts(observed, mean, spread_kw=spread))["coverage_80"]
    wide = metrics.score(forecasts(observed, mean, spread_kw=spread + 1))["coverage_80"]
    assert 0 <= narrow <= wide <= 1


def test_table__scores_all_models_on_the_rows_they_share() -> None:
    observed = truth(48)
    whole, part = noisy(observed, 0.1, 1), noisy(observed, 0.1, 2).iloc[10:]
    whole.loc[20, "observed_kw"] = np.nan  # not observed: never scored
    part.loc[20, "observed_kw"] = np.nan
    table = metrics.table({"a": whole.sample(frac=1, random_state=0), "b": part})
    assert table["n_scored"].tolist() == [37, 37]
    own = metrics.score(whole.iloc[10:].dropna())
    assert table.loc[table["model"] == "a", "rmse_kw"].item() == pytest.approx(own["rmse_kw"])


def test_table__skills_compare_with_persistence_and_analogue() -> None:
    observed = truth(72)
    models = {"persistence": 0.4, "analogue_28d": 0.6, "gru": 0.1}
    table = metrics.table({name: noisy(observed, sd, 1) for name, sd in models.items()}).set_index("model")
    rmse, crps = table["rmse_kw"], table["crps_kw"]
    assert table.loc["gru", "skill_persistence"] == pytest.approx(1 - rmse["gru"] / rmse["persistence"])
    assert table.loc["gru", "skill_analogue"] == pytest.approx(1 - crps["gru"] / crps["analogue_28d"])
    assert table.loc["persistence", "skill_persistence"] == 0


def test_table__refuses_a_missing_forecast() -> None:
    frame = noisy(truth(24), 0.1, 1)
    frame.loc[3, "q50_kw"] = np.nan
    with pytest.raises(ModelError, match="no finite forecast for 1 of 24"):
        metrics.table({"gru": frame})


def test_table__refuses_two_truths() -> None:
    with pytest.raises(DataError, match="other observations"):
        metrics.table({"a": noisy(truth(24), 0.1, 1), "b": noisy(truth(24) + 0.1, 0.1, 1)})


def test_table__refuses_repeated_rows() -> None:
    frame = noisy(truth(24), 0.1, 1)
    with pytest.raises(DataError, match="more than once"):
        metrics.table({"a": pd.concat([frame, frame.iloc[:2]])})


def test_verify__catches_a_fraction_sold_as_per_cent() -> None:
    table = metrics.table({"gru": noisy(truth(48), 0.3, 1)})
    metrics.verify(table)
    with pytest.raises(DataError, match="Impossible MAPE of gru"):
        metrics.verify(table.assign(mape_percent=table["mape_percent"] / 100))


def test_verify__demands_ten_per_cent_for_ten_per_cent(monkeypatch: pytest.MonkeyPatch) -> None:
    table = metrics.table({"gru": noisy(truth(48), 0.3, 1)})
    right = metrics.mape_percent
    monkeypatch.setattr(metrics, "mape_percent", lambda y, forecast: right(y, forecast) / 100)
    with pytest.raises(DataError, match="not in per cent"):
        metrics.verify(table)


def test_mase_scale__is_the_error_of_the_day_before(house_history: History) -> None:
    end = house_history.end
    cards = tasks_for(5)
    scales = metrics.mase_scales_kw(house_history, end, cards)
    assert set(scales) == {card.name for card in cards}
    power = house_history.power_kw.astype(float)
    assert scales["T1"] == pytest.approx(np.nanmean(np.abs(power[288:] - power[:-288])), rel=1e-3)


def test_metrics__judge_the_median_by_absolute_and_the_mean_by_squared_errors() -> None:
    frame = forecasts(OBSERVED, MEAN)
    frame["mean_kw"] += 1.0  # quantiles stay: only what is squared may notice
    before, after = metrics.score(forecasts(OBSERVED, MEAN)), metrics.score(frame)
    assert after["rmse_kw"] > before["rmse_kw"]
    for name in ("mae_kw", "mape_percent", "wape_percent", "crps_kw"):
        assert after[name] == before[name]
