"""The members of the ensemble: isolation forest (Liu, Ting & Zhou 2008, Isolation forest, ICDM), One-Class
SVM (Schölkopf et al. 2001, Estimating the support of a high-dimensional distribution) and an autoencoder.

They are trained with scikit-learn and torch. What is kept are plain arrays, scored with numpy alone: a fitted
ensemble is small, loads without either library and gives the same bits wherever it runs.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from smartgrid_pipeline.core.anomaly.interval_array import Array
from smartgrid_pipeline.core.learning.packed_trees import PackedTrees
from smartgrid_pipeline.core.learning.storage import Arrays

Matrix = npt.NDArray[np.float32]

MEMBERS = ("isolation_forest", "one_class_svm", "autoencoder")
BLOCK = 16_384
"""Rows scored at once: bounds memory, never changes a score."""


@dataclass(frozen=True)
class RobustScaler:
    """Scales features to bounded numbers: median to 0, the inner 90 % to about ±1, missing to 0.

    ``median`` and ``width`` (half the inner 90 %) are (features,).
    """

    median: Array
    width: Array

    @classmethod
    def fit(cls, features: Array) -> "RobustScaler":
        """Learn median and width of every column of clean rows (rows, features)."""
        low, median, high = np.nanquantile(features, [0.05, 0.5, 0.95], axis=0)
        return cls(median, np.maximum((high - low) / 2, 1e-3))

    def transform(self, features: Array) -> Matrix:
        """Scaled features (rows, features) float32, softly bounded at ±6 by a hyperbolic tangent."""
        scaled = np.nan_to_num((features - self.median) / self.width, nan=0.0, posinf=1e6, neginf=-1e6)
        return (6.0 * np.tanh(scaled / 6.0)).astype(np.float32)


def fit_isolation_forest(rows: Matrix, seed: int, trees: int = 100, samples: int = 512) -> Arrays:
    """Train on clean rows (rows, features); a leaf keeps the path length that it stands for."""
    from sklearn.ensemble import IsolationForest

    forest = IsolationForest(
        n_estimators=trees, max_samples=min(samples, len(rows)), random_state=seed, n_jobs=1
    )
    forest.fit(rows)
    grown = [estimator.tree_ for estimator in forest.estimators_]
    paths = [
        _depths(tree.children_left, tree.children_right) + _average_path(tree.n_node_samples)
        for tree in grown
    ]
    normal_path = _average_path(np.array([forest.max_samples_]))
    return PackedTrees.from_sklearn(grown, paths).to_arrays("trees") | {"normal_path": normal_path}


def _depths(left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Depth of every node of one tree, (nodes,); the root has 0."""
    depth = np.zeros(len(left), np.int64)
    for node in range(len(left)):  # parents come before children
        if left[node] >= 0:
            depth[left[node]] = depth[right[node]] = depth[node] + 1
    return depth


def _average_path(samples: npt.NDArray[np.int64]) -> Array:
    """Mean path length of an unsuccessful search among n samples (Liu, Ting & Zhou 2008, eq. 1)."""
    n = samples.astype(float)
    harmonic = np.log(np.maximum(n - 1, 1)) + np.euler_gamma
    path = 2 * harmonic - 2 * (n - 1) / np.maximum(n, 1)
    return np.where(n > 2, path, np.where(n == 2, 1.0, 0.0))


def score_isolation_forest(arrays: Arrays, rows: Matrix) -> Array:
    """Score 2^(−mean path / normal path) of each row, (rows,): scikit-learn's −score_samples."""
    paths = PackedTrees.from_arrays(arrays, "trees").values(rows)
    total = np.zeros(len(rows))
    for path in paths.T:  # one order of summation, whatever the number of rows
        total += path
    return 2.0 ** (-total / paths.shape[1] / float(arrays["normal_path"][0]))


def fit_one_class_svm(rows: Matrix, seed: int, nu: float = 0.005, max_rows: int = 20_000) -> Arrays:
    """Exact RBF One-Class SVM on at most ``max_rows`` rows drawn with the seed."""
    from sklearn.svm import OneClassSVM

    chosen = np.sort(np.random.default_rng(seed).permutation(len(rows))[:max_rows])
    gamma = 1.0 / (3.0 * rows.shape[1])
    machine = OneClassSVM(kernel="rbf", gamma=gamma, nu=nu).fit(rows[chosen].astype(np.float64))
    return {
        "vectors": machine.support_vectors_.astype(np.float32),
        "weights": machine.dual_coef_.ravel(),
        "settings": np.array([gamma, float(machine.intercept_[0])]),
    }


def score_one_class_svm(arrays: Arrays, rows: Matrix) -> Array:
    """Minus the decision function of each row, (rows,): above 0 outside the learned region."""
    gamma, intercept = (float(value) for value in arrays["settings"])
    vectors = arrays["vectors"].astype(np.float32)
    squares = (vectors**2).sum(1)
    distance = (rows**2).sum(1)[:, None] - 2 * (rows @ vectors.T) + squares[None, :]
    kernel = np.exp(np.float32(-gamma) * np.maximum(distance, 0))
    return -(kernel @ arrays["weights"].astype(np.float32)).astype(np.float64) - intercept


def fit_autoencoder(rows: Matrix, seed: int, steps: int = 600, batch: int = 1024) -> Arrays:
    """Weights ``w0`` … and biases ``b0`` … of a narrow autoencoder (features → 24 → 8 → 24 → features).

    Trained with a Huber loss on batches drawn with the seed, in one thread.
    """
    import torch
    from torch import Tensor, nn

    from smartgrid_pipeline.core.learning.training_loop import OptimizerConfig, cosine, torch_threads, train

    generator = torch.Generator().manual_seed(seed)
    sizes = [rows.shape[1], 24, 8, 24, rows.shape[1]]
    weights = [torch.randn(a, b, generator=generator) / a**0.5 for a, b in pairwise(sizes)]
    network = nn.ParameterDict({f"w{layer}": weight for layer, weight in enumerate(weights)})
    network |= nn.ParameterDict({f"b{layer}": torch.zeros(b) for layer, b in enumerate(sizes[1:])})
    data = torch.from_numpy(rows)

    def loss(_: nn.Module) -> Tensor:
        x = y = data[torch.randint(len(rows), (batch,), generator=generator)]
        for layer in range(len(weights)):
            y = y @ network[f"w{layer}"] + network[f"b{layer}"]
            y = torch.tanh(y) if layer < len(weights) - 1 else y
        return nn.functional.huber_loss(y, x)

    schedule = OptimizerConfig(steps, weight_decay=0.0, factor=cosine, largest_gradient=float("inf"))
    with torch_threads(1):
        train(network, loss, None, schedule)
    return {name: parameter.detach().numpy() for name, parameter in network.items()}


def errors_autoencoder(arrays: Arrays, rows: Matrix) -> Matrix:
    """Squared reconstruction error of each feature, (rows, features)."""
    y: Matrix = rows
    for layer in range(4):
        y = y @ arrays[f"w{layer}"].astype(np.float32) + arrays[f"b{layer}"].astype(np.float32)
        if layer < 3:
            y = np.tanh(y)
    return (y - rows) ** 2


def score_autoencoder(arrays: Arrays, rows: Matrix) -> Array:
    """Log of the mean squared reconstruction error of each row."""
    return np.log(errors_autoencoder(arrays, rows).mean(1).astype(np.float64) + 1e-6)


FIT = {
    "isolation_forest": fit_isolation_forest,
    "one_class_svm": fit_one_class_svm,
    "autoencoder": fit_autoencoder,
}
SCORE = {
    "isolation_forest": score_isolation_forest,
    "one_class_svm": score_one_class_svm,
    "autoencoder": score_autoencoder,
}


def scores(members: dict[str, Arrays], rows: Matrix) -> dict[str, Array]:
    """Each member's raw score of each row, (rows,); higher is more anomalous."""
    return {
        name: np.concatenate(
            [SCORE[name](members[name], rows[a : a + BLOCK]) for a in range(0, len(rows), BLOCK)]
            or [np.zeros(0)]
        )
        for name in members
    }
