"""Bad months are refused with a readable verdict, good ones pass."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from smartgrid_pipeline import quality
from smartgrid_pipeline.core import meter_data
from smartgrid_pipeline.core.schema import (
    ACTIVE_POWER,
    CHANNELS,
    CURRENT,
    INTERVAL_START_UTC,
    VOLTAGE,
    Meter,
    Verdict,
)
from smartgrid_pipeline_tests.conftest import HOME, HOUSE

MONTH = "2010-02"
Spoil = Callable[[pd.DataFrame], pd.DataFrame]


def audit_readings(
    month: pd.DataFrame, meter: Meter, earlier: pd.DataFrame | None = None, followed: bool = False
) -> Verdict:
    (findings,) = quality.check_structure({MONTH: month}, meter).values()
    return quality.audit_month(month, meter, MONTH, findings, earlier, followed)


def _audit(recorded: pd.DataFrame, meter: Meter, spoil: Spoil | None = None) -> Verdict:
    month = recorded.loc[MONTH].copy()
    return audit_readings(spoil(month) if spoil else month, meter, recorded.loc["2010-01"], followed=True)


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
    assert audit_readings(month, meter).passed
    assert not audit_readings(SPOILS[kind][0](month.copy()), meter).passed


def test_power_above_volts_times_amperes__fails(recorded: dict[str, pd.DataFrame]) -> None:
    def spoil(month: pd.DataFrame) -> pd.DataFrame:
        return month.assign(**{ACTIVE_POWER: 1 + 2 * month[VOLTAGE] * month[CURRENT] / 1000})

    verdict = _audit(recorded[HOUSE.meter_id], HOUSE, spoil)
    assert "power fits voltage and current" in [finding.rule for finding in verdict.failures]


def test_month_that_ends_early__warns_only_at_the_source_end(recorded: dict[str, pd.DataFrame]) -> None:
    """The newest month is still growing; a month in the middle must run to its end."""
    month = recorded[HOME.meter_id].loc[:"2010-02-10"].loc[MONTH]
    earlier = recorded[HOME.meter_id].loc["2010-01"]
    newest = audit_readings(month, HOME, earlier)
    assert newest.passed
    assert "the month is whole" in [finding.rule for finding in newest.failures]
    assert not audit_readings(month, HOME, earlier, followed=True).passed


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
    verdict = audit_readings(frame.loc[MONTH], HOME, frame.loc["2010-01"])
    assert "power does not stand still" not in [finding.rule for finding in verdict.failures]
