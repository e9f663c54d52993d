from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from smartgrid_pipeline.core.anomaly.detector import SHORT_CONTEXT_DAYS, AnomalyDetector
from smartgrid_pipeline.core.anomaly.interval_array import IntervalArray
from smartgrid_pipeline.core.schema import ACTIVE_POWER, SUB_METERS, VOLTAGE, DataError, Meter, ModelError
from smartgrid_pipeline_tests.conftest import HOUSE, make_readings
from smartgrid_pipeline_tests.core.anomaly.conftest import CALIBRATE_FROM, FITTED_UNTIL

Fitted = tuple[AnomalyDetector, pd.DataFrame]

CUTOFF = pd.Timestamp("2010-02-24 12:00")


def test_scores__do_not_depend_on_the_future(house: Fitted) -> None:
    detector, readings = house
    spoiled = readings.copy()
    later = spoiled.index >= CUTOFF
    spoiled.loc[later, list(HOUSE.channels)] = 1e9
    spoiled.loc[later & (spoiled.index.minute < 30), list(HOUSE.channels)] = np.nan
    since = FITTED_UNTIL.to_datetime64()
    before = detector.detect(readings, since).scores[: CUTOFF - pd.Timedelta("5min")]
    after = detector.detect(spoiled, since).scores[: CUTOFF - pd.Timedelta("5min")]
    assert len(before) > 1000
    pd.testing.assert_frame_equal(before, after, check_exact=True)


def test_scores__in_chunks_equal_those_of_the_whole(house: Fitted) -> None:
    detector, readings = house
    since = CUTOFF.to_datetime64()
    whole = detector.detect(readings, since).scores
    earlier = detector.prepare(IntervalArray.from_readings(readings[: CUTOFF - pd.Timedelta("1min")], HOUSE))
    context = CUTOFF.normalize() - pd.Timedelta(days=SHORT_CONTEXT_DAYS)
    chunk = detector.prepare(IntervalArray.from_readings(readings[context:], HOUSE), earlier.hourly)
    chunked = detector.detect_prepared(chunk, since).scores
    pd.testing.assert_frame_equal(whole, chunked, rtol=1e-3, atol=1e-3)  # single precision inside
    assert (whole["alarm"] == chunked["alarm"]).all()


def test_fit__twice_gives_the_same_bits(home: Fitted) -> None:
    detector, readings = home
    again = AnomalyDetector(false_alarms_per_month=2.0, seed=1)
    again.fit(readings[readings.index < FITTED_UNTIL], detector.meter, CALIBRATE_FROM)
    assert again.parameters() == detector.parameters()
    pd.testing.assert_frame_equal(
        again.detect(readings).scores, detector.detect(readings).scores, check_exact=True
    )


def test_save__loads_to_the_same_bits_in_little_space(house: Fitted, tmp_path: Path) -> None:
    detector, readings = house
    detector.save(tmp_path)
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= 1_440_000
    with np.load(tmp_path / "model.npz", allow_pickle=False) as stored:
        assert all(stored[name].dtype != object for name in stored.files)
    loaded = AnomalyDetector.load(tmp_path)
    since = FITTED_UNTIL.to_datetime64()
    one, other = loaded.detect(readings, since), detector.detect(readings, since)
    pd.testing.assert_frame_equal(one.scores, other.scores, check_exact=True)
    pd.testing.assert_frame_equal(one.events, other.events, check_exact=True)
    with pytest.raises(ModelError, match="fit again"):
        loaded.set_thresholds(2.0)


def test_load__refuses_the_format_of_earlier_versions(tmp_path: Path) -> None:
    (tmp_path / "detector.json").write_text('{"format": 5}')
    with pytest.raises(ModelError, match="`smartgrid run` fits it again"):
        AnomalyDetector.load(tmp_path)


def test_power_only_meter__lists_what_is_off_and_still_finds_faults(home: Fitted) -> None:
    detector, readings = home
    assert {"voltage_band", "loop_impedance", "voltage_clock"} <= set(detector.inactive_monitors)
    assert not {"freeze", "base_load_high", "negative"} & set(detector.inactive_monitors)
    broken = readings.copy()
    broken.loc["2010-02-21":"2010-02-23", ACTIVE_POWER] = 0.5
    broken.loc["2010-02-26 10:00", ACTIVE_POWER] = -1.0
    events = detector.detect(broken, since=FITTED_UNTIL.to_datetime64()).events
    assert {"freeze", "negative"} <= set(",".join(events["kinds"]).split(","))


def test_detect__names_dates_and_prices_what_is_wrong(house: Fitted) -> None:
    detector, readings = house
    broken = readings.copy()
    channels = list(HOUSE.channels)
    broken.loc["2010-02-21 10:00":"2010-02-21 13:59", channels] = broken.loc[
        ["2010-02-21 10:00"], channels
    ].to_numpy()
    broken.loc["2010-02-23 10:00":"2010-02-23 10:19", VOLTAGE] *= 0.85
    broken.loc["2010-02-25 10:00":"2010-02-25 10:09", ACTIVE_POWER] *= -1
    events = detector.detect(broken, since=FITTED_UNTIL.to_datetime64()).events
    frozen = events[events["fault_class"] == "frozen"].iloc[0]
    assert abs(frozen["start"] - pd.Timestamp("2010-02-21 10:01")) <= pd.Timedelta("1min")
    assert frozen["raised"] > frozen["start"]
    assert frozen["alarm_class"] == "data_quality"
    assert frozen["money"] == pytest.approx(frozen["energy_kwh"] * 0.25) and frozen["money"] > 0
    sag = events[events["fault_class"] == "voltage"].iloc[0]
    assert (sag["alarm_class"], sag["channels"]) == ("grid", VOLTAGE)
    sign = events[events["fault_class"] == "sign"].iloc[0]
    assert (sign["alarm_class"], sign["channels"]) == ("meter", ACTIVE_POWER)


def test_events__stay_near_the_promised_rate_on_the_calibration_period(house: Fitted) -> None:
    detector, readings = house
    events = detector.detect(readings[: FITTED_UNTIL - pd.Timedelta("1min")], since=CALIBRATE_FROM).events
    assert len(events) <= 4  # two a month were promised


def test_vote__is_shown_and_counts_members(house: Fitted) -> None:
    detector, readings = house
    scores = detector.detect(readings, since=FITTED_UNTIL.to_datetime64()).scores
    votes = sum(
        (scores[f"{m}_anomaly_score"] >= np.float32(detector.thresholds[m])).astype(int)
        for m in ("isolation_forest", "one_class_svm", "autoencoder")
    )
    assert (scores["votes"] == votes).mean() > 0.999
    assert (scores["vote_2_of_3"] == (scores["votes"] >= 2)).all()


def test_fit__refuses_too_little() -> None:
    with pytest.raises(DataError, match="14 days"):
        AnomalyDetector().fit(make_readings(20), HOUSE, np.datetime64("2010-01-10"))


def test_detector__unfitted_or_unreadable_says_so(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not fitted"):
        AnomalyDetector().detect(make_readings(2))
    with pytest.raises(ModelError, match="No anomaly_detector"):
        AnomalyDetector.load(tmp_path)
    with pytest.raises(ModelError, match="above 0"):
        AnomalyDetector(false_alarms_per_month=0)


def test_detect__refuses_readings_without_the_meter_s_channels(house: Fitted) -> None:
    detector, readings = house
    with pytest.raises(DataError, match="voltage_v"):
        detector.detect(readings.drop(columns=VOLTAGE))


def test_interval_array__keeps_only_channels_of_the_meter() -> None:
    meter = Meter("plain", "UTC", 1, (ACTIVE_POWER, VOLTAGE))
    recorded = IntervalArray.from_readings(make_readings(1)[3:], meter)
    assert tuple(recorded.values) == (ACTIVE_POWER, VOLTAGE)
    assert len(recorded.times) % recorded.per == 0 and recorded.first_row == 3
    assert not recorded.has(*SUB_METERS)
