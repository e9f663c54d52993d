"""The two files of a saved detector: plain data as JSON, arrays without pickle."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from smartgrid_pipeline.core.schema import ModelError

FORMAT = 5
STATE_FILE, ARRAYS_FILE = "detector.json", "detector.npz"

Arrays = dict[str, np.ndarray[Any, Any]]


def write(directory: Path, state: dict[str, Any], arrays: Arrays) -> None:
    """Write both files into a directory that exists."""
    state = {"format": FORMAT} | state
    (directory / STATE_FILE).write_text(json.dumps(state, indent=1, sort_keys=True))
    np.savez_compressed(directory / ARRAYS_FILE, **arrays)  # type: ignore[arg-type]


def read(directory: Path) -> tuple[dict[str, Any], Arrays]:
    """Read what ``write`` wrote. Raises ModelError when files are missing or of another format."""
    try:
        state = json.loads((directory / STATE_FILE).read_text())
        with np.load(directory / ARRAYS_FILE, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except (OSError, ValueError) as error:
        raise ModelError(f"No anomaly detector could be read from {directory}: {error}.") from error
    if state.get("format") != FORMAT:
        raise ModelError(
            f"The anomaly detector in {directory} has format {state.get('format')}, this version reads "
            f"{FORMAT}; `smartgrid run` fits it again."
        )
    return state, arrays
