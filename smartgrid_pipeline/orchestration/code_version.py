"""Hashes of the running code: they decide whether stored work is still the work of this code."""

import hashlib
from functools import lru_cache
from pathlib import Path

import smartgrid_pipeline


def core_sha256() -> str:
    """Hash of ``smartgrid_pipeline/core``. Part of a training's fingerprint: changed code trains anew."""
    return _sha256(Path(smartgrid_pipeline.__file__).parent / "core", (".py",))


def package_sha256() -> str:
    """Hash of the whole package with its page templates: `smartgrid run` repeats a month when it changes."""
    return _sha256(Path(smartgrid_pipeline.__file__).parent, (".py", ".j2"))


@lru_cache(maxsize=2)
def _sha256(folder: Path, suffixes: tuple[str, ...]) -> str:
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.suffix in suffixes):
        digest.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()
