"""One month from readings to a decision on a small home: what it leaves, and what a rerun changes."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from smartgrid_pipeline.console import month_run, results
from smartgrid_pipeline.core.evaluation.audits import leakage
from smartgrid_pipeline.core.evaluation.scoring import backtest
from smartgrid_pipeline.core.forecasting import catalogue
from smartgrid_pipeline.core.forecasting.mixture.mixture import MixtureOfExperts
from smartgrid_pipeline.core.schema import MODEL_NAMES, REFERENCE_NAMES, PromotionRefused
from smartgrid_pipeline.orchestration.flows.promote import promote_run
from smartgrid_pipeline_tests.conftest import HOME, make_readings
from smartgrid_pipeline_tests.orchestration.conftest import Place

MONTH = "2010-04"
NUMBERS = ("rmse_kw", "mae_kw", "mape_percent", "wape_percent", "crps_kw", "coverage_80", "r2", "n_scored")


def run(place: Place, *, force: bool = False) -> str:
    said = StringIO()
    console = Console(file=said, width=120)
    month_run.run(place.settings, MONTH, force, console, console)
    return said.getvalue()


@dataclass
class Calls:
    """How often a run fitted each model, scored its forecasts of the month, and audited it for leakage."""

    fitted: Counter[str] = field(default_factory=Counter)
    scored: Counter[str] = field(default_factory=Counter)
    audited: Counter[str] = field(default_factory=Counter)


@contextmanager
def recorded() -> Iterator[Calls]:
    """Count the calls that a run makes, by model; every call goes through unchanged."""
    calls, start = Calls(), np.datetime64(f"{MONTH}-01", "m")

    def count(counter: Counter[str], name: Callable[..., str | None], call: Callable[..., Any]) -> Any:
        def counted(*words: Any) -> Any:
            counter.update(filter(None, [name(*words)]))
            return call(*words)

        return counted

    scored = count(
        calls.scored,
        lambda model, _, begin, __: model.name if begin == start else None,
        backtest.forecast_tasks,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "create", count(calls.fitted, lambda name, _: name, catalogue.create))
        fit = count(calls.fitted, lambda model, *_: model.name, MixtureOfExperts.fit)
        patch.setattr(MixtureOfExperts, "fit", fit)
        patch.setattr(backtest, "forecast_tasks", scored)
        audit = count(calls.audited, lambda model, *_: model.name, leakage.audit_forecaster)
        patch.setattr(leakage, "audit_forecaster", audit)
        yield calls


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Place, Calls]:
    """The month was run once: its home, and what the run called."""
    place = Place(tmp_path_factory.mktemp("month"))
    place.write(make_readings(125, "2010-01-01", HOME))
    with recorded() as calls:
        said = run(place)
    assert "report" in said and "challenger" in said
    return place, calls


@pytest.fixture(scope="module")
def ran(first_run: tuple[Place, Calls]) -> Place:
    """The home of the month that was run once."""
    return first_run[0]


@pytest.mark.slow
def test_month__fits_scores_and_audits_each_model_once(first_run: tuple[Place, Calls]) -> None:
    _, calls = first_run
    once = dict.fromkeys((*MODEL_NAMES, *REFERENCE_NAMES), 1)
    assert calls.fitted == once
    assert calls.audited == once
    assert {name: calls.scored[name] for name in once} == once


@pytest.mark.slow
def test_month__leaves_a_report_with_every_model_on_every_card(ran: Place) -> None:
    document = results.report(ran.settings, MONTH)
    assert set(document["cards"]) == {"T2", "T4", "T5", "T5_week"}
    for card in document["cards"].values():
        assert set(MODEL_NAMES) | set(REFERENCE_NAMES) <= set(card["models"])
        for row in card["models"].values():
            assert set(NUMBERS) <= set(row)
        assert all(card["models"][name]["mlflow_run_id"] for name in MODEL_NAMES)
    page = Path(document["report"]).read_text()
    assert page.count("sub_meter_1_kw") == 1, "absent channels are named once"
    assert (Path(document["report"]).parent / "anomalies.html").exists()


@pytest.mark.slow
def test_month__tracks_one_finished_run_per_model(ran: Place) -> None:
    runs = ran.resources.registry.runs(month=MONTH)
    assert sorted(each.model for each in runs) == sorted([*MODEL_NAMES, *REFERENCE_NAMES])
    for each in runs:
        assert each.status == "FINISHED"
        assert each.tags["dagster.run_id"] and each.data.sha256 and each.metrics


@pytest.mark.slow
def test_rerun__is_told_that_nothing_changed_and_touches_nothing(ran: Place) -> None:
    before, ledger = ran.stored(), ran.resources.registry.ledger()
    assert "Nothing has changed" in run(ran)
    assert ran.stored() == before
    assert ran.resources.registry.ledger() == ledger


@pytest.mark.slow
def test_forced_rerun__trains_nothing_again_and_gives_the_same_bits(ran: Place) -> None:
    before = {name: content for name, content in ran.stored().items() if not name.startswith("champion")}
    trained = len(ran.resources.registry.runs(month=MONTH))
    numbers = results.report(ran.settings, MONTH)["cards"]
    run(ran, force=True)
    after = {name: content for name, content in ran.stored().items() if not name.startswith("champion")}
    assert [name for name in before if after[name] != before[name]] == []
    assert len(ran.resources.registry.runs(month=MONTH)) == trained
    assert results.report(ran.settings, MONTH)["cards"] == numbers


@pytest.mark.slow
def test_promotion__is_refused_to_a_candidate_whose_evidence_is_wanting(ran: Place) -> None:
    registry = ran.resources.registry
    champion = registry.champion()
    loser = next(each for each in registry.runs(month=MONTH) if each.model == "persistence")
    with pytest.raises(PromotionRefused, match="no verdict of suite 'promotion'"):
        promote_run(ran.resources, loser.run_id, "because")
    assert registry.champion() == champion


@pytest.mark.slow
def test_summary__is_plain_json(ran: Place) -> None:
    document = results.report(ran.settings, MONTH)
    assert json.loads(json.dumps(document, allow_nan=False)) == document
