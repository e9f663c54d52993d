"""IsolationForest, One-Class SVM and autoencoder as one: each one's rarity, their vote and their average."""

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from smartgrid_pipeline.core.anomaly.ensemble import members
from smartgrid_pipeline.core.anomaly.ensemble.features import channel_of
from smartgrid_pipeline.core.anomaly.ensemble.members import MEMBERS, Arrays, Matrix, Scaler
from smartgrid_pipeline.core.anomaly.interval_array import Array, Flags
from smartgrid_pipeline.core.anomaly.scoring.tails import Tail

FIT_ROWS = 200_000

Inputs = dict[str, Array]


@dataclass
class Ensemble:
    """Fitted members with the tails that make their scores comparable."""

    names: tuple[str, ...]
    scaler: Scaler
    members: dict[str, Arrays]
    tails: dict[str, Tail] = field(default_factory=dict)

    @classmethod
    def fit(cls, inputs: Inputs, chosen: Flags, seed: int) -> Self:
        """Train all members on the chosen rows, at most FIT_ROWS of them."""
        table = np.stack([values[chosen] for values in inputs.values()], axis=1)
        scaler = Scaler.fit(table)
        rows = scaler.apply(table)
        if len(rows) > FIT_ROWS:
            rows = rows[np.sort(np.random.default_rng(seed).permutation(len(rows))[:FIT_ROWS])]
        return cls(tuple(inputs), scaler, {name: fit(rows, seed) for name, fit in members.FIT.items()})

    def rows(self, inputs: Inputs) -> Matrix:
        """Scaled inputs in the order of the fit, (rows, inputs)."""
        return self.scaler.apply(np.stack([inputs[name] for name in self.names], axis=1))

    def calibrate(self, inputs: Inputs, chosen: Flags) -> None:
        """Learn how rare each score is on the chosen rows, which no member was trained on."""
        rows = self.rows({name: values[chosen] for name, values in inputs.items()})
        self.tails = {name: Tail.fit(score) for name, score in members.scores(self.members, rows).items()}

    def rarities(self, inputs: Inputs) -> dict[str, Array]:
        """−log10 of how rare each member finds each row."""
        scores = members.scores(self.members, self.rows(inputs))
        return {name: self.tails[name].rarity(score) for name, score in scores.items()}

    def blame(self, inputs: Inputs) -> str:
        """The channel whose inputs the autoencoder could least explain in the rows given."""
        errors = members.errors_autoencoder(self.members["autoencoder"], self.rows(inputs)).mean(0)
        worst: dict[str, float] = {}
        for name, error in zip(self.names, errors, strict=True):
            channel = channel_of(name)
            worst[channel] = max(worst.get(channel, 0.0), float(error))
        return max(worst, key=lambda channel: worst[channel])

    def to_arrays(self) -> dict[str, Any]:
        """Everything learned, as named arrays."""
        arrays: dict[str, Any] = {
            "scaler/middle": self.scaler.middle,
            "scaler/width": self.scaler.width,
            "names": np.array(self.names),
        }
        return arrays | {
            f"{member}/{name}": values
            for member, parts in self.members.items()
            for name, values in parts.items()
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, Any], tails: dict[str, Tail]) -> Self:
        """The inverse of ``to_arrays``, with the tails of the members."""
        parts = {
            member: {key.split("/")[1]: a for key, a in arrays.items() if key.startswith(f"{member}/")}
            for member in MEMBERS
        }
        names = tuple(str(name) for name in arrays["names"])
        return cls(names, Scaler(arrays["scaler/middle"], arrays["scaler/width"]), parts, tails)
