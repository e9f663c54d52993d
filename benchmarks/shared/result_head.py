"""The common head of result files: when, from which code, on what machine, at what cost."""

import json
import os
import resource
import subprocess
import time
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]


def head(command: str, seeds: list[int], began: float, task_facts: list[dict[str, Any]]) -> dict[str, Any]:
    """The head of a run that began at ``began`` (monotonic), with the costs its tasks noted in ``fit`` and
    ``forecast``: CPU seconds count them once, whether they ran now or were kept from before.
    """
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    parts = [facts[part] for facts in task_facts for part in ("fit", "forecast") if part in facts]
    usage = resource.getrusage(resource.RUSAGE_SELF)
    own = time.process_time()
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit.stdout.strip(),
        "lock_sha256": sha256((ROOT / "requirements.lock").read_bytes()).hexdigest(),
        "cores": os.cpu_count(),
        "seeds": seeds,
        "wall_seconds": time.monotonic() - began,
        "cpu_seconds": own + sum(part["cpu_seconds"] for part in parts),
        "peak_memory_mb": max([usage.ru_maxrss / 1024, *(part["peak_memory_mb"] for part in parts)]),
        "command": command,
    }


def compact(result: dict[str, Any], open_levels: int = 4) -> str:
    """JSON for people and diffs: one line per entry down to a level, everything below it on that line."""
    return _lines(_rounded(result), open_levels, "") + "\n"


def _lines(value: Any, levels: int, margin: str) -> str:
    inner = margin + " "
    if levels and isinstance(value, dict) and value:
        rows = [f"{inner}{json.dumps(key)}: {_lines(each, levels - 1, inner)}" for key, each in value.items()]
        return "{\n" + ",\n".join(rows) + f"\n{margin}}}"
    if levels and isinstance(value, list) and value and isinstance(value[0], dict):
        rows = [inner + json.dumps(each, ensure_ascii=False) for each in value]
        return "[\n" + ",\n".join(rows) + f"\n{margin}]"
    return json.dumps(value, ensure_ascii=False)


def _rounded(value: Any) -> Any:
    """The same with five digits after the point (more is noise); NaN becomes null."""
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(each) for each in value]
    if isinstance(value, float | np.floating):
        return round(float(value), 5) if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value
