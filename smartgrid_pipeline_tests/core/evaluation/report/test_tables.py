import numpy as np
import pandas as pd
import pytest

from smartgrid_pipeline.core.evaluation.report import tables
from smartgrid_pipeline.core.evaluation.scoring.comparison import Evaluation, evaluate
from smartgrid_pipeline_tests.core.evaluation.helpers import month_of_models


@pytest.fixture(scope="module")
def scores() -> Evaluation:
    return evaluate(month_of_models({"gru": 0.2, "ridge": 0.3, "persistence": 0.6, "analogue_28d": 0.4}))


def test_number__has_its_digits_a_true_minus_and_a_dash_for_none() -> None:
    assert tables.number(1234.567, 1) == "1,234.6"
    assert tables.number(-0.04, 1, sign=True) == "+0.0"
    assert tables.number(-2.0, 1) == "−2.0"
    assert tables.number(np.nan, 1) == tables.NOTHING


def test_ranking__is_by_crps_and_ranks_no_reference(scores: Evaluation) -> None:
    rows = tables.cards(scores)[0]["rows"]
    assert [row["model"] for row in rows] == ["GRU", "Ridge", "28-day analogue", "Persistence"]
    assert [row["rank"] for row in rows] == [1, 2, "", ""]
    assert [row["cells"][0].best for row in rows] == [True, False, False, False]


def test_overview__has_the_composite_relative_to_the_analogue(scores: Evaluation) -> None:
    rows = {row["model"]: row["cells"] for row in tables.overview(scores)["rows"]}
    assert rows["28-day analogue"][0].text == "1.000" and rows["GRU"][0].best
    assert rows["28-day analogue"][0].shade.endswith(",0.000)")
    assert rows["GRU"][0].shade.startswith("rgba(0,114,178") and rows["Persistence"][0].shade.startswith(
        "rgba(230"
    )


def test_tiles__show_only_what_can_be_computed(scores: Evaluation) -> None:
    meanings = [tile.meaning for tile in tables.tiles(scores, None)]
    assert meanings == []
    assert "CRPS against the 28-day analogue" in [tile.meaning for tile in tables.tiles(scores, "gru")]


def test_defects__are_counted_by_type_with_the_longest_first() -> None:
    when = pd.Timestamp("2010-02-03 10:00")
    frame = pd.DataFrame(
        [(when, when, "gap", 60, ""), (when, when, "dst_copy", 90, ""), (when, when, "gap", 5, "")],
        columns=["start", "end", "kind", "minutes", "channels"],
    )
    shown = tables.defects(frame)
    assert shown is not None
    assert shown["types"] == [("dst copy", 1, "90"), ("gap", 2, "65")]
    assert [row[3] for row in shown["rows"]] == ["90", "60", "5"] and shown["more"] == 0
    assert tables.defects(None) is None
