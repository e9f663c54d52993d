"""Digests of two states of the code side by side: what differs, is missing, is new, or was announced."""

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

Digests = dict[str, str]

ROOT = Path(__file__).resolve().parents[2]

LIBRARIES = ("numpy", "pandas", "scipy", "scikit-learn", "torch", "lightgbm")
"""What besides code and machine decides on bits."""

LOADED = {"/loaded": "/forecast", "/detector_loaded/": "/detector/"}
"""Part of a key of something loaded → the same part for what it was saved from."""


@dataclass(frozen=True)
class Difference:
    """One key on which two states do not agree; ``allowed`` when it was announced."""

    key: str
    what: str
    allowed: bool

    @property
    def line(self) -> str:
        """The difference as people read it."""
        return f"{'allowed: ' if self.allowed else ''}{self.what:<12} {self.key}"

    @property
    def fails(self) -> bool:
        """New keys are fine; everything else must be announced."""
        return self.what != "new" and not self.allowed


def compare(base: Digests, here: Digests, allow: Sequence[str] = ()) -> list[Difference]:
    """Every key that differs, is missing here or is new, and every loaded model that is not the saved one."""
    found = {key: "differs" for key in base if key in here and base[key] != here[key]}
    found |= {key: "missing" for key in base if key not in here}
    found |= {key: "new" for key in here if key not in base}
    found |= dict.fromkeys(unlike_saved(here), "unlike saved")
    return [Difference(key, what, key.startswith(tuple(allow))) for key, what in sorted(found.items())]


def unlike_saved(digests: Digests) -> list[str]:
    """Keys of loaded models that do not tell what they told before they were saved."""
    pairs = [
        (key, key.replace(loaded, saved))
        for key in digests
        for loaded, saved in LOADED.items()
        if loaded in key
    ]
    return [loaded for loaded, saved in pairs if digests.get(saved) != digests[loaded]]


# --- the two states ---------------------------------------------------------------------------------


def of_commit(base: str, real: bool) -> Digests:
    """The digests of a commit, by its own copy of this package; kept, since they cannot change."""
    commit = _git("rev-parse", "--verify", f"{base}^{{commit}}")
    kept = _kept(commit, real)
    if kept.exists():
        return json.loads(kept.read_text())
    folder = Path(tempfile.mkdtemp(prefix="frozen-base-"))
    checkout = folder / "checkout"
    try:
        _git("worktree", "add", "--quiet", "--detach", str(checkout), commit)
        if not (checkout / "benchmarks" / "frozen").exists():
            raise SystemExit(f"{base} has no benchmarks/frozen yet: choose a later commit to compare with.")
        digests = _digest_in(checkout, real)
    finally:
        subprocess.run(
            ["git", "worktree", "remove", "--force", str(checkout)],
            cwd=ROOT, capture_output=True, check=False,
        )  # fmt: skip
        shutil.rmtree(folder, ignore_errors=True)
    _keep(digests, kept)
    return digests


def of_working_tree(real: bool) -> Digests:
    """The digests of the files as they are; kept for HEAD when nothing differs from it."""
    before = _git("rev-parse", "HEAD"), _git("status", "--porcelain")
    digests = _digest_in(ROOT, real)
    commit, changes = _git("rev-parse", "HEAD"), _git("status", "--porcelain")
    if (commit, changes) == before and not changes and not _kept(commit, real).exists():
        _keep(digests, _kept(commit, real))
    return digests


def _digest_in(checkout: Path, real: bool) -> Digests:
    """Run ``digest`` in a checkout, with its own code and one thread."""
    with tempfile.TemporaryDirectory(prefix="frozen-") as folder:
        out = Path(folder) / "digests.json"
        command = [sys.executable, "-m", "benchmarks.frozen", "digest", "--out", str(out)]
        surroundings = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(checkout)}
        done = subprocess.run(
            [*command, *(["--house"] if real else [])], cwd=checkout, env=surroundings, check=False
        )
        if done.returncode:
            raise SystemExit(f"No digests of {checkout}: the run ended with exit code {done.returncode}.")
        return json.loads(out.read_text())


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"git {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout.strip()


def _kept(commit: str, real: bool) -> Path:
    """Where a commit's digests are kept: beside the main checkout's code, for all of its worktrees."""
    main = Path(ROOT, _git("rev-parse", "--git-common-dir")).resolve().parent
    parts = [
        platform.machine(),
        platform.python_version(),
        *(f"{name} {version(name)}" for name in LIBRARIES),
    ]
    surroundings = sha256("|".join(parts).encode()).hexdigest()[:12]
    return main / ".frozen" / f"{commit}-{'house' if real else 'toy'}-{surroundings}.json"


def _keep(digests: Digests, path: Path) -> None:
    """Write whole or not at all."""
    path.parent.mkdir(exist_ok=True)
    half = path.with_name(f"half-{os.getpid()}-{path.name}")
    half.write_text(json.dumps(digests, indent=1))
    half.rename(path)
