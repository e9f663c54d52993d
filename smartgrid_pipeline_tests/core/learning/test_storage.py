"""A stored model: two files, no pickle, the same arrays again, and a clear refusal of anything else."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from smartgrid_pipeline.core.learning import storage
from smartgrid_pipeline.core.schema import ModelError
from smartgrid_pipeline_tests.conftest import HOME, HOUSE

ARRAYS = {"weights": np.arange(6, dtype=np.float16).reshape(2, 3), "text": np.frombuffer(b"abc", np.uint8)}


def test_stored_model__has_the_same_facts_and_arrays_again(tmp_path: Path) -> None:
    storage.write(tmp_path, "toy", {"level_kw": 0.1}, ARRAYS)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.json", "model.npz"]
    with storage.read(tmp_path, "other", "toy") as (facts, arrays):
        assert (facts["model"], facts["level_kw"]) == ("toy", 0.1)
        for name, values in ARRAYS.items():
            np.testing.assert_array_equal(arrays[name], values, strict=True)


def test_stored_model__is_the_same_file_when_written_again(tmp_path: Path) -> None:
    contents = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        storage.write(tmp_path / name, "toy", {"level_kw": 0.1}, ARRAYS)
        contents.append((tmp_path / name / storage.ARRAYS_FILE).read_bytes())
    assert contents[0] == contents[1]


def test_write__refuses_a_model_without_facts(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="toy is not fitted"):
        storage.write(tmp_path, "toy", {}, ARRAYS)
    assert not list(tmp_path.iterdir())


def test_read__refuses_another_model(tmp_path: Path) -> None:
    storage.write(tmp_path, "toy", {"level_kw": 0.1}, ARRAYS)
    with pytest.raises(ModelError, match="holds toy, not other"), storage.read(tmp_path, "other"):
        pass


@pytest.mark.parametrize("found", [None, storage.FORMAT + 1])
def test_read__refuses_another_format_and_says_to_train_again(tmp_path: Path, found: int | None) -> None:
    storage.write(tmp_path, "toy", {"level_kw": 0.1}, ARRAYS)
    path = tmp_path / storage.FACTS_FILE
    facts = json.loads(path.read_text())
    del facts["format"]
    path.write_text(json.dumps(facts if found is None else facts | {"format": found}))
    with (
        pytest.raises(ModelError, match=f"format {found}, this version reads 1. Train it again"),
        storage.read(tmp_path, "toy"),
    ):
        pass


@pytest.mark.parametrize(
    "damage", ["missing", "cut", "not a zip", "not JSON", "empty", "one bit of the arrays", "one digit"]
)
def test_read__turns_damage_into_an_error_that_says_what_to_do(tmp_path: Path, damage: str) -> None:
    storage.write(tmp_path, "toy", {"level_kw": 0.1}, ARRAYS)
    path = tmp_path / storage.ARRAYS_FILE
    if damage == "missing":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-30])
    elif damage == "not a zip":
        path.write_bytes(b"weights")
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "one bit of the arrays":
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    elif damage == "not JSON":
        (tmp_path / storage.FACTS_FILE).write_text("{")
    elif damage == "one digit":
        facts = tmp_path / storage.FACTS_FILE
        facts.write_text(facts.read_text().replace("0.1", "0.7"))
    with (
        pytest.raises(ModelError, match=r"No toy could be read from .* Train it again"),
        storage.read(tmp_path, "toy"),
    ):
        pass


def test_read__turns_absent_arrays_into_the_same_error(tmp_path: Path) -> None:
    storage.write(tmp_path, "toy", {"level_kw": 0.1}, ARRAYS)
    with pytest.raises(ModelError, match="Train it again"), storage.read(tmp_path, "toy") as (_, arrays):
        arrays["nowhere"]


def test_read__says_that_another_layout_is_of_an_earlier_version(tmp_path: Path) -> None:
    (tmp_path / "mixture.json").write_text("{}")
    with pytest.raises(ModelError, match="earlier version"), storage.read(tmp_path, "toy"):
        pass


def test_prefixes__keep_parts_apart() -> None:
    arrays = storage.add_prefix("a", ARRAYS) | storage.add_prefix("ab", {"weights": np.ones(1)})
    assert set(storage.take_prefix("a", arrays)) == set(ARRAYS)
    np.testing.assert_array_equal(storage.take_prefix("ab", arrays)["weights"], np.ones(1))


def test_require_fit__accepts_the_meter_of_the_fit_only() -> None:
    expected = storage.fitted_on(HOUSE) | {"columns": ["a"]}
    storage.require_fit("toy", expected, replace(HOUSE, meter_id="another"), columns=["a"])
    with pytest.raises(ModelError, match="a meter with step_minutes 1, this one has 30"):
        storage.require_fit("toy", expected, HOME, columns=["a"])
    with pytest.raises(ModelError, match=r"its columns were \['a'\], found \['b'\]"):
        storage.require_fit("toy", expected, HOUSE, columns=["b"])
    with pytest.raises(ModelError, match="toy is not fitted"):
        storage.require_fit("toy", {}, HOUSE)
