"""The two files of a saved detector: plain data as JSON, arrays without pickle."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from smartgrid_pipeline.core.anomaly.ensemble.ensemble import Ensemble
from smartgrid_pipeline.core.anomaly.ensemble.members import MEMBERS
from smartgrid_pipeline.core.anomaly.interval_array import Array
from smartgrid_pipeline.core.anomaly.rules.rules import Limits
from smartgrid_pipeline.core.anomaly.scoring.tails import Tail
from smartgrid_pipeline.core.schema import Meter, ModelError

FORMAT = 5
STATE_FILE, ARRAYS_FILE = "detector.json", "detector.npz"

Arrays = dict[str, np.ndarray[Any, Any]]


@dataclass(frozen=True)
class Contents:
    """All that a detector has learned; ``settings`` are the arguments it is made with."""

    settings: dict[str, Any]
    meter: Meter
    limits: Limits
    thresholds: dict[str, float]
    tails: dict[str, Tail]
    ensemble: Ensemble
    learned: dict[str, Array]

    def write(self, directory: Path) -> None:
        """Write both files into a directory that exists."""
        tails = self.tails | self.ensemble.tails
        state = self.settings | {
            "format": FORMAT,
            "meter": asdict(self.meter),
            "limits": self.limits,
            "thresholds": self.thresholds,
            "tails": {name: {"shape": tail.shape, "scale": tail.scale} for name, tail in tails.items()},
        }
        arrays: Arrays = self.ensemble.to_arrays()
        arrays |= {f"tail/{name}": np.stack([tail.grid, tail.levels]) for name, tail in tails.items()}
        arrays |= {f"learned/{name}": values for name, values in self.learned.items()}
        (directory / STATE_FILE).write_text(json.dumps(state, indent=1, sort_keys=True))
        np.savez_compressed(directory / ARRAYS_FILE, **arrays)  # type: ignore[arg-type]

    @classmethod
    def read(cls, directory: Path) -> Self:
        """Read what ``write`` wrote. Raises ModelError when files are missing or of another format."""
        state, arrays = _read(directory)
        tails = {
            name: Tail(arrays[f"tail/{name}"][0], arrays[f"tail/{name}"][1], tail["shape"], tail["scale"])
            for name, tail in state["tails"].items()
        }
        return cls(
            {name: state[name] for name in ("budget_per_month", "seed", "price_per_kwh")},
            Meter(**(state["meter"] | {"channels": tuple(state["meter"]["channels"])})),
            state["limits"],
            state["thresholds"],
            {name: tail for name, tail in tails.items() if name not in MEMBERS},
            Ensemble.from_arrays(arrays, {name: tails[name] for name in MEMBERS}),
            {name.split("/")[1]: a for name, a in arrays.items() if name.startswith("learned/")},
        )


def _read(directory: Path) -> tuple[dict[str, Any], Arrays]:
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
