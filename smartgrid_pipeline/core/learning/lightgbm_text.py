"""LightGBM models as short text: the trees, and nothing that only their training needed.

Written against the text format of LightGBM 4; the test reads it back with the installed version.
"""

import lzma
from collections.abc import Sequence
from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt

Booster = Any  # lightgbm has no types

KEPT = ("Tree=", "num_leaves=", "num_cat=", "split_feature=", "decision_type=", "left_child=", "right_child=",
        "is_linear=", "shrinkage=")  # fmt: skip
DIGITS = {"threshold": 5, "leaf_value": 4}
"""Significant digits of cuts and leaves: finer than a reading, and than the part one tree of hundreds has."""

BREAK = "\f"
"""Between the texts of several models; does not occur in any of them."""


def slim(booster: Booster) -> Booster:
    """The same trees with short numbers, made from their short text: the model used is the model stored."""
    return lightgbm.Booster(model_str=short_text(booster))


def short_text(booster: Booster) -> str:
    """Text of a booster; ``lightgbm.Booster(model_str=…)`` reads that of a slim one back to the same bits."""
    head, *trees = booster.model_to_string().split("\nTree=")
    trees[-1] = trees[-1].split("\nend of trees")[0]
    lines = [line for line in head.splitlines() if not line.startswith(("tree_sizes", "feature_infos"))]
    lines += ["feature_infos=" + " ".join(["none"] * _feature_count(head)), ""]
    for tree in trees:
        kept = (line for line in f"Tree={tree}".splitlines() if line.startswith((*KEPT, *DIGITS)))
        lines += [*(_short_numbers(line) for line in kept), ""]
    return "\n".join([*lines, "end of trees", ""])


def to_array(boosters: Sequence[Booster]) -> npt.NDArray[np.uint8]:
    """The short texts of boosters, compressed together with xz: one array of bytes."""
    texts = BREAK.join(map(short_text, boosters)).encode()
    return np.frombuffer(lzma.compress(texts, preset=6), np.uint8)


def read_texts(array: npt.NDArray[np.uint8]) -> list[str]:
    """The texts in an array that ``to_array`` made. Raises ValueError when it is broken."""
    try:
        return lzma.decompress(array.tobytes()).decode().split(BREAK)
    except lzma.LZMAError as error:
        raise ValueError(f"the compressed trees are broken: {error}") from error


def from_array(array: npt.NDArray[np.uint8]) -> tuple[Booster, ...]:
    """The inverse of ``to_array``. Raises ValueError when the array is broken."""
    try:
        return tuple(lightgbm.Booster(model_str=text) for text in read_texts(array))
    except lightgbm.basic.LightGBMError as error:
        raise ValueError(f"the text of a tree is broken: {error}") from error


def _feature_count(head: str) -> int:
    line = next(line for line in head.splitlines() if line.startswith("max_feature_idx="))
    return int(line.partition("=")[2]) + 1


def _short_numbers(line: str) -> str:
    name, _, values = line.partition("=")
    if name not in DIGITS:
        return line
    return f"{name}=" + " ".join(f"{float(value):.{DIGITS[name]}g}" for value in values.split())
