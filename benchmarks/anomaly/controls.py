"""Controls: random and constant scores, one-liners on power, PCA and an untrained autoencoder."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from sklearn.decomposition import PCA

from smartgrid_pipeline.core.anomaly.ensemble import members
from smartgrid_pipeline.core.anomaly.ensemble.members import Arrays, Matrix
from smartgrid_pipeline.core.anomaly.interval_array import Array, IntervalArray
from smartgrid_pipeline.core.schema import ACTIVE_POWER

CONTROLS = ("random", "constant", "power_step", "power_level", "pca", "untrained_autoencoder")
PCA_VARIANCE = 0.9


@dataclass(frozen=True)
class Controls:
    """The controls that have to be fitted: principal components, and untrained weights."""

    pca: PCA
    untrained: Arrays

    @classmethod
    def fit(cls, rows: Matrix, seed: int) -> Self:
        """Principal components of PCA_VARIANCE of the variance of scaled clean rows (rows, features)."""
        return cls(PCA(PCA_VARIANCE).fit(rows), members.fit_autoencoder(rows[:1], seed, steps=0))

    def scores(self, rows: Matrix, recorded: IntervalArray, first: int) -> dict[str, Array]:
        """Score of each control from interval ``first`` on; ``rows`` are the scaled features of these."""
        lost = rows - self.pca.inverse_transform(self.pca.transform(rows))
        power = np.nan_to_num(recorded.mean(recorded.values[ACTIVE_POWER]))
        day = recorded.per_hours(24)
        mean = np.convolve(power, np.ones(day) / day)[: len(power)]
        return {
            "random": _random(recorded.intervals[first:]),
            "constant": np.zeros(len(rows)),
            "power_step": np.abs(np.diff(power, prepend=power[:1]))[first:],
            "power_level": np.abs(power - mean)[first:],
            "pca": (lost**2).mean(1).astype(float),
            "untrained_autoencoder": members.scores({"autoencoder": self.untrained}, rows)["autoencoder"],
        }


def _random(intervals: npt.NDArray[np.datetime64]) -> Array:
    """A uniform number per interval that depends on its start alone (splitmix64, Steele et al. 2014)."""
    x = intervals.astype("datetime64[m]").astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (x ^ (x >> np.uint64(31))) / 2.0**64
