"""The common head of result files: when, from which code, on what machine, at what cost."""

import os
import resource
import subprocess
import time
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


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
