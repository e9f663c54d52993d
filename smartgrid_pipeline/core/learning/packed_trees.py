"""Forests of scikit-learn as a few flat arrays: small on disk, no pickle, the same numbers after loading."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from smartgrid_pipeline.core.learning.storage import Arrays, add_prefix, take_prefix
from smartgrid_pipeline.core.schema import Floats

LEAF = -1
_BLOCK = 1 << 20  # pairs of a row and a tree at a time, so that memory stays bounded


@dataclass(frozen=True)
class PackedTrees:
    """Trees with one number per leaf, in depth-first order: the left child follows its parent.

    ``roots`` (trees,) are the first nodes of the trees. Per node: ``feature``, the column of a split or LEAF;
    ``cut``, the threshold of a split (left when x ≤ cut) or the value of a leaf; ``right``, the right child
    counted from the root; ``missing_left``, whether NaN goes left.
    """

    roots: npt.NDArray[np.int32]
    feature: npt.NDArray[np.int16]
    cut: Floats
    right: npt.NDArray[np.uint16]
    missing_left: npt.NDArray[np.bool_]

    @classmethod
    def from_sklearn(
        cls, trees: Sequence[Any], leaf_values: Sequence[npt.NDArray[Any]] | None = None
    ) -> Self:
        """Pack scikit-learn ``Tree`` structures grown depth-first.

        ``leaf_values`` has an array (nodes,) per tree, of which the leaves are kept; by default it is the
        value of a regression tree with one output.
        """
        values = [tree.value[:, 0, 0] for tree in trees] if leaf_values is None else leaf_values
        sizes = [tree.node_count for tree in trees]
        leaf = np.concatenate([tree.children_left < 0 for tree in trees])
        feature = np.where(leaf, LEAF, np.concatenate([tree.feature for tree in trees]))
        cut = np.where(leaf, np.concatenate(values), np.concatenate([tree.threshold for tree in trees]))
        rounded = cut.astype(np.float32)
        over = ~leaf & (rounded > cut)  # inputs are float32: x ≤ cut is x ≤ the float32 below it
        rounded[over] = np.nextafter(rounded[over], np.float32(-np.inf))
        right = np.concatenate([np.maximum(tree.children_right, 0) for tree in trees])
        missing = np.concatenate([tree.missing_go_to_left.astype(bool) for tree in trees])
        roots = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int32)
        return cls(roots, feature.astype(np.int16), rounded, right.astype(np.uint16), missing)

    def predict(self, inputs: Floats) -> Floats:
        """Mean over the trees for each row of float32 inputs (rows, columns), (rows,)."""
        size = max(1, _BLOCK // len(self.roots))
        parts = [self.values(inputs[begin : begin + size]).mean(1, dtype=np.float64)
                 for begin in range(0, len(inputs), size)]  # fmt: skip
        return np.concatenate([np.zeros(0), *parts]).astype(np.float32)

    def values(self, inputs: Floats) -> Floats:
        """Value of each row's leaf in each tree, (rows, trees)."""
        return self.cut[self._leaves(inputs)]

    def _leaves(self, inputs: Floats) -> npt.NDArray[np.int32]:
        """The leaf each row reaches in each tree, (rows, trees)."""
        node = np.repeat(self.roots[None], len(inputs), 0).reshape(-1)
        root = node.copy()
        row = np.repeat(np.arange(len(inputs)), len(self.roots))
        inside = np.flatnonzero(self.feature[node] != LEAF)
        while len(inside):
            current = node[inside]
            value = inputs[row[inside], self.feature[current]]
            left = np.where(np.isnan(value), self.missing_left[current], value <= self.cut[current])
            current = np.where(left, current + 1, root[inside] + self.right[current]).astype(np.int32)
            node[inside] = current
            inside = inside[self.feature[current] != LEAF]
        return node.reshape(len(inputs), -1)

    def to_arrays(self, prefix: str) -> Arrays:
        """Plain arrays for storage."""
        return add_prefix(prefix, {name: getattr(self, name) for name in self.__dataclass_fields__})

    @classmethod
    def from_arrays(cls, arrays: Arrays, prefix: str) -> Self:
        """The inverse of ``to_arrays``."""
        own = take_prefix(prefix, arrays)
        return cls(**{name: own[name] for name in cls.__dataclass_fields__})
