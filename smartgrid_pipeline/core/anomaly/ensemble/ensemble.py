"""Isolation forest, One-Class SVM and autoencoder, trained on the same scaled features."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from smartgrid_pipeline.core.anomaly.ensemble import members
from smartgrid_pipeline.core.anomaly.ensemble.features import channel_of
from smartgrid_pipeline.core.anomaly.ensemble.members import MEMBERS, Arrays, Matrix, RobustScaler
from smartgrid_pipeline.core.anomaly.interval_array import Array, Flags

MAX_TRAINING_ROWS = 200_000

Features = dict[str, Array]
"""Name → one value per interval, (intervals,), NaN where unknown."""


@dataclass(frozen=True)
class Ensemble:
    """Fitted members, the names of their features in order, and the scaler of these."""

    names: tuple[str, ...]
    scaler: RobustScaler
    members: dict[str, Arrays]

    @classmethod
    def fit(cls, features: Features, chosen: Flags, seed: int) -> Self:
        """Train all members on the chosen intervals, on at most MAX_TRAINING_ROWS of them."""
        table = np.stack([values[chosen] for values in features.values()], axis=1)
        scaler = RobustScaler.fit(table)
        rows = scaler.transform(table)
        if len(rows) > MAX_TRAINING_ROWS:
            rows = rows[np.sort(np.random.default_rng(seed).permutation(len(rows))[:MAX_TRAINING_ROWS])]
        return cls(tuple(features), scaler, {name: fit(rows, seed) for name, fit in members.FIT.items()})

    def scaled(self, features: Features) -> Matrix:
        """Scaled features in the order of the fit, (intervals, features) float32."""
        return self.scaler.transform(np.stack([features[name] for name in self.names], axis=1))

    def scores(self, features: Features) -> dict[str, Array]:
        """Raw score of each member in each interval, (intervals,); higher is more anomalous."""
        return members.scores(self.members, self.scaled(features))

    def attribute(self, features: Features) -> str:
        """The channel whose features have the largest mean reconstruction error in the intervals given."""
        errors = members.errors_autoencoder(self.members["autoencoder"], self.scaled(features)).mean(0)
        by_channel: dict[str, float] = {}
        for name, error in zip(self.names, errors, strict=True):
            channel = channel_of(name)
            by_channel[channel] = max(by_channel.get(channel, 0.0), float(error))
        return max(by_channel, key=lambda channel: by_channel[channel])

    def to_arrays(self) -> Arrays:
        """Everything learned, as named arrays."""
        arrays: Arrays = {
            "scaler/median": self.scaler.median,
            "scaler/width": self.scaler.width,
            "names": np.array(self.names),
        }
        return arrays | {
            f"{member}/{name}": values
            for member, parts in self.members.items()
            for name, values in parts.items()
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """The inverse of ``to_arrays``."""
        parts = {
            member: {key.split("/")[1]: a for key, a in arrays.items() if key.startswith(f"{member}/")}
            for member in MEMBERS
        }
        names = tuple(str(name) for name in arrays["names"])
        return cls(names, RobustScaler(arrays["scaler/median"], arrays["scaler/width"]), parts)
