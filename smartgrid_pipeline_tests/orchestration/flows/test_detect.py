from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from smartgrid_pipeline.core.anomaly.detector import AnomalyDetector
from smartgrid_pipeline.core.schema import ACTIVE_POWER, DataError, RegistryError
from smartgrid_pipeline.orchestration.flows.detect import detect
from smartgrid_pipeline.orchestration.resources import VerdictFiles
from smartgrid_pipeline.settings import Settings
from smartgrid_pipeline.sources import Readings
from smartgrid_pipeline.sources.types import fingerprint_of
from smartgrid_pipeline_tests.conftest import HOME, make_readings


@dataclass
class Run:
    run_id: str
    month: str
    status: str = "FINISHED"


@dataclass
class Registry:
    directory: Path
    known: list[Run] = field(default_factory=list)

    def runs(self, run_type: str) -> list[Run]:
        return self.known

    def detector_directory(self, run_id: str) -> Path:
        return self.directory / run_id if (self.directory / run_id).is_dir() else self.directory


@dataclass
class Bench:
    registry: Registry
    readings: Readings
    verdicts: VerdictFiles
    settings: Settings = field(default_factory=Settings)


def as_read(frame: pd.DataFrame) -> Readings:
    return Readings(frame, HOME, fingerprint_of(frame, "test"))


@pytest.fixture(scope="module")
def history() -> pd.DataFrame:
    return make_readings(60, meter=HOME, seed=4)


@pytest.fixture
def bench(tmp_path: Path, history: pd.DataFrame) -> Any:
    return Bench(Registry(tmp_path), as_read(history), VerdictFiles(tmp_path / "verdicts"))


def test_file__without_a_detector_teaches_its_own(bench: Any, history: pd.DataFrame) -> None:
    faulty = history.copy()
    faulty.loc["2010-02-20 10:00", ACTIVE_POWER] *= -1
    found = detect(bench, as_read(faulty), None, from_file=True)
    assert found.run is None
    assert "themselves" in found.basis
    assert "negative" in ",".join(found.detection.events["kinds"])


def test_file__too_short_to_teach_is_refused_in_words(bench: Any, history: pd.DataFrame) -> None:
    with pytest.raises(DataError, match="32 days are needed: found 10"):
        detect(bench, as_read(history[:480]), None, from_file=True)


def test_meter__without_a_detector_is_told_what_to_do(bench: Any) -> None:
    with pytest.raises(RegistryError, match="smartgrid run"):
        detect(bench, bench.readings, None, from_file=False)


def test_detector_of_an_older_format__does_not_stop_a_file(bench: Any, history: pd.DataFrame) -> None:
    (bench.registry.directory / "model.json").write_text('{"format": 0}')
    bench.registry.known.append(Run("old", "2010-02"))
    found = detect(bench, as_read(history), None, from_file=True)
    assert found.run is None
    assert "themselves" in found.basis and "detector of 2010-02 does not load" in found.basis
    with pytest.raises(RegistryError, match=r"smartgrid run` fits one.*2010-02 does not load"):
        detect(bench, bench.readings, None, from_file=False)


def test_detector_of_an_older_format__is_skipped_for_one_that_loads(
    bench: Any, history: pd.DataFrame
) -> None:
    detector = AnomalyDetector(2.0, seed=1)
    detector.fit(history[:"2010-02-20"], HOME, np.datetime64("2010-01-29"))
    detector.save(bench.registry.directory)
    (bench.registry.directory / "old").mkdir()
    bench.registry.known += [Run("old", "2010-03"), Run("a", "2010-02")]
    found = detect(bench, bench.readings, history.index[-48], from_file=False)
    assert found.run is not None and found.run.run_id == "a"
    assert found.basis.startswith("the detector of 2010-02 (The detector of 2010-03 does not load")


def test_file__of_the_meter_is_judged_with_what_came_before_it(bench: Any, history: pd.DataFrame) -> None:
    detector = AnomalyDetector(2.0, seed=1)
    detector.fit(history[:"2010-02-20"], HOME, np.datetime64("2010-01-29"))
    detector.save(bench.registry.directory)
    bench.registry.known.append(Run("a", "2010-02"))
    week = history["2010-02-22":"2010-02-27"].copy()
    week.loc["2010-02-24 10:00", ACTIVE_POWER] = -1.0
    found = detect(bench, as_read(week), None, from_file=True)
    assert found.run is not None
    alone = detector.detect(history, np.datetime64("2010-02-22")).scores["ensemble_anomaly_score"]
    ahead = found.detection.scores["ensemble_anomaly_score"][:"2010-02-23"]
    pd.testing.assert_series_equal(ahead, alone[:"2010-02-23"])
    assert "negative" in ",".join(found.detection.events["kinds"])


def test_file__with_a_year_before_since_is_not_taught_by_what_it_judges(bench: Any) -> None:
    long = make_readings(420, meter=HOME, seed=4)
    since = long.index[0] + pd.Timedelta(days=370)
    changed = long.copy()
    changed.loc[since:, ACTIVE_POWER] *= 3
    before = detect(bench, as_read(long), since, from_file=True)
    after = detect(bench, as_read(changed), since, from_file=True)
    assert "before 2011-01-09" in before.basis
    assert after.detection.events["energy_kwh"].sum() > before.detection.events["energy_kwh"].sum()
    assert len(after.detection.scores) == 50 * 48
    short = detect(bench, as_read(long), long.index[0] + pd.Timedelta(days=200), from_file=True)
    assert "themselves" in short.basis
