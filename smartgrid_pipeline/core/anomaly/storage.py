"""A fitted detector on disk: facts and arrays in the one format of fitted models."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from smartgrid_pipeline.core.anomaly.ensemble.ensemble import Ensemble
from smartgrid_pipeline.core.anomaly.interval_array import Array
from smartgrid_pipeline.core.anomaly.rules.rules import Limits
from smartgrid_pipeline.core.anomaly.scoring.tails import Tail
from smartgrid_pipeline.core.learning import storage
from smartgrid_pipeline.core.schema import Meter, ModelError

NAME = "anomaly_detector"
OLD_FILE = "detector.json"
"""Written instead of the model files by versions before the common format."""


@dataclass(frozen=True)
class DetectorFile:
    """All that a detector has learned. ``settings`` are the arguments of its constructor."""

    settings: dict[str, Any]
    meter: Meter
    limits: Limits
    thresholds: dict[str, float]
    tails: dict[str, Tail]
    ensemble: Ensemble
    learned: dict[str, Array]

    def write(self, directory: Path) -> None:
        """Write facts and arrays into an existing directory."""
        facts = {
            "settings": self.settings,
            "meter": asdict(self.meter),
            "limits": self.limits,
            "thresholds": self.thresholds,
            "tails": {name: {"shape": tail.shape, "scale": tail.scale} for name, tail in self.tails.items()},
        }
        arrays = storage.add_prefix("ensemble", self.ensemble.to_arrays())
        tails = {name: np.stack([tail.grid, tail.levels]) for name, tail in self.tails.items()}
        arrays |= storage.add_prefix("tail", tails) | storage.add_prefix("learned", self.learned)
        storage.write(directory, NAME, facts, arrays)

    @classmethod
    def read(cls, directory: Path) -> Self:
        """Read what ``write`` wrote. Raises ModelError on missing, damaged or old files."""
        if (directory / OLD_FILE).exists():
            raise ModelError(
                f"The anomaly detector in {directory} was saved by an earlier version, in a format that is "
                "no longer read: `smartgrid run` fits it again."
            )
        with storage.read(directory, NAME) as (facts, arrays):
            grids = storage.take_prefix("tail", arrays)
            return cls(
                facts["settings"],
                Meter(**(facts["meter"] | {"channels": tuple(facts["meter"]["channels"])})),
                facts["limits"],
                facts["thresholds"],
                {
                    name: Tail(grids[name][0], grids[name][1], tail["shape"], tail["scale"])
                    for name, tail in facts["tails"].items()
                },
                Ensemble.from_arrays(storage.take_prefix("ensemble", arrays)),
                storage.take_prefix("learned", arrays),
            )
