"""Bad months are refused with a readable verdict, good ones pass."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from smartgrid_pipeline import quality
from smartgrid_pipeline.core import meter_data
from smartgrid_pipeline.core.schema import (
    ACTIVE_POWER,
    CHANNELS,
    CURRENT,
    FORECAST_COLUMNS,
    INTERVAL_START_UTC,
    QUANTILE_COLUMNS,
    VOLTAGE,
    Meter,
    Verdict,
    tasks_for,
)
from smartgrid_pipeline_tests.conftest import HOME, HOUSE, make_readings, make_table

MONTH = "2010-02"
Spoil = Callable[[pd.DataFrame], pd.DataFrame]


@pytest.fixture(scope="module")
def recorded() -> dict[str, pd.DataFrame]:
    """January and February 2010 of the fine house and of the half-hourly home."""
    return {meter.meter_id: make_readings(59, "2010-01-01", meter) for meter in (HOUSE, HOME)}


def _audit(recorded: pd.DataFrame, meter: Meter, spoil: Spoil | None = None) -> Verdict:
    month = recorded.loc[MONTH].copy()
    return quality.audit_readings(
        spoil(month) if spoil else month, meter, MONTH, recorded.loc["2010-01"], followed=True
    )


def _set(channels: list[str], rows: slice, value: Callable[[pd.DataFrame], object]) -> Spoil:
    def spoil(month: pd.DataFrame) -> pd.DataFrame:
        names = [name for name in channels if name in month]
        month.iloc[rows, [month.columns.get_loc(name) for name in names]] = value(month[names])
        return month

    return spoil


def _day(month: pd.DataFrame) -> pd.DataFrame:
    return month.loc["2010-02-10"]


def _freeze(channels: tuple[str, ...]) -> Spoil:
    def spoil(month: pd.DataFrame) -> pd.DataFrame:
        for name in channels:
            if name in month:
                month.loc[_day(month).index, name] = _day(month)[name].iloc[0]
        return month

    return spoil


def _times(factor: float) -> Spoil:
    def spoil(month: pd.DataFrame) -> pd.DataFrame:
        return month.assign(**{ACTIVE_POWER: month[ACTIVE_POWER] * factor})

    return spoil


def _shuffle_values(month: pd.DataFrame) -> pd.DataFrame:
    names = [name for name in CHANNELS if name in month]
    month[names] = month[names].to_numpy()[np.random.default_rng(0).permutation(len(month))]
    return month


def _shuffle_rows(month: pd.DataFrame) -> pd.DataFrame:
    return month.iloc[np.random.default_rng(0).permutation(len(month))]


def _half(month: pd.DataFrame) -> pd.DataFrame:
    return month[np.random.default_rng(0).random(len(month)) < 0.5]


SPOILS: dict[str, tuple[Spoil, str]] = {
    "negative power": (_times(-1.0), "active_power_kw is within bounds"),
    "one negative reading": (_set([ACTIVE_POWER], slice(9, 10), lambda _: -0.5), "active_power_kw is within"),
    "frozen day": (_freeze(CHANNELS), "not stand still"),
    "frozen day of power": (_freeze((ACTIVE_POWER,)), "power does not stand still"),
    "kWh read as Wh": (_times(1000.0), "active_power_kw is within bounds"),
    "Wh read as kWh": (_times(0.001), "the load has a home's size"),
    "shuffled rows": (_shuffle_rows, "times are in order"),
    "shuffled values": (_shuffle_values, "values are in their order"),
    "half of the rows": (_half, "the month is observed"),
    "first half only": (lambda month: month.iloc[: len(month) // 2], "the month is observed"),
    "second half only": (lambda month: month.iloc[len(month) // 2 :], "the month is observed"),
    "duplicates": (lambda month: pd.concat([month, month.iloc[:100]]).sort_index(), "times come once"),
    "1e9 kW": (_set([ACTIVE_POWER], slice(50, 51), lambda _: 1e9), "active_power_kw is within bounds"),
    "infinite": (_set([ACTIVE_POWER], slice(50, 51), lambda _: np.inf), "active_power_kw is within bounds"),
    "all missing": (_set([ACTIVE_POWER], slice(None), lambda _: np.nan), "active_power_kw is known"),
    "empty frame": (lambda month: month.iloc[:0], "rows are present"),
    "missing column": (lambda month: month.drop(columns=ACTIVE_POWER), "columns are present"),
    "rows of another month": (lambda month: month.shift(freq="28D"), "readings fit a regular grid"),
    "off the grid": (lambda month: month.shift(freq="10s"), "times are on the meter's grid"),
}


@pytest.mark.parametrize("meter", [HOUSE, HOME], ids=lambda meter: meter.meter_id)
def test_good_month__passes(recorded: dict[str, pd.DataFrame], meter: Meter) -> None:
    verdict = _audit(recorded[meter.meter_id], meter)
    assert verdict.passed, verdict.summary()
    assert len(verdict.findings) >= 15


@pytest.mark.parametrize("meter", [HOUSE, HOME], ids=lambda meter: meter.meter_id)
@pytest.mark.parametrize("kind", SPOILS)
def test_bad_month__fails_with_a_readable_finding(
    recorded: dict[str, pd.DataFrame], meter: Meter, kind: str
) -> None:
    spoil, rule = SPOILS[kind]
    verdict = _audit(recorded[meter.meter_id], meter, spoil)
    assert not verdict.passed
    critical = [finding for finding in verdict.failures if finding.severity == "critical"]
    assert any(rule in finding.rule for finding in critical), verdict.summary()
    assert all(finding.found and finding.demanded for finding in critical)


@pytest.mark.parametrize(
    "kind", ["frozen day", "frozen day of power", "kWh read as Wh", "Wh read as kWh", "shuffled values"]
)
@pytest.mark.parametrize("meter", [HOUSE, HOME], ids=lambda meter: meter.meter_id)
def test_first_month__is_judged_without_earlier_readings(
    recorded: dict[str, pd.DataFrame], meter: Meter, kind: str
) -> None:
    month = recorded[meter.meter_id].loc[MONTH]
    assert quality.audit_readings(month, meter, MONTH).passed
    assert not quality.audit_readings(SPOILS[kind][0](month.copy()), meter, MONTH).passed


def test_power_above_volts_times_amperes__fails(recorded: dict[str, pd.DataFrame]) -> None:
    def spoil(month: pd.DataFrame) -> pd.DataFrame:
        return month.assign(**{ACTIVE_POWER: 1 + 2 * month[VOLTAGE] * month[CURRENT] / 1000})

    verdict = _audit(recorded[HOUSE.meter_id], HOUSE, spoil)
    assert "power fits voltage and current" in [finding.rule for finding in verdict.failures]


def test_month_that_ends_early__warns_only_at_the_source_end(recorded: dict[str, pd.DataFrame]) -> None:
    """The newest month is still growing; a month in the middle must run to its end."""
    month = recorded[HOME.meter_id].loc[:"2010-02-10"].loc[MONTH]
    earlier = recorded[HOME.meter_id].loc["2010-01"]
    newest = quality.audit_readings(month, HOME, MONTH, earlier)
    assert newest.passed
    assert "the month is whole" in [finding.rule for finding in newest.failures]
    assert not quality.audit_readings(month, HOME, MONTH, earlier, followed=True).passed


def test_small_defects__are_warnings_with_their_counts(recorded: dict[str, pd.DataFrame]) -> None:
    def spoil(month: pd.DataFrame) -> pd.DataFrame:
        copied = month.loc["2010-02-09 10:00":"2010-02-09 11:59", list(CHANNELS)].to_numpy()
        month.loc["2010-02-10 10:00":"2010-02-10 11:59", list(CHANNELS)] = copied
        return month

    verdict = _audit(recorded[HOUSE.meter_id], HOUSE, spoil)
    assert verdict.passed, verdict.summary()
    (finding,) = [finding for finding in verdict.failures if finding.rule == "no reading is masked"]
    assert "gap 120 min" in finding.found


def test_home_that_stands_still_by_nature__learns_its_limit() -> None:
    """An empty home on a coarse register stays at one value for days; that is not a frozen meter."""
    rng = np.random.default_rng(0)
    index = pd.date_range("2010-01-01", "2010-02-28 23:30", freq="30min", name="interval_start")
    levels = np.repeat(rng.choice([0.2, 0.4, 0.6], len(index)), rng.integers(30, 60, len(index)))[
        : len(index)
    ]
    frame = pd.DataFrame({ACTIVE_POWER: levels}, index=index)
    frame.insert(0, INTERVAL_START_UTC, meter_data.civil_to_utc(index, HOME.timezone))
    verdict = quality.audit_readings(frame.loc[MONTH], HOME, MONTH, frame.loc["2010-01"])
    assert "power does not stand still" not in [finding.rule for finding in verdict.failures]


def test_validate__judges_each_month_and_forgets_bad_ones() -> None:
    frame = make_readings(90, "2010-01-01", HOME)
    frame.loc[MONTH, ACTIVE_POWER] *= 1000
    verdicts = quality.validate(frame, HOME)
    assert [(verdict.subject, verdict.passed) for verdict in verdicts] == [
        ("2010-01", True),
        ("2010-02", False),
        ("2010-03", True),
    ]


def test_features__of_a_good_month_pass_and_of_a_spoilt_one_fail(recorded: dict[str, pd.DataFrame]) -> None:
    table = make_table(recorded[HOUSE.meter_id], HOUSE).loc[MONTH]
    good = quality.audit_features(table, HOUSE, MONTH)
    assert good.passed, good.summary()
    spoilt = {
        "lags are earlier rows": table.assign(power_lag_5min_kw=table[ACTIVE_POWER]),
        "features are finite": table.assign(power_factor=np.float32(np.inf)),
        "calendar features are those of their interval": table.assign(hour_sin=np.float32(0)),
        "columns are present": table.drop(columns="hour_cos"),
        "rows are present": table.iloc[:0],
        "intervals are regular and of the month": table.drop(index=table.index[5]),
        "observed_share is within bounds": table.assign(observed_share=np.float32(2)),
        "active_power_kw is known": table.assign(active_power_kw=np.float32(np.nan)),
    }
    for rule, frame in spoilt.items():
        verdict = quality.audit_features(frame, HOUSE, MONTH)
        assert not verdict.passed
        assert rule in [finding.rule for finding in verdict.failures], verdict.summary()


def _forecasts(meter: Meter) -> pd.DataFrame:
    origins = pd.date_range("2010-02-01", periods=21, freq="1D")
    rows = [
        (card.name, origin, origin + pd.Timedelta(minutes=a), origin + pd.Timedelta(minutes=b), 0.5, 0.6)
        for card in tasks_for(meter.working_minutes)
        for origin in origins
        for a, b in ((lead.start_minutes, lead.end_minutes) for lead in card.leads)
    ]
    frame = pd.DataFrame(rows, columns=list(FORECAST_COLUMNS[:6]))
    for i, column in enumerate(QUANTILE_COLUMNS):
        frame[column] = 0.1 * (i + 1)
    return frame


def test_forecasts__good_ones_pass_and_impossible_ones_fail() -> None:
    frame = _forecasts(HOME)
    good = quality.audit_forecasts(frame, HOME, "ridge 2010-02")
    assert good.passed, good.summary()
    first = QUANTILE_COLUMNS[0]
    spoilt = {
        "quantiles are ordered": frame.assign(**{first: 0.95}),
        "quantiles have width": frame.assign(**dict.fromkeys(QUANTILE_COLUMNS, 0.5)),
        "mean_kw is known": frame.assign(mean_kw=np.nan),
        f"{first} is within bounds": frame.assign(**{first: -1.0}),
        "mean_kw is within bounds": frame.assign(mean_kw=1e6),
        "forecasts come once": pd.concat([frame, frame.iloc[:1]]),
        "T4 is forecast and scored": frame[frame["card"] != "T4"],
        "T5 is forecast and scored": frame.assign(observed_kw=np.nan),
        "columns are present": frame.drop(columns="origin"),
        "rows are present": frame.iloc[:0],
    }
    for rule, table in spoilt.items():
        verdict = quality.audit_forecasts(table, HOME, "ridge 2010-02")
        assert not verdict.passed
        assert rule in [finding.rule for finding in verdict.failures], (rule, verdict.summary())


def test_html_page__shows_every_finding_and_needs_no_server(
    recorded: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    good = _audit(recorded[HOME.meter_id], HOME)
    bad = _audit(recorded[HOME.meter_id], HOME, _times(1000.0))
    page = quality.write_html([good, bad], tmp_path / "reports" / "quality.html").read_text(encoding="utf-8")
    assert "1 of 2 audits passed" in page
    assert all(finding.rule.replace("'", "&#39;") in page for finding in bad.failures)
    assert "src=" not in page
    assert "http" not in page
