"""Which code is running: hashes that say whether stored work is still that of this code."""

import hashlib
from functools import lru_cache
from pathlib import Path

import smartgrid_pipeline


@lru_cache(maxsize=2)
def _sha256(folder: Path, suffixes: tuple[str, ...]) -> str:
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.suffix in suffixes):
        digest.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


def code_sha256() -> str:
    """Hash of the package's core: a change in any line of it makes every training a new one."""
    return _sha256(Path(smartgrid_pipeline.__file__).parent / "core", (".py",))


def package_sha256() -> str:
    """Hash of the whole package, pages included: a change in it makes every month worth running again."""
    return _sha256(Path(smartgrid_pipeline.__file__).parent, (".py", ".j2"))
