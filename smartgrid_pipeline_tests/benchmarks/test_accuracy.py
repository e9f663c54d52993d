import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.accuracy import jobs, peers, protocol, summary, targets
from benchmarks.accuracy.page import write_page
from benchmarks.accuracy.protocol import Protocol, Window
from benchmarks.shared import fingerprint
from benchmarks.shared.result_head import compact
from smartgrid_pipeline.core.evaluation.scoring import metrics
from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.forecasting.catalogue import create
from smartgrid_pipeline.core.forecasting.forecaster import TINY
from smartgrid_pipeline.core.schema import FORECAST_COLUMNS
from smartgrid_pipeline_tests.conftest import make_history

FEBRUARY, MARCH = np.datetime64("2010-02-01", "m"), np.datetime64("2010-03-01", "m")
WINDOWS = (Window("T2", "T2", FEBRUARY), Window("T4", "T4", MARCH), Window("T5", "T5", FEBRUARY))


@pytest.fixture(scope="module")
def history() -> History:
    """Seventy days from 4 January 2010 on."""
    return make_history(70)


@pytest.fixture(scope="module")
def exam(history: History) -> Protocol:
    return Protocol(2010, np.datetime64("2010-01-29", "m"), history.end, WINDOWS)


def test_protocol__asks_each_card_from_its_window_to_the_end(history: History, exam: Protocol) -> None:
    model = create("analogue_7d", TINY)
    model.fit(history.until(exam.fit_before), exam.split(history))
    rows = protocol.rolling(model, history, exam)["analogue_7d"]
    first = rows.groupby("card")["origin"].min()
    assert first["T2"] == first["T5"] == FEBRUARY
    assert first["T4"] == MARCH
    assert rows["interval_end"].max() == exam.end
    assert not rows.duplicated(["card", "origin", "interval_start"]).any()


class Rolling:
    """A forecaster that notes what it was calibrated on."""

    name = "analogue_7d"

    def __init__(self, seen: list[tuple[np.datetime64, np.datetime64]]) -> None:
        self.inner, self.seen = create("analogue_7d", TINY), seen

    def recalibrated(self, past: History, split: object) -> "Rolling":
        self.seen.append((past.end, split.end))  # type: ignore[attr-defined]
        return self

    def predict(self, *asked: object) -> object:
        return self.inner.predict(*asked)  # type: ignore[arg-type]


def test_protocol__calibrates_before_each_month_on_the_past_only(history: History, exam: Protocol) -> None:
    model = Rolling([])
    model.inner.fit(history.until(exam.fit_before), exam.split(history))
    protocol.rolling(model, history, exam)
    assert model.seen == [(FEBRUARY, FEBRUARY), (MARCH, MARCH)]


def test_jobs__a_finished_job_is_read_not_repeated(
    history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = jobs.Job("ridge", 0, 2010, None, ("T2",), tmp_path, tiny=True)
    short = Protocol(2010, np.datetime64("2010-02-20", "m"), history.end, (Window("T2", "T2", MARCH),))
    monkeypatch.setattr(jobs.Job, "protocol", lambda *_: short)
    told = jobs.run(job, history)
    assert told["rows"] == ["ridge"]
    assert jobs.done(job, history) == told == jobs.run(job, history)
    assert jobs.done(replace(job, seed=1), history) is None
    assert list(jobs.forecasts(job, history)["ridge"]) == list(FORECAST_COLUMNS)


def test_jobs__the_mixture_waits_for_the_experts_of_its_seed() -> None:
    chosen = jobs.chosen(["mixture_of_experts", "ridge"], [0, 1], 2009, None, None, Path("none"))
    assert [job.seed for job in chosen if job.model == "ridge"] == [0]
    mixture = next(job for job in chosen if job.model == "mixture_of_experts" and job.seed == 1)
    rest = [job for job in chosen if job.seed == 0]
    assert not jobs._may_start(mixture, chosen)
    assert jobs._may_start(mixture, rest)


def test_fingerprint__sees_what_a_module_imports() -> None:
    reached = fingerprint.closure(("smartgrid_pipeline.core.forecasting.baselines.ridge",))
    assert "smartgrid_pipeline.core.schema" in reached
    assert "smartgrid_pipeline.core.forecasting.experts.networks" not in reached


def test_fingerprint__of_a_benchmark_follows_it_into_the_package() -> None:
    reached = fingerprint.closure(("benchmarks.accuracy.importance",))
    assert "smartgrid_pipeline.core.features.feature_table" in reached
    assert fingerprint.of_modules("benchmarks.accuracy.importance") != fingerprint.of_modules(
        "benchmarks.accuracy.targets"
    )


def test_summary__figures_tests_and_targets(history: History, exam: Protocol, tmp_path: Path) -> None:
    runs: dict[str, dict[int | None, object]] = {}
    for name in ("persistence", "analogue_28d", "analogue_7d"):
        model = create(name, TINY)
        model.fit(history.until(exam.fit_before), exam.split(history))
        runs[name] = {None: protocol.rolling(model, history, exam)[name]}
    noisy = runs["analogue_7d"][None].assign(mean_kw=lambda rows: rows["mean_kw"] + 0.1)  # type: ignore[attr-defined]
    runs["mixture_of_experts"] = {0: runs["analogue_7d"][None], 1: noisy}
    cards = {w.name: summary.of_window(w, runs, exam, history, ()) for w in exam.windows}  # type: ignore[arg-type]
    rmse = cards["T2"]["models"]["mixture_of_experts"]["rmse_kw"]
    assert rmse["n"] == 2
    assert rmse["sd"] > 0
    assert isinstance(cards["T2"]["models"]["persistence"]["rmse_kw"], float)
    assert list(cards["T4"]["models"]["analogue_7d"]["coverage_80_by_month"]) == ["2010-03"]
    assert {t["loss"] for t in cards["T2"]["tests"]} == set(summary.LOSSES)
    rows = targets.against_targets(cards, "mixture_of_experts")
    assert {row["card"] for row in rows} == {"T2", "T4", "T5"}
    head = {"command": "c", "commit": "0" * 40, "created": "now", "cpu_seconds": 1.0, "models": {},
            "protocol": {"fit_before": "2010", "until": "2010"}}  # fmt: skip
    write_page({**head, "cards": cards, "targets": rows}, tmp_path / "page.html")
    assert "missed by" in (tmp_path / "page.html").read_text()


def test_worst_month__of_several_seeds_is_the_furthest_not_their_mean() -> None:
    row = dict.fromkeys((*summary.FIGURES, *metrics.PINBALL_COLUMNS), 1.0)
    rows = [
        row | {"coverage_80_by_month": {"2010-04": worst}, "coverage_80_worst_month": worst}
        for worst in (0.74, 0.85, 0.87)
    ]
    window = SimpleNamespace(card="T4")
    assert summary._over_seeds(window, rows, True)["coverage_80_worst_month"] == 0.87  # type: ignore[arg-type]


def test_target__tells_by_how_much_it_was_missed() -> None:
    coverage = targets.Target("T4", "coverage_80", 0.78, 0.82)
    assert coverage.miss(0.80) == 0
    assert coverage.miss(0.70) == pytest.approx(0.08)
    assert targets.Target("T3", "r2", 0.375, None).miss(0.30) == pytest.approx(0.075)


def test_peers__get_means_and_are_scored_on_our_truth(
    history: History, exam: Protocol, tmp_path: Path
) -> None:
    peers.write_inputs(history, exam, tmp_path)
    dates = json.loads((tmp_path / "protocol.json").read_text())
    assert dates["test_from"] == str(exam.fit_before)
    model = create("analogue_7d", TINY)
    model.fit(history.until(exam.fit_before), exam.split(history))
    ours = protocol.rolling(model, history, exam)["analogue_7d"]
    theirs = peers.with_truth(ours.assign(observed_kw=np.nan), history, exam)
    order = ["card", "origin", "interval_start"]
    left, right = (t.sort_values(order)["observed_kw"].to_numpy() for t in (ours, theirs))
    np.testing.assert_array_equal(left, right)


def test_compact__is_json_with_a_line_for_each_entry() -> None:
    result = {"cards": {"T1": {"models": {"a": {"rmse_kw": np.float64(0.1234567), "sd": float("nan")}}}}}
    text = compact(result)
    assert json.loads(text)["cards"]["T1"]["models"]["a"] == {"rmse_kw": 0.12346, "sd": None}
    assert len(text.splitlines()) == 9
