"""Retired words stay retired: names use the field's words (docs/glossary.md), docstrings no people verbs.

Names of modules, classes, functions, arguments, fields and constants are read from the source; the names of
feature columns from the package.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from smartgrid_pipeline.core.features import feature_table, tabular
from smartgrid_pipeline_tests.conftest import HOME, HOUSE

ROOT = Path(__file__).parents[1]

NAME_WORDS = {
    "analogue": "analog ensemble; same-time lag",
    "analogues": "same-time lags",
    "anchor": "linear tree average; knot quantile",
    "anchors": "knot quantiles",
    "ask": "predict",
    "asked": "requested",
    "asks": "predicts",
    "belief": "shrinkage weight",
    "believes": "shrinkage weight",
    "blame": "attribution",
    "boost": "boosting",
    "circuit": "sub-meter load",
    "circuits": "sub-meter loads",
    "fan": "quantile forecast",
    "fans": "quantile forecasts",
    "grove": "trees",
    "hear": "collect calibration scores",
    "heard": "calibration scores; holdout predictions",
    "hears": "collects calibration scores",
    "identity": "fingerprint, code version, feature names",
    "judge": "score, evaluate, raise alarms",
    "judged": "evaluated",
    "judging": "evaluation, detection",
    "kind": "lead group, fault type, defect type, run type, event type, day type",
    "kinds": "lead groups, fault types, defect types, run types, event types, day types",
    "kinship": "meter match",
    "ladder": "fallback chain",
    "lean": "blend weight",
    "leaning": "blending",
    "leans": "blend weights",
    "likeness": "similarity",
    "listen": "score",
    "look": "build features",
    "occasion": "training context",
    "rarity": "anomaly score, −log10 p",
    "release": "compare; promote (release check of a detector is one word)",
    "rung": "tier",
    "said": "predicted, scored",
    "saw": "read",
    "say": "predict, print",
    "seen": "known, observed",
    "sees": "reads",
    "settle": "promote; fit on the holdout",
    "settled": "promoted; full span",
    "settlement": "holdout fit",
    "settling": "holdout",
    "stream": "interval array",
    "streams": "interval arrays",
    "succession": "champion history",
    "support": "base learner",
    "supports": "base learners",
    "surprise": "surprisal",
    "surprises": "surprisal",
    "taught": "fitted",
    "teach": "fit",
    "teacher": "robust limits",
    "tell": "print, return",
    "told": "predicted, given",
    "trust": "shrinkage",
    "trusts": "shrinkage grid",
    "upkeep": "close unfinished runs",
    "voice": "detector score",
    "voices": "detector scores",
    "watch": "detection context",
    "workbench": "resources",
}
"""Retired word → what to say instead. It is matched as a whole word of a name."""

ALLOWED_TERMS = re.compile(
    r"^ANALOGUE$|release_check|fan_chart|where_to_look|Analogue(?=\d)|analogue_(?=\d+d)"
)
"""Terms of the field that hold a retired word, and the references that users know as analogue_7d and _28d."""

MODULE_WORDS = {"cycles": "run lengths, duty cycles", "present": "recent features; metadata"}
"""Retired as names of modules only."""

DOCSTRING_WORDS = re.compile(
    r"\b(said|heard|hears?|told(?! apart| from)|listens?|believes?|beliefs?|teach(es)?|taught|trust(s|ed)?|"
    r"leans?|leaning|speaks?|voices?|anchors?|(?-i:fans?)|ladders?|rungs?|occasions?|surprises?|kinship|likeness|blames?|judges?|"
    r"judged|asks|knows|sees|looks(?! up| like)|groves?|settlements?|workbench|rarity)\b",
    re.IGNORECASE,
)
"""Metaphors and people verbs for arrays and models."""

ALLOWED = {
    "benchmarks/frozen/": "the keys of kept digests never change, so they keep the words of their time"
}
"""Beginning of a path → why retired words may stand there."""


@dataclass(frozen=True)
class Found:
    """A retired word where it stands."""

    path: str
    line: int
    words: str
    instead: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.words} (say: {self.instead})"


def _files() -> list[Path]:
    return sorted([*(ROOT / "smartgrid_pipeline").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")])


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def words_of(name: str) -> list[str]:
    """The words of a snake_case or CamelCase name, in lower case."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+", name)]


def retired_in_name(name: str) -> dict[str, str]:
    """Retired words of a name → what to say instead; fixed terms are left out first."""
    words = words_of(re.sub(ALLOWED_TERMS, "", name))
    return {word: NAME_WORDS[word] for word in words if word in NAME_WORDS}


def _names(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.lineno, node.target.id  # fields of dataclasses
    for statement in _tree(path).body:
        for target in statement.targets if isinstance(statement, ast.Assign) else ():
            yield from ((name.lineno, name.id) for name in ast.walk(target) if isinstance(name, ast.Name))


def _docstrings(path: Path) -> Iterator[tuple[int, str]]:
    """Docstrings, and the strings that stand below a constant or an attribute."""
    for node in ast.walk(_tree(path)):
        for child in ast.iter_child_nodes(node):
            value = child.value if isinstance(child, ast.Expr) else None
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield child.lineno, value.value


def found_in(path: Path) -> list[Found]:
    """Every retired word in the names and docstrings of a file."""
    place = str(path.relative_to(ROOT))
    module = path.parent.name if path.stem == "__init__" else path.stem
    instead = retired_in_name(module) | {w: MODULE_WORDS[w] for w in words_of(module) if w in MODULE_WORDS}
    found = [Found(place, 1, f"module {module}", "; ".join(instead.values()))] if instead else []
    for line, name in _names(path):
        if retired := retired_in_name(name):
            found.append(Found(place, line, f"name {name}", "; ".join(retired.values())))
    for line, text in _docstrings(path):
        prose = re.sub(r"``[^`]*``", "", text)  # keys of tables and files are quoted
        matches = [match.group() for match in DOCSTRING_WORDS.finditer(prose)]
        found += [
            Found(place, line, f"docstring “{word}”", "the field's word or a plain one") for word in matches
        ]
    return found


@pytest.mark.parametrize("path", _files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_file__uses_no_retired_word(path: Path) -> None:
    if str(path.relative_to(ROOT)).startswith(tuple(ALLOWED)):
        return
    found = found_in(path)
    assert found == [], "\n" + "\n".join(map(str, found))


@pytest.mark.parametrize("meter", [HOUSE, HOME], ids=lambda meter: meter.meter_id)
def test_feature_column__has_no_retired_word(meter: object) -> None:
    columns = {
        *feature_table.names(meter),  # type: ignore[arg-type]
        *tabular.origin_names(meter),  # type: ignore[arg-type]
        *tabular.target_names(meter),  # type: ignore[arg-type]
    }
    assert {column: found for column in sorted(columns) if (found := retired_in_name(column))} == {}


def test_words_of__splits_both_ways_of_writing() -> None:
    assert words_of("DetectorScore") == ["detector", "score"]
    assert words_of("_said_by_LSTM2") == ["said", "by", "lstm", "2"]
    assert retired_in_name("fancy_listener") == {}  # only whole words
    assert list(retired_in_name("gate_trust")) == ["trust"]
    assert retired_in_name("release_check") == {} != retired_in_name("release")
    assert retired_in_name("Analogue28d") == {} != retired_in_name("against_analogue")
