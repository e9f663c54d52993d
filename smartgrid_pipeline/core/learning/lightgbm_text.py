"""A LightGBM model as short text: the trees, and nothing that only their training needed."""

from typing import Any

import lightgbm

KEPT = ("Tree=", "num_leaves=", "num_cat=", "split_feature=", "decision_type=", "left_child=", "right_child=",
        "is_linear=", "shrinkage=")  # fmt: skip
DIGITS = {"threshold": 5, "leaf_value": 4}
"""Significant digits of cuts and leaves: finer than any reading, and than what one tree of hundreds tells."""


def slim(booster: Any) -> Any:
    """The same trees with short numbers, made from their own text: what is saved is what is used."""
    return lightgbm.Booster(model_str=_short(booster.model_to_string()))


def text_of(booster: Any) -> str:
    """The text of a slim booster; ``lightgbm.Booster(model_str=…)`` reads it back to the same bits."""
    return _short(booster.model_to_string())


def _short(text: str) -> str:
    head, *trees = text.split("\nTree=")
    trees[-1] = trees[-1].split("\nend of trees")[0]
    lines = [line for line in head.splitlines() if not line.startswith(("tree_sizes", "feature_infos"))]
    lines += ["feature_infos=" + " ".join(["none"] * _feature_count(head)), ""]
    for tree in trees:
        kept = (line for line in f"Tree={tree}".splitlines() if line.startswith((*KEPT, *DIGITS)))
        lines += [*(_shorter(line) for line in kept), ""]
    return "\n".join([*lines, "end of trees", ""])


def _feature_count(head: str) -> int:
    line = next(line for line in head.splitlines() if line.startswith("max_feature_idx="))
    return int(line.partition("=")[2]) + 1


def _shorter(line: str) -> str:
    name, _, values = line.partition("=")
    if name not in DIGITS:
        return line
    return f"{name}=" + " ".join(f"{float(value):.{DIGITS[name]}g}" for value in values.split())
