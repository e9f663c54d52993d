from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from smartgrid_pipeline.core.anomaly.detector import AnomalyDetector
from smartgrid_pipeline.core.schema import ACTIVE_POWER, VOLTAGE, DataError, ModelError
from smartgrid_pipeline_tests.conftest import HOUSE, make_readings

Fitted = tuple[AnomalyDetector, pd.DataFrame]

CUTOFF = pd.Timestamp("2010-03-20 12:00")


@pytest.mark.parametrize("poison", [np.nan, 1e9, "noise"])
def test_scores__never_see_the_future(house: Fitted, poison: float | str) -> None:
    detector, readings = house
    spoiled = readings.copy()
    later = spoiled.index >= CUTOFF
    channels = list(HOUSE.channels)
    values = np.random.default_rng(0).normal(0, 5, (later.sum(), 7)) if poison == "noise" else poison
    spoiled.loc[later, channels] = values
    before = detector.detect(readings).scores[: CUTOFF - pd.Timedelta("5min")]
    after = detector.detect(spoiled).scores[: CUTOFF - pd.Timedelta("5min")]
    pd.testing.assert_frame_equal(before, after, check_exact=True)


def test_scores__in_chunks_equal_those_of_the_whole(house: Fitted) -> None:
    detector, readings = house
    whole = detector.detect(readings).scores[CUTOFF:]
    context = CUTOFF - pd.Timedelta(days=detector.context_days)
    chunk = detector.detect(readings[context:], since=CUTOFF.to_datetime64()).scores
    pd.testing.assert_frame_equal(whole, chunk, rtol=1e-4, atol=1e-4)  # single precision


def test_fit__twice_gives_the_same_bits(home: Fitted) -> None:
    detector, readings = home
    again = AnomalyDetector(budget_per_month=2.0, seed=1)
    again.fit(readings[readings.index < "2010-03-15"], detector.meter, np.datetime64("2010-02-10"))
    assert again.parameters() == detector.parameters()
    pd.testing.assert_frame_equal(
        again.detect(readings).scores, detector.detect(readings).scores, check_exact=True
    )


def test_save__loads_to_the_same_bits_in_little_space(house: Fitted, tmp_path: Path) -> None:
    detector, readings = house
    detector.save(tmp_path)
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= 1_440_000
    assert not [file for file in tmp_path.iterdir() if "pickle" in file.name or file.suffix == ".pkl"]
    loaded = AnomalyDetector.load(tmp_path)
    pd.testing.assert_frame_equal(
        loaded.detect(readings).events, detector.detect(readings).events, check_exact=True
    )


def test_power_only_meter__says_what_is_off_and_still_finds_a_freeze(home: Fitted) -> None:
    detector, readings = home
    assert "voltage_band" in detector.monitors_off
    assert "freeze" not in detector.monitors_off
    frozen = readings.copy()
    frozen.loc["2010-03-20":"2010-03-22", ACTIVE_POWER] = 0.5
    frozen.loc["2010-03-24 10:00", ACTIVE_POWER] = -1.0
    events = detector.detect(frozen, since=np.datetime64("2010-03-18")).events
    assert {"freeze", "negative"} <= set(",".join(events["kinds"]).split(","))


def test_detect__finds_a_frozen_meter_and_dates_it(house: Fitted) -> None:
    detector, readings = house
    frozen = readings.copy()
    frozen.loc["2010-03-20 10:00":"2010-03-20 13:59", list(HOUSE.channels)] = frozen.loc[
        ["2010-03-20 10:00"], list(HOUSE.channels)
    ].to_numpy()
    found = detector.detect(frozen, since=np.datetime64("2010-03-20")).events
    event = found[found["kinds"].str.contains("freeze")].iloc[0]
    assert abs(event["start"] - pd.Timestamp("2010-03-20 10:01")) <= pd.Timedelta("1min")
    assert event["alarm_class"] == "data_quality"
    assert event["energy_kwh"] > 0 and event["money"] == pytest.approx(event["energy_kwh"] * 0.25)


def test_detect__unseen_voltage_sag_is_a_grid_event(house: Fitted) -> None:
    detector, readings = house
    sagged = readings.copy()
    sagged.loc["2010-03-21 10:00":"2010-03-21 10:19", VOLTAGE] *= 0.85
    events = detector.detect(sagged, since=np.datetime64("2010-03-21")).events
    assert "grid" in set(events["alarm_class"])


def test_events__stay_near_the_budget_on_the_calibration_period(house: Fitted) -> None:
    detector, readings = house
    events = detector.detect(readings[:"2010-03-14"], since=np.datetime64("2010-02-10")).events
    assert len(events) <= 6


def test_fit__refuses_too_little(house: Fitted) -> None:
    with pytest.raises(DataError, match="14 days"):
        AnomalyDetector().fit(make_readings(20), HOUSE, np.datetime64("2010-01-10"))


def test_detector__unfitted_or_unreadable_says_so(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not fitted"):
        AnomalyDetector().detect(make_readings(2))
    with pytest.raises(ModelError, match="No anomaly detector"):
        AnomalyDetector.load(tmp_path)
    with pytest.raises(ModelError, match="above 0"):
        AnomalyDetector(budget_per_month=0)


def test_detect__refuses_readings_without_the_meter_s_channels(house: Fitted) -> None:
    detector, readings = house
    with pytest.raises(DataError, match="voltage_v"):
        detector.detect(readings.drop(columns=VOLTAGE))
