"""The one way to write and read a fitted model: facts as JSON beside arrays as compressed npz, no pickle.

A model has a directory of its own with two files, ``model.json`` and ``model.npz``; the models it is made of
stand in sub-folders, each written the same way. Texts of trees are arrays of bytes (see ``lightgbm_text``),
weights of networks arrays of half precision (see ``network_arrays``).
"""

import io
import json
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from smartgrid_pipeline.core.schema import Meter, ModelError

Arrays = dict[str, npt.NDArray[Any]]

FORMAT = 1
"""Raised whenever names or meaning of stored facts or arrays change: older files are then refused."""

FACTS_FILE, ARRAYS_FILE = "model.json", "model.npz"

DAMAGE = (OSError, EOFError, KeyError, IndexError, TypeError, ValueError, RuntimeError, MemoryError,
          OverflowError, zipfile.BadZipFile, zlib.error)  # fmt: skip
"""What broken, missing or foreign files raise while a model is made of them."""


def write(directory: Path, name: str, facts: dict[str, Any], arrays: Arrays) -> None:
    """Write the model called ``name`` into an existing directory.

    ``facts`` are plain JSON values and empty before a fit: then ModelError is raised.
    """
    if not facts:
        raise ModelError(f"{name} is not fitted: there is nothing to save. Call fit first.")
    np.savez_compressed(directory / ARRAYS_FILE, allow_pickle=False, **arrays)
    kept = {"model": name, "format": FORMAT, **facts, "arrays_sha256": _sha256(directory / ARRAYS_FILE)}
    (directory / FACTS_FILE).write_text(json.dumps(kept | {"facts_sha256": _digest(kept)}, indent=1))


@contextmanager
def read(directory: Path, *names: str) -> Iterator[tuple[dict[str, Any], Arrays]]:
    """Facts and arrays of a stored model with one of these names, which stands in ``facts["model"]``.

    The model is made of them inside the ``with`` block. Raises ModelError when files are missing, broken, of
    another model or of another format, also when that shows only while the model is made.
    """
    if not (directory / FACTS_FILE).exists() and directory.is_dir() and any(directory.iterdir()):
        raise ModelError(
            f"{directory} holds no {FACTS_FILE}: its model was saved by an earlier version, or is damaged. "
            "Train it again: `smartgrid run` does."
        )
    try:
        facts = json.loads((directory / FACTS_FILE).read_text())
        _require_readable(directory, names, facts)
        _require_undamaged(directory, facts)
        with np.load(io.BytesIO((directory / ARRAYS_FILE).read_bytes()), allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
        yield facts, arrays
    except DAMAGE as error:
        wanted = " or ".join(names)
        raise ModelError(f"No {wanted} could be read from {directory}: {error}. Train it again.") from error


def _require_readable(directory: Path, names: tuple[str, ...], facts: dict[str, Any]) -> None:
    if facts["model"] not in names:
        wanted = " or ".join(names)
        raise ModelError(f"{directory} holds {facts['model']}, not {wanted}; load it with its own class.")
    if facts.get("format") != FORMAT:
        raise ModelError(
            f"The {facts['model']} in {directory} was saved in format {facts.get('format')}, this version "
            f"reads {FORMAT}. "
            "Train it again: `smartgrid run` does."
        )


def _require_undamaged(directory: Path, facts: dict[str, Any]) -> None:
    """Raises ValueError unless facts and arrays are those that were written; takes the digests out of
    ``facts``.
    """
    if facts.pop("facts_sha256") != _digest(facts):
        raise ValueError(f"{FACTS_FILE} has been changed since it was written")
    if facts.pop("arrays_sha256") != _sha256(directory / ARRAYS_FILE):
        raise ValueError(f"{ARRAYS_FILE} has been changed since it was written")


def _digest(facts: dict[str, Any]) -> str:
    return sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _sha256(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


def add_prefix(prefix: str, arrays: Arrays) -> Arrays:
    """The same arrays as ``prefix.name``: parts of a model share one file."""
    return {f"{prefix}.{name}": values for name, values in arrays.items()}


def take_prefix(prefix: str, arrays: Arrays) -> Arrays:
    """The inverse of ``add_prefix``: the arrays of one part, under their own names."""
    start = f"{prefix}."
    return {name.removeprefix(start): values for name, values in arrays.items() if name.startswith(start)}


def fitted_on(meter: Meter) -> dict[str, Any]:
    """What a meter must have in common with the meter a model was fitted on, as JSON values."""
    return {"step_minutes": meter.step_minutes, "working_minutes": meter.working_minutes,
            "channels": list(meter.channels), "has_holidays": meter.holiday_country is not None}  # fmt: skip


def require_fit(name: str, expected: dict[str, Any], meter: Meter, **inputs: Any) -> None:
    """Raises ModelError unless the model is fitted and ``meter`` and ``inputs`` are those of its fit.

    ``expected``: what ``fitted_on`` returned at the fit, joined with ``inputs``; empty before it.
    ``inputs``: other values that must be the same, such as a hash of the feature names.
    """
    if not expected:
        raise ModelError(f"{name} is not fitted: call fit or load first.")
    for key, found in (fitted_on(meter) | inputs).items():
        if found == expected.get(key):
            continue
        if key in inputs:
            raise ModelError(
                f"{name} was fitted on other inputs or by another version of this software: its {key} were "
                f"{expected.get(key)}, found {found}. Fit it again."
            )
        raise ModelError(
            f"{name} was fitted on a meter with {key} {expected.get(key)}, this one has {found}. "
            "Fit it on this meter."
        )
