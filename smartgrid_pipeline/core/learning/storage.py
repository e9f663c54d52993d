"""A fitted model on disk: one JSON of facts beside one npz of arrays, never a pickle."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from smartgrid_pipeline.core.schema import Meter, ModelError

Arrays = dict[str, npt.NDArray[Any]]

FACTS_FILE, ARRAYS_FILE = "model.json", "model.npz"


def write(directory: Path, name: str, facts: dict[str, Any], arrays: Arrays) -> None:
    """Write a model called ``name`` into an existing directory. Raises ModelError when it is not fitted."""
    if not facts:
        raise ModelError(f"{name} is not fitted: there is nothing to save. Call fit first.")
    (directory / FACTS_FILE).write_text(json.dumps({"model": name, **facts}, indent=1))
    np.savez_compressed(directory / ARRAYS_FILE, allow_pickle=False, **arrays)


def read(directory: Path, name: str) -> tuple[dict[str, Any], Arrays]:
    """Read what ``write`` wrote. Raises ModelError when files are missing, broken or of another model."""
    try:
        facts = json.loads((directory / FACTS_FILE).read_text())
        with np.load(directory / ARRAYS_FILE, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"No {name} could be read from {directory}: {error}. Save it again.") from error
    found = facts.pop("model", None)
    if found != name:
        raise ModelError(f"{directory} holds {found}, not {name}; load it with its own class.")
    return facts, arrays


def identity(meter: Meter) -> dict[str, Any]:
    """What a meter must share with the one a model was fitted on."""
    return {"step_minutes": meter.step_minutes, "working_minutes": meter.working_minutes,
            "channels": list(meter.channels), "has_holidays": meter.holiday_country is not None}  # fmt: skip


def require_fit(name: str, fitted_on: dict[str, Any], meter: Meter, **also: str) -> None:
    """Raises ModelError unless the model was fitted, and on a meter like this one; ``also`` names further
    facts that must be those it was fitted on.
    """
    if not fitted_on:
        raise ModelError(f"{name} is not fitted: call fit or load first.")
    for key, found in (identity(meter) | also).items():
        expected = fitted_on.get(key)
        if found == expected:
            continue
        if key in also:
            raise ModelError(
                f"{name} was fitted by another version of this software: its {key} were {expected}, found "
                f"{found}. Fit it again."
            )
        raise ModelError(
            f"{name} was fitted on another kind of meter: {key} was {expected}, found {found}. "
            "Fit it on this meter."
        )
