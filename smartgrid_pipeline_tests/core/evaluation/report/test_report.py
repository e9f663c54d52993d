import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from smartgrid_pipeline.core.evaluation.audits.mape_forensics import ForensicRow, Forensics
from smartgrid_pipeline.core.evaluation.audits.mixture import SHARE_COLUMNS
from smartgrid_pipeline.core.evaluation.promotion import candidate_outcome
from smartgrid_pipeline.core.evaluation.promotion.deployment import COST_COLUMNS
from smartgrid_pipeline.core.evaluation.report import plots_forecasts, report, tables
from smartgrid_pipeline.core.evaluation.report.report import ReportInputs
from smartgrid_pipeline.core.evaluation.scoring import backtest, metrics
from smartgrid_pipeline.core.evaluation.scoring.comparison import Evaluation, evaluate
from smartgrid_pipeline.core.evaluation.style import svg
from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.schema import EXPERT_NAMES, MODEL_NAMES, DataError, Finding, Verdict, tasks_for
from smartgrid_pipeline_tests.conftest import HOME
from smartgrid_pipeline_tests.core.evaluation.helpers import (
    RuleForecaster,
    month_of_models,
    persistence,
    yesterday,
)

START, END = np.datetime64("2010-02-01"), np.datetime64("2010-02-11")


@pytest.fixture(scope="module")
def house_scores(house_history: History) -> Evaluation:
    rng = np.random.default_rng(0)
    base = backtest.forecast_tasks(RuleForecaster("y", yesterday), house_history, START, END)
    models = {
        "persistence": backtest.forecast_tasks(RuleForecaster("p", persistence), house_history, START, END),
        "analogue_28d": base,
    }
    for name in (*MODEL_NAMES, "lightgbm", "equal_weights"):
        models[name] = base.assign(mean_kw=base["mean_kw"] * 0.9 + 0.05 * rng.random(len(base)))
    return evaluate(models, metrics.mase_scales_kw(house_history, START, tasks_for(5)))


def _shares() -> pd.DataFrame:
    rows = [(h, lead, name, 0.25) for h in range(24) for lead in (5, 60, 1440) for name in EXPERT_NAMES]
    return pd.DataFrame(rows, columns=list(SHARE_COLUMNS))


@pytest.fixture(scope="module")
def house(house_history: History, house_scores: Evaluation) -> ReportInputs:
    curve = pd.DataFrame({"step": [0, 1, 2], "training": [3.0, 2, 1], "validation": [3.0, 2.5, 2]})
    defects = pd.DataFrame(
        [(pd.Timestamp("2010-02-03 10:00"), pd.Timestamp("2010-02-03 10:59"), "gap", 60, "active_power_kw")],
        columns=["start", "end", "kind", "minutes", "channels"],
    )
    return ReportInputs(
        house_history.meter,
        "2010-02",
        {"sha256": "ab12", "rows": "11,520"},
        house_scores,
        Forensics((ForensicRow("replaced task", "V, I <of> the row", "random", 0.021, 2.1, 10, 5),)),
        span=house_scores,
        challenger="gru",
        champion="gru",
        verdict=Verdict("promotion", "gru", (Finding("beats the analogue", True, "−3 %", "lower"),)),
        shares=_shares(),
        costs=pd.DataFrame(
            [(m, 1.0, 5.0, 450.0, 50.0, 1.0, 10.0, "") for m in MODEL_NAMES], columns=list(COST_COLUMNS)
        ),
        defects=defects,
        anomalies={"events": "3"},
        curves={"gru": curve.assign(half="near")},
        runs=dict.fromkeys(MODEL_NAMES, "4f2a"),
        links={"gru": "http://127.0.0.1:5000/#/runs/4f2a"},
        commands=("smartgrid report --month 2010-02",),
    )


@pytest.fixture(scope="module")
def page(house: ReportInputs) -> str:
    return report.render(house)


@pytest.fixture(scope="module")
def first_page() -> str:
    scores = evaluate(month_of_models({"gru": 0.2, "analogue_28d": 0.4}, days=6))
    return report.render(ReportInputs(HOME, "2010-03", {}, scores, Forensics(not_applicable="No current.")))


class _Balance(HTMLParser):
    """Fails on a tag closed out of order; collects what the page would load."""

    VOID = ("meta", "img", "input", "br", "link")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in ("script", "link", "iframe"), tag
        self.loaded += [value or "" for name, value in attrs if name in ("src", "srcset", "data", "poster")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, (tag, self.getpos())


@pytest.mark.parametrize("which", ["page", "first_page"])
def test_report__is_well_formed_and_loads_nothing(which: str, request: pytest.FixtureRequest) -> None:
    html = request.getfixturevalue(which)
    parser = _Balance()
    parser.feed(html)
    assert not parser.open
    assert parser.loaded and all(source.startswith("data:image/svg+xml;base64,") for source in parser.loaded)
    style = html[html.index("<style>") : html.index("</style>")]
    assert "url(" not in style and "@import" not in style
    assert len(html) < 4e6


def test_report__shows_every_part_of_a_full_month(page: str) -> None:
    for words in ("0.31129", "31.1 %", "99.95 %", "Champion: GRU", "promotion granted", "No collapse", "4f2a",
                  "1 gap (60 min)", "smartgrid report --month 2010-02", "Home gateway"):  # fmt: skip
        assert words in page, words
    assert page.count("<figure>") == 9
    assert "&lt;of&gt;" in page  # inputs are escaped


def test_report__says_what_a_first_month_of_a_home_lacks(first_page: str) -> None:
    for words in (
        "This section does not apply. No current.",
        "first scored month",
        "No gate weights",
        "No verdict",
        "were not measured",
        "No defects table",
        "no run recorded",
        "voltage_v, current_a",
    ):
        assert words in first_page, words
    assert first_page.count("voltage_v") == 1
    assert "T1 ·" not in first_page and "T3 ·" not in first_page


def test_report__names_why_a_promotion_was_refused(house: ReportInputs) -> None:
    refused = Verdict("promotion", "gru", (Finding("leakage audit", False, "no verdict", "passed"),))
    html = report.render(replace(house, verdict=refused), drawn={})
    assert "promotion refused" in html and "found no verdict; demanded passed" in html


def test_report__says_why_the_best_of_the_month_is_not_champion(house: ReportInputs) -> None:
    assert house.verdict is not None
    losses = {"gru": 0.5, "ridge": 0.6, "attention": 0.55}
    composite = pd.Series({"ridge": 0.7, "gru": 0.8, "attention": 0.9})
    lines = candidate_outcome.explain(composite, losses, "gru", house.verdict)
    told = replace(house, candidate_outcomes=lines)
    html, data = report.render(told, drawn={}), report.summary_json(told)
    assert "Ridge did best on the month and is not promoted" in html
    assert html.count("20.0 % above that of GRU") == 2  # beside the verdict, and beside the ranking
    assert data["candidates"][0] == {
        "model": "ridge", "place": 1, "before": 0.6, "now": 0.7, "outcome": "not put forward",
        "why": lines[0].reason,
    }  # fmt: skip
    assert data["why_not_the_best"] in html


def test_report__says_why_memory_was_not_measured(house: ReportInputs) -> None:
    assert house.costs is not None
    costs = house.costs.assign(memory_mb=np.nan, model_memory_mb=np.nan, memory_reason="no process")
    html = report.render(replace(house, costs=costs.tail(2)), drawn={})
    assert "Memory was not measured for Attention, Mixture of experts: no process." in html


def test_report__sounds_the_collapse_alarm(house: ReportInputs) -> None:
    shares = _shares()
    shares["share"] = np.where(shares["expert"] == "gru", 0.97, 0.01)
    assert "Collapse alarm" in report.render(replace(house, shares=shares), drawn={})


def test_report__refuses_an_impossible_mape(house: ReportInputs) -> None:
    bad = replace(house.scores, metrics=house.scores.metrics.assign(mape_percent=0.31))
    with pytest.raises(DataError, match="Impossible MAPE"):
        report.render(replace(house, scores=bad), drawn={})


def test_figures__are_the_same_bytes_twice(house_scores: Evaluation) -> None:
    drawn = [plots_forecasts.ranking(house_scores) for _ in range(2)]
    first, second = [svg(figure) for figure in drawn if figure is not None]
    assert first == second


def test_summary__has_the_agreed_keys(house: ReportInputs) -> None:
    data = json.loads(json.dumps(report.summary_json(house), allow_nan=False))
    gru = data["cards"]["T2"]["models"]["gru"]
    for key in (
        "rmse_kw",
        "mae_kw",
        "mape_percent",
        "wape_percent",
        "crps_kw",
        "coverage_80",
        "r2",
        "n_scored",
    ):
        assert isinstance(gru[key], int | float), key
    assert gru["mlflow_run_id"] == "4f2a"
    assert gru["peak_hour_hit_rate"] is None  # undefined on T2
    assert data["cards"]["T2"]["models"]["persistence"]["mlflow_run_id"] is None
    assert data["cards"]["T3"]["n_scored"] == gru["n_scored"] * 4 == 960
    assert {"a", "b", "loss", "statistic", "p"} <= set(data["cards"]["T1"]["tests"][0])
    assert (data["champion"], data["month"], data["verdict"]["passed"]) == ("gru", "2010-02", True)
    assert set(data["all_months"]["cards"]) == set(data["cards"])


def test_tables__bold_the_best_and_mark_the_tests(house_scores: Evaluation) -> None:
    card = next(each for each in tables.cards(house_scores) if each["name"] == "T2")
    width = {len(row["cells"]) for row in card["rows"]}
    assert width == {len(card["columns"])}
    crps = [row["cells"][0] for row in card["rows"]]
    values = [float(cell.text) for cell in crps]
    assert values == sorted(values)
    ranks = [row["rank"] for row in card["rows"] if not row["reference"]]
    assert ranks == list(range(1, 9))
    assert all(re.search("[✓✗≈–]", row["cells"][2].text) for row in card["rows"])


def test_number__has_a_dash_for_nothing_and_no_negative_zero() -> None:
    assert tables.number(float("nan"), 2) == "–"
    assert tables.number(-0.04, 1, sign=True) == "+0.0"
    assert tables.number(-1234.5, 1) == "−1,234.5"
