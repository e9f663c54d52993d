"""A forest as a few flat arrays: small on disk, no pickle, the same answer whether fitted or loaded."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from smartgrid_pipeline.core.learning.storage import Arrays
from smartgrid_pipeline.core.schema import Floats

LEAF = -1
_BLOCK = 1 << 20  # pairs of a row and a tree at a time, so that memory stays bounded


@dataclass(frozen=True)
class PackedTrees:
    """Regression trees in depth-first order: the left child follows its parent.

    ``roots`` (trees,) first node of each tree; per node ``feature`` (LEAF for a leaf), ``cut`` the threshold
    of a split (left when x ≤ cut) or the value of a leaf, ``right`` the right child counted from the root,
    and ``missing_left`` where NaN goes.
    """

    roots: npt.NDArray[np.int32]
    feature: npt.NDArray[np.int16]
    cut: Floats
    right: npt.NDArray[np.uint16]
    missing_left: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, trees: Sequence[Any]) -> Self:
        """Pack scikit-learn ``Tree`` structures of one output, grown depth-first."""
        sizes = [tree.node_count for tree in trees]
        feature = np.concatenate([np.where(tree.children_left < 0, LEAF, tree.feature) for tree in trees])
        cut = np.concatenate([np.where(tree.children_left < 0, tree.value[:, 0, 0], tree.threshold)
                              for tree in trees])  # fmt: skip
        rounded = cut.astype(np.float32)
        over = (feature != LEAF) & (rounded > cut)  # inputs are float32: x ≤ cut is x ≤ the float32 below it
        rounded[over] = np.nextafter(rounded[over], np.float32(-np.inf))
        right = np.concatenate([np.maximum(tree.children_right, 0) for tree in trees])
        missing = np.concatenate([tree.missing_go_to_left.astype(bool) for tree in trees])
        roots = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int32)
        return cls(roots, feature.astype(np.int16), rounded, right.astype(np.uint16), missing)

    def predict(self, inputs: Floats) -> Floats:
        """Mean of the trees for each row, (rows,)."""
        size = max(1, _BLOCK // len(self.roots))
        parts = [self.values(inputs[begin : begin + size]).mean(1, dtype=np.float64)
                 for begin in range(0, len(inputs), size)]  # fmt: skip
        return np.concatenate([np.zeros(0), *parts]).astype(np.float32)

    def values(self, inputs: Floats) -> Floats:
        """What each tree says of each row, (rows, trees)."""
        return self.cut[self._leaves(inputs)]

    def _leaves(self, inputs: Floats) -> npt.NDArray[np.int32]:
        """The leaf each row reaches in each tree, (rows, trees)."""
        node = np.repeat(self.roots[None], len(inputs), 0).reshape(-1)
        root = node.copy()
        row = np.repeat(np.arange(len(inputs)), len(self.roots))
        walking = np.flatnonzero(self.feature[node] != LEAF)
        while len(walking):
            at = node[walking]
            value = inputs[row[walking], self.feature[at]]
            left = np.where(np.isnan(value), self.missing_left[at], value <= self.cut[at])
            at = np.where(left, at + 1, root[walking] + self.right[at]).astype(np.int32)
            node[walking] = at
            walking = walking[self.feature[at] != LEAF]
        return node.reshape(len(inputs), -1)

    def to_arrays(self, prefix: str) -> Arrays:
        """Plain arrays for an npz file."""
        return {f"{prefix}.{name}": getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def from_arrays(cls, arrays: Arrays, prefix: str) -> Self:
        """The inverse of ``to_arrays``."""
        return cls(**{name: arrays[f"{prefix}.{name}"] for name in cls.__dataclass_fields__})
