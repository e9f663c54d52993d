"""What code a result hangs on: a module of the package and everything it imports, as one hash."""

import ast
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

import smartgrid_pipeline

PACKAGE = "smartgrid_pipeline"
FOLDER = Path(smartgrid_pipeline.__file__).parent


def of_modules(*names: str) -> str:
    """Hash of the source of these modules and of all modules of the package they import, directly or not."""
    digest = sha256()
    for name in sorted(closure(names)):
        digest.update(name.encode() + _file(name).read_bytes())
    return digest.hexdigest()[:16]


def closure(names: tuple[str, ...]) -> set[str]:
    """The modules and those of the package they import, as dotted names."""
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
    return tuple(each for each in imported if each.startswith(f"{PACKAGE}.") and _is_module(each))


def _file(name: str) -> Path:
    path = FOLDER.joinpath(*name.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _is_module(name: str) -> bool:
    return _file(name).exists()
