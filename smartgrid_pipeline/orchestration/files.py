"""Writing a file so that no reader ever finds a part of it."""

import os
from pathlib import Path


def write_atomically(path: Path, content: bytes) -> None:
    """Write beside the path, flush to disk, rename: a reader finds the old or the new file, never a part.

    Makes the folder where it is missing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
