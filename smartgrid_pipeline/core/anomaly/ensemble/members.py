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
    """Train on clean rows (rows, features); trees are kept as arrays, (trees, nodes)."""
    from sklearn.ensemble import IsolationForest

    forest = IsolationForest(
        n_estimators=trees, max_samples=min(samples, len(rows)), random_state=seed, n_jobs=1
    )
    forest.fit(rows)
    size = max(tree.tree_.node_count for tree in forest.estimators_)
    arrays: Arrays = {
        "feature": np.zeros((trees, size), np.int16),
        "threshold": np.full((trees, size), np.inf, np.float32),
        "left": np.tile(np.arange(size, dtype=np.int16), (trees, 1)),
        "right": np.tile(np.arange(size, dtype=np.int16), (trees, 1)),
        "path": np.zeros((trees, size), np.float32),
        "levels": np.array([0], np.int16),
    }
    for t, estimator in enumerate(forest.estimators_):
        tree = estimator.tree_
        n = tree.node_count
        inner = tree.children_left >= 0
        arrays["feature"][t, :n] = np.where(inner, tree.feature, 0)
        arrays["threshold"][t, :n] = np.where(inner, _round_down(tree.threshold), np.inf)
        arrays["left"][t, :n] = np.where(inner, tree.children_left, np.arange(n))
        arrays["right"][t, :n] = np.where(inner, tree.children_right, np.arange(n))
        depth = _depths(tree.children_left, tree.children_right)
        arrays["path"][t, :n] = depth + _average_path(tree.n_node_samples)
        arrays["levels"] = np.maximum(arrays["levels"], depth.max()).astype(np.int16)
    arrays["normal_path"] = np.array([_average_path(np.array([forest.max_samples_]))[0]])
    return arrays


def _round_down(thresholds: Array) -> Matrix:
    """Largest float32 not above each threshold: float32 features compare with it as with the threshold."""
    rounded = thresholds.astype(np.float32)
    return np.where(rounded > thresholds, np.nextafter(rounded, np.float32(-np.inf)), rounded)


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
    total = np.zeros(len(rows))
    columns = np.ascontiguousarray(rows.T)
    for t in range(len(arrays["feature"])):
        feature, threshold = arrays["feature"][t], arrays["threshold"][t]
        children = np.stack([arrays["right"][t], arrays["left"][t]], axis=1).ravel()
        node = np.zeros(len(rows), np.int16)
        at = np.arange(len(rows))
        for _ in range(int(arrays["levels"][0])):
            goes_left = columns[feature[node], at] <= threshold[node]
            node = children[2 * node.astype(np.int32) + goes_left]
        total += arrays["path"][t][node]
    return 2.0 ** (-total / len(arrays["feature"]) / float(arrays["normal_path"][0]))


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

    Trained with Adam and a Huber loss on batches drawn with the seed, in one thread.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(seed)
    n = rows.shape[1]
    sizes = [n, 24, 8, 24, n]
    weights = [(torch.randn(a, b, generator=generator) / a**0.5).requires_grad_() for a, b in pairwise(sizes)]
    biases = [torch.zeros(b, requires_grad=True) for b in sizes[1:]]
    optimiser = torch.optim.Adam([*weights, *biases], lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(1, steps))
    data = torch.from_numpy(rows)
    for _ in range(steps):
        chosen = torch.randint(len(rows), (batch,), generator=generator)
        x = data[chosen]
        y = x
        for layer, (w, b) in enumerate(zip(weights, biases, strict=True)):
            y = y @ w + b
            if layer < len(weights) - 1:
                y = torch.tanh(y)
        loss = torch.nn.functional.huber_loss(y, x)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    torch.set_num_threads(threads)
    arrays: Arrays = {}
    for layer, (w, b) in enumerate(zip(weights, biases, strict=True)):
        arrays[f"w{layer}"], arrays[f"b{layer}"] = w.detach().numpy(), b.detach().numpy()
    return arrays


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
