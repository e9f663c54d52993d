import numpy as np
import pandas as pd
import pytest

from smartgrid_pipeline.core.evaluation.scoring import comparison
from smartgrid_pipeline.core.schema import DataError
from smartgrid_pipeline_tests.core.evaluation.helpers import forecasts, month_of_models, noisy, truth

OBSERVED = truth(24 * 30)


@pytest.mark.parametrize("loss", ["crps", "squared", "absolute"])
def test_paired__finds_a_real_difference(loss: str) -> None:
    better, worse = noisy(OBSERVED, 0.3, 1), noisy(OBSERVED, 0.4, 2)
    test = comparison.paired(better, worse, "T2", loss)
    assert test.better
    assert test.mean_difference_percent < 0 and test.high_percent < 0
    assert test.p < 0.01 and test.dm_p < 0.01 and test.dm_statistic < 0
    assert not comparison.paired(worse, better, "T2", loss).better


def test_paired__does_not_reject_identical_forecasts() -> None:
    same = noisy(OBSERVED, 0.3, 1)
    test = comparison.paired(same, same.copy(), "T2")
    assert (test.mean_difference_percent, test.p, test.dm_p) == (0, 1, 1)
    assert not test.better


def test_paired__rarely_rejects_equals() -> None:
    tests = [
        comparison.paired(noisy(OBSERVED, 0.3, s), noisy(OBSERVED, 0.3, 100 + s), "T2") for s in range(40)
    ]
    assert sum(test.p < 0.05 for test in tests) <= 6
    assert sum(test.dm_p < 0.05 for test in tests) <= 6
    covered = sum(test.low_percent <= 0 <= test.high_percent for test in tests)
    assert covered >= 34


def test_paired__repeats_itself_bit_for_bit() -> None:
    a, b = noisy(OBSERVED, 0.3, 1), noisy(OBSERVED, 0.32, 2)
    assert comparison.paired(a, b, "T2") == comparison.paired(a, b, "T2")


def test_paired__weighs_the_dependence_of_days() -> None:
    days = 60
    daily = np.sin(np.arange(days) / 4)  # a's error wanders for weeks
    slow = np.repeat(daily, 24)
    observed = np.full(24 * days, 2.0)
    wandering = comparison.paired(
        forecasts(observed, 2.5 + 0.3 * slow), forecasts(observed, observed + 0.45), "T2"
    )
    shuffled = np.repeat(np.random.default_rng(0).permutation(daily), 24)
    shaken = comparison.paired(
        forecasts(observed, 2.5 + 0.3 * shuffled), forecasts(observed, observed + 0.45), "T2"
    )
    assert wandering.mean_difference_percent == pytest.approx(shaken.mean_difference_percent)
    assert abs(wandering.dm_statistic) < 0.7 * abs(shaken.dm_statistic)
    assert wandering.high_percent - wandering.low_percent > 1.4 * (shaken.high_percent - shaken.low_percent)


def test_paired__keeps_neighbouring_days_together() -> None:
    observed = np.full(24 * 32, 2.0)
    swing = np.repeat(np.where(np.arange(32) % 2, 0.3, -0.3), 24)  # each good day is followed by a bad one
    test = comparison.paired(forecasts(observed, 2.5 + swing), forecasts(observed, observed + 0.5), "T2")
    assert test.high_percent - test.low_percent < 1e-6


def test_paired__blocks_span_the_lead() -> None:
    month = comparison.paired(noisy(OBSERVED, 0.3, 1), noisy(OBSERVED, 0.3, 2), "T2")
    assert (month.n_days, month.block_days, month.n_blocks) == (30, 4, 8)
    weeks = truth(24)
    weekly = comparison.paired(noisy(weeks, 0.05, 1, "T5_week"), noisy(weeks, 0.5, 2, "T5_week"), "T5_week")
    assert weekly.block_days == 7 and weekly.n_blocks == 4
    assert weekly.mean_difference_percent < 0 and not weekly.better  # too few blocks to tell


def test_paired__refuses_forecasts_without_common_rows() -> None:
    with pytest.raises(DataError, match="share no scored row"):
        comparison.paired(noisy(OBSERVED, 0.3, 1), noisy(OBSERVED, 0.3, 1), "T4")


def test_composite_loss__of_the_analogue_is_one() -> None:
    models = month_of_models({"analogue_28d": 0.5, "gru": 0.25})
    losses = comparison.composite_loss(models, models["analogue_28d"])
    assert losses["analogue_28d"].mean() == pytest.approx(1)
    assert losses["gru"].mean() < 1
    assert len(losses) == 20


def test_composite_loss__counts_cards_alike_and_whole_days_only() -> None:
    models = month_of_models({"analogue_28d": 0.5, "gru": 0.25})
    gru, analogue = models["gru"], models["analogue_28d"]
    gone = (analogue["card"] == "T4") & (analogue["origin"] == analogue["origin"].min())
    losses = comparison.composite_loss({"gru": gru}, analogue[~gone])
    assert len(losses) == 19
    ratios = []
    for card in ("T2", "T4"):
        pair = comparison.align(
            {"a": gru[gru["card"] == card], "b": analogue[(analogue["card"] == card) & ~gone]}
        )[card]
        crps = {side: comparison.row_loss(frame, "crps") for side, frame in pair.items()}
        days = pair["a"]["origin"].dt.normalize()
        ratios.append(pd.Series(crps["a"] / crps["b"].mean()).groupby(days).mean())
    assert losses["gru"].mean() == pytest.approx(pd.concat(ratios, axis=1).dropna().mean(axis=1).mean())


def test_composite_loss__refuses_a_model_without_a_card() -> None:
    models = month_of_models({"analogue_28d": 0.5, "gru": 0.25})
    with pytest.raises(DataError, match="every model must forecast every card"):
        comparison.composite_loss(
            {"gru": models["gru"][models["gru"]["card"] == "T2"]}, models["analogue_28d"]
        )


def test_evaluate__tests_each_model_against_both_rivals() -> None:
    scores = comparison.evaluate(month_of_models({"analogue_28d": 0.5, "lightgbm": 0.25, "gru": 0.2}))
    assert scores.cards == ("T2", "T4") and scores.months == ("2010-03",)
    pairs = set(zip(scores.tests["a"], scores.tests["b"], strict=True))
    assert {("gru", "lightgbm"), ("gru", "analogue_28d"), ("lightgbm", "analogue_28d")} < pairs
    assert len(pairs) == 4
    assert list(scores.composite.index) == ["gru", "lightgbm", "analogue_28d"]
    assert scores.composite["analogue_28d"] == 1


def test_composite__is_of_the_deciding_tasks_only() -> None:
    models = month_of_models({"gru": 0.2, "analogue_28d": 0.4}, days=10)
    fine = truth(12 * 24 * 10)
    path = {
        name: pd.concat([frame, noisy(fine, 5.0 if name == "gru" else 0.1, 3, "T1_path")], ignore_index=True)
        for name, frame in models.items()
    }
    scores = comparison.evaluate(path)
    assert scores.cards == ("T1_path", "T2", "T4")
    assert scores.value("T1_path", "gru", "crps_kw") > scores.value("T1_path", "analogue_28d", "crps_kw")
    pd.testing.assert_series_equal(scores.composite, comparison.evaluate(models).composite)
