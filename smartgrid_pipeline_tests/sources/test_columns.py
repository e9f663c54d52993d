import pytest

from smartgrid_pipeline.core.schema import ACTIVE_POWER, CURRENT, SUB_METERS, SourceError
from smartgrid_pipeline.sources import SourceSpec
from smartgrid_pipeline.sources.columns import normalise, recognise, unit_of

SPEC = SourceSpec("meter.csv")


@pytest.mark.parametrize(
    ("recorded", "normal"),
    [
        ("Consumption (kWh)", "consumption_kwh"),
        ("KWH/hh (per half hour)", "kwh"),
        ("activePower_kW", "active_power_kw"),
        ("\ufeffDate Time", "date_time"),
    ],
)
def test_name__is_normalised(recorded: str, normal: str) -> None:
    assert normalise(recorded) == normal


def test_unit__is_the_end_of_a_name() -> None:
    assert [unit_of(name) for name in ("P_W", "energy kWh", "load", "Global_active_power")] == [
        "W", "kWh", None, "kW",
    ]  # fmt: skip


def test_layout__finds_time_meter_power_and_optional_channels() -> None:
    layout = recognise(["LCLid", "tstp", "energy(kWh/hh)", "current", "Sub_metering_1"], SPEC)
    assert (layout.time, layout.meter) == ("tstp", "LCLid")
    assert layout.channels == {
        CURRENT: ("current", 1.0),
        SUB_METERS[0]: ("Sub_metering_1", "Wh"),
        ACTIVE_POWER: ("energy(kWh/hh)", "kWh"),
    }
    assert layout.columns[:2] == ("tstp", "LCLid") and not layout.time_is_end


def test_layout__of_separate_date_and_time_has_both() -> None:
    layout = recognise(["date", "time", "power_kw"], SPEC)
    assert (layout.date, layout.time) == ("date", "time")
    assert recognise(["period_end", "power_kw"], SPEC).time_is_end
    assert recognise(["utc_time", "power_kw"], SPEC).time_is_utc


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        (["power_kw"], "No time column"),
        (["time", "colour"], "No power or energy column"),
        (["time", "a_kw", "b_kw"], "Several columns"),
        (["time", "load"], "unit of column 'load'"),
    ],
)
def test_layout__that_is_ambiguous_is_refused(columns: list[str], found: str) -> None:
    with pytest.raises(SourceError, match=found):
        recognise(columns, SPEC)
