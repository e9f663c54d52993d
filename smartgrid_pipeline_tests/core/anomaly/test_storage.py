"""What a detector has learned survives a file unchanged; files of others are refused."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from smartgrid_pipeline.core.anomaly.ensemble.ensemble import Ensemble
from smartgrid_pipeline.core.anomaly.ensemble.members import MEMBERS, RobustScaler
from smartgrid_pipeline.core.anomaly.scoring.tails import Tail
from smartgrid_pipeline.core.anomaly.storage import NAME, DetectorFile
from smartgrid_pipeline.core.learning import storage
from smartgrid_pipeline.core.schema import ModelError
from smartgrid_pipeline_tests.conftest import HOME


def detector_file() -> DetectorFile:
    """Made-up contents, with numbers that decimal text would round."""
    rng = np.random.default_rng(0)
    members = {name: {"weights": rng.normal(size=(3, 2))} for name in MEMBERS}
    scaler = RobustScaler(rng.normal(size=2), np.array([0.5, 1 / 3]))
    return DetectorFile(
        {"seed": 4, "price_per_kwh": 0.1},
        HOME,
        {"highest_power_kw": 1 / 3},
        {"ensemble": float("inf"), "flat": 2 / 3},
        {"flat/3h": Tail(np.sort(rng.normal(size=5)), np.linspace(1, 0.005, 5), 0.0, 1 / 7)},
        Ensemble(("log_power", "hour_sin"), scaler, members),
        {"power_base": np.array(1 / 9)},
    )


def test_detector_file__is_read_as_it_was_written(tmp_path: Path) -> None:
    written = detector_file()
    written.write(tmp_path)
    found = DetectorFile.read(tmp_path)
    assert (found.settings, found.meter, found.limits) == (written.settings, HOME, written.limits)
    assert found.thresholds == written.thresholds
    assert found.ensemble.names == written.ensemble.names
    pairs = [
        (asdict(found.tails["flat/3h"]), asdict(written.tails["flat/3h"])),
        (found.ensemble.to_arrays(), written.ensemble.to_arrays()),
        (found.learned, written.learned),
    ]
    for one, other in pairs:
        assert one.keys() == other.keys()
        for key in other:
            np.testing.assert_array_equal(one[key], other[key])


def test_detector_file__refuses_a_model_of_another_class(tmp_path: Path) -> None:
    storage.write(tmp_path, "ridge", {"meter": {}}, {"weights": np.zeros(2)})
    with pytest.raises(ModelError, match=f"holds ridge, not {NAME}"):
        DetectorFile.read(tmp_path)


def test_detector_file__refuses_damaged_arrays(tmp_path: Path) -> None:
    detector_file().write(tmp_path)
    (tmp_path / storage.ARRAYS_FILE).write_bytes(b"not an archive")
    with pytest.raises(ModelError, match=NAME):
        DetectorFile.read(tmp_path)
