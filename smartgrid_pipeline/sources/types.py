"""The result of reading a source: one meter's readings and their fingerprint."""

import hashlib
from dataclasses import dataclass

import numpy as np
import pandas as pd

from smartgrid_pipeline.core.schema import CHANNELS, Meter


@dataclass(frozen=True)
class DataFingerprint:
    """SHA-256, size and span of a source's readings: equal fingerprints are equal readings."""

    sha256: str
    rows: int
    first: str
    last: str
    location: str
    channels: tuple[str, ...]

    @property
    def span(self) -> str:
        """First and last time, as a part of a sentence."""
        return f"runs from {self.first} to {self.last}"


@dataclass(frozen=True)
class Readings:
    """One meter's readings as recorded: rows in their order with repeats kept, channels in canonical units.

    ``frame`` is indexed by INTERVAL_START (civil clock, naive); ``notes`` list the assumptions made, as
    sentences.
    """

    frame: pd.DataFrame
    meter: Meter
    fingerprint: DataFingerprint
    notes: tuple[str, ...] = ()


def fingerprint_of(frame: pd.DataFrame, location: str, sha256: str | None = None) -> DataFingerprint:
    """The fingerprint of a readings frame; ``sha256`` replaces the hash of its times and
    channels if given.
    """
    channels = tuple(channel for channel in CHANNELS if channel in frame)
    if sha256 is None:
        digest = hashlib.sha256()
        digest.update(frame.index.to_numpy().astype("datetime64[s]").tobytes())
        for channel in channels:
            digest.update(channel.encode())
            digest.update(np.ascontiguousarray(frame[channel].to_numpy(np.float64)).tobytes())
        sha256 = digest.hexdigest()
    return DataFingerprint(
        sha256, len(frame), str(frame.index.min()), str(frame.index.max()), location, channels
    )
