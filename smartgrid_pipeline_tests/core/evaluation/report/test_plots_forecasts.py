import pytest

from smartgrid_pipeline.core.evaluation.report import plots_forecasts as plots
from smartgrid_pipeline.core.evaluation.scoring.comparison import Evaluation, evaluate
from smartgrid_pipeline_tests.core.evaluation.helpers import month_of_models

MODELS = ("gru", "analogue_28d")


@pytest.fixture(scope="module")
def scores() -> Evaluation:
    return evaluate(month_of_models({"gru": 0.2, "ridge": 0.3, "analogue_28d": 0.4}, days=12))


@pytest.fixture(scope="module")
def without_analogue() -> Evaluation:
    return evaluate(month_of_models({"gru": 0.2, "ridge": 0.3}, days=6))


def test_ranking__has_a_panel_per_task_and_needs_the_analogue(
    scores: Evaluation, without_analogue: Evaluation
) -> None:
    figure = plots.ranking(scores)
    assert figure is not None
    titles = [axes.get_title(loc="left").split(" ·")[0] for axes in figure.axes if axes.get_visible()]
    assert titles == ["T2", "T4"]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["Ridge", "GRU"]
    assert plots.ranking(without_analogue) is None


def test_reliability__draws_the_models_asked_for_beside_the_diagonal(scores: Evaluation) -> None:
    figure = plots.reliability_diagram(scores, MODELS)
    assert figure is not None and [len(axes.lines) for axes in figure.axes if axes.get_visible()] == [3, 3]


def test_coverage__is_shown_by_hour_and_by_month(scores: Evaluation) -> None:
    by_hour, by_month = plots.coverage(scores, scores, MODELS, "T4").axes
    hourly = next(line for line in by_hour.lines if line.get_label() == "GRU")
    assert len(hourly.get_xdata()) == 24
    assert [label.get_text() for label in by_month.get_xticklabels()] == ["2010-03"]


def test_days__are_chosen_by_rank(scores: Evaluation) -> None:
    figure = plots.day_forecasts(scores, "gru", "T4")
    assert figure is not None
    assert [axes.get_title(loc="left").split(":")[0] for axes in figure.axes] == ["easy", "typical", "hard"]
    assert plots.day_forecasts(scores, "lightgbm", "T4") is None


def test_daily_loss__has_a_line_per_model_with_its_mean(
    scores: Evaluation, without_analogue: Evaluation
) -> None:
    figure = plots.daily_loss(scores, MODELS)
    assert figure is not None
    labels = [line.get_label() for line in figure.axes[0].lines]
    assert "28-day analogue (mean 1.00)" in labels
    assert plots.daily_loss(without_analogue, MODELS) is None
