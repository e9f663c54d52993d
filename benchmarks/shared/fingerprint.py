"""One hash of the code behind a result: some modules and everything of this repository they import."""

import ast
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from benchmarks.shared.result_head import ROOT

PACKAGES = ("smartgrid_pipeline.", "benchmarks.")


def of_modules(*names: str) -> str:
    """Hash (16 hex digits) of the source of these modules and of all they import, directly or not.

    ``names`` are dotted names of modules of this repository; libraries are not hashed. Raises
    FileNotFoundError for a module that does not exist.
    """
    digest = sha256()
    for name in sorted(closure(names)):
        digest.update(name.encode() + _file(name).read_bytes())
    return digest.hexdigest()[:16]


def closure(names: tuple[str, ...]) -> set[str]:
    """Dotted names of the modules and of all modules of this repository they import."""
    found: set[str] = set()
    todo = list(names)
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += _imports(name)
    return found


@lru_cache(maxsize=256)
def _imports(name: str) -> tuple[str, ...]:
    imported: list[str] = []
    for node in ast.walk(ast.parse(_file(name).read_text())):
        if isinstance(node, ast.Import):
            imported += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            imported += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return tuple(each for each in imported if each.startswith(PACKAGES) and _is_module(each))


def _file(name: str) -> Path:
    path = ROOT.joinpath(*name.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _is_module(name: str) -> bool:
    return _file(name).exists()
