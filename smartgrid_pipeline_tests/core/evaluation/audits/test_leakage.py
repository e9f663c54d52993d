from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from smartgrid_pipeline.core import meter_data
from smartgrid_pipeline.core.evaluation.audits import leakage
from smartgrid_pipeline.core.evaluation.scoring import backtest
from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.forecasting import history_frames
from smartgrid_pipeline.core.schema import (
    ACTIVE_POWER,
    DataError,
    Floats,
    LeadInterval,
    Meter,
    Times,
    leads_for,
)
from smartgrid_pipeline_tests.conftest import HOME, HOUSE, make_readings
from smartgrid_pipeline_tests.core.evaluation.helpers import (
    Rule,
    RuleForecaster,
    peeking,
    persistence,
    yesterday,
)

CUTOFF = np.datetime64("2010-01-20T10:03")
LEADS = leads_for(5)[:40]
ORIGINS = np.array(["2010-01-25T00:00", "2010-01-28T17:35"], "datetime64[m]")


@pytest.fixture(scope="module")
def readings() -> pd.DataFrame:
    return make_readings(24)


def test_features__pass_their_audit(readings: pd.DataFrame) -> None:
    verdict = leakage.audit_features(readings, HOUSE, CUTOFF, "2010-01")
    assert verdict.passed and (verdict.suite, verdict.subject) == ("leakage", "2010-01")
    assert len(verdict.findings) == 4
    assert leakage.audit_features(make_readings(24, meter=HOME), HOME, pd.Timestamp(CUTOFF)).passed


@pytest.mark.parametrize("reach", [-1, -12, 288])
def test_features__that_look_ahead_are_caught(
    readings: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, reach: int
) -> None:
    honest = history_frames.features_of

    def leaky(intervals: pd.DataFrame, meter: Meter) -> pd.DataFrame:
        table = honest(intervals, meter)
        return table.assign(power_lag_5min_kw=intervals[ACTIVE_POWER].shift(reach).astype(np.float32))

    monkeypatch.setattr(history_frames, "features_of", leaky)
    verdict = leakage.audit_features(readings, HOUSE, CUTOFF)
    assert verdict.passed == (reach > 0)
    if reach < 0:
        assert all("power_lag_5min_kw" in finding.found for finding in verdict.findings)


def test_features__normalised_by_the_whole_frame_are_caught(
    readings: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = meter_data.resample

    def leaky(frame: pd.DataFrame, meter: Meter) -> pd.DataFrame:
        intervals = honest(frame, meter)
        return intervals.assign(**{ACTIVE_POWER: intervals[ACTIVE_POWER] / intervals[ACTIVE_POWER].mean()})

    monkeypatch.setattr(meter_data, "resample", leaky)
    assert not leakage.audit_features(readings, HOUSE, CUTOFF).passed


@pytest.mark.parametrize("cutoff", ["2009-01-01", "2011-01-01"])
def test_feature_audit__refuses_a_cutoff_that_poisons_nothing(readings: pd.DataFrame, cutoff: str) -> None:
    with pytest.raises(DataError, match="Cannot audit features"):
        leakage.audit_features(readings, HOUSE, np.datetime64(cutoff))


@pytest.mark.parametrize("rule", [persistence, yesterday])
def test_forecasters__that_keep_to_the_past_pass(house_history: History, rule: Rule) -> None:
    verdict = leakage.audit_forecaster(RuleForecaster("honest", rule), house_history, ORIGINS, LEADS)
    assert verdict.passed, verdict.summary()
    assert (verdict.suite, verdict.subject, len(verdict.findings)) == ("leakage", "honest", 5)


def _next_row(column: Callable[[History], Floats]) -> Rule:
    def rule(history: History, origins: Times, leads: tuple[LeadInterval, ...]) -> Floats:
        rows = np.minimum(history.rows(origins) + 1, len(history.starts) - 1)
        return np.repeat(np.abs(np.nan_to_num(column(history)))[rows][:, None], len(leads), axis=1)

    return rule


def _scaled_by_all(history: History, origins: Times, leads: tuple[LeadInterval, ...]) -> Floats:
    return persistence(history, origins, leads) / np.nanmean(history.power_kw)


def _knowing_the_end(history: History, origins: Times, leads: tuple[LeadInterval, ...]) -> Floats:
    return persistence(history, origins, leads) + len(history.starts) / 1e6


@pytest.mark.parametrize(
    "rule",
    [
        peeking,
        _next_row(lambda history: history.power_kw),
        _next_row(lambda history: history.observed_share),
        _next_row(lambda history: history.features[:, 3]),
        _next_row(lambda history: history.within[ACTIVE_POWER][:, 0]),
        _scaled_by_all,
        _knowing_the_end,
    ],
    ids=["target", "power", "share", "features", "within", "scale", "length"],
)
def test_forecasters__that_peek_are_caught(house_history: History, rule: Rule) -> None:
    verdict = leakage.audit_forecaster(RuleForecaster("leaky", rule), house_history, ORIGINS, LEADS)
    assert not verdict.passed
    assert {finding.severity for finding in verdict.failures} == {"critical"}


def test_forecasters__that_know_the_end_are_caught_by_the_cut(house_history: History) -> None:
    verdict = leakage.audit_forecaster(RuleForecaster("e", _knowing_the_end), house_history, ORIGINS, LEADS)
    assert "forecasts do not change when all after the origin is cut off" in [
        f.rule for f in verdict.failures
    ]


def test_forecasters__whose_origins_see_each_other_are_caught(house_history: History) -> None:
    def rule(history: History, origins: Times, leads: tuple[LeadInterval, ...]) -> Floats:
        return persistence(history, origins, leads) * 0 + history.power_kw[history.rows(origins)].max()

    verdict = leakage.audit_forecaster(RuleForecaster("batch", rule), house_history, ORIGINS, LEADS)
    assert [finding.rule for finding in verdict.failures] == [
        "an origin alone or among others gives one forecast"
    ]


def test_forecaster_audit__refuses_origins_without_a_future(house_history: History) -> None:
    with pytest.raises(DataError, match="needs origins before"):
        leakage.audit_forecaster(
            RuleForecaster("p", persistence), house_history, np.array([house_history.end]), LEADS
        )


def _on_t1(history: History, rule: Rule) -> pd.DataFrame:
    start, end = np.datetime64("2010-02-01"), np.datetime64("2010-02-05")
    return backtest.forecast_tasks(RuleForecaster("m", rule), history, start, end)


def test_target_shift__leaves_an_honest_forecast_its_skill(house_history: History) -> None:
    assert all(finding.passed for finding in leakage.target_shift(_on_t1(house_history, persistence), "T1"))


def test_target_shift__exposes_a_forecast_that_knew(house_history: History) -> None:
    aligned, plausible = leakage.target_shift(_on_t1(house_history, peeking), "T1")
    assert aligned.passed and not plausible.passed


def test_target_shift__exposes_a_misaligned_forecast(house_history: History) -> None:
    def one_late(history: History, origins: Times, leads: tuple[LeadInterval, ...]) -> Floats:
        later = tuple(LeadInterval(lead.start_minutes + 5, lead.end_minutes + 5) for lead in leads)
        return history.targets(origins, later) + 0.2

    aligned, _ = leakage.target_shift(_on_t1(house_history, one_late), "T1")
    assert not aligned.passed
