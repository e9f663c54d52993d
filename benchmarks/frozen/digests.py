"""SHA-256 of arrays, tables and detections; one flat dictionary of them for a checkout."""

import sys
import time
from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.frozen import subjects

Digests = dict[str, str]


def of_arrays(*arrays: npt.NDArray[Any]) -> str:
    """Hash of types, shapes and bytes, in this order."""
    digest = sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def of_words(words: Iterable[Any]) -> str:
    """Hash of values as text, in this order."""
    return sha256("\0".join(str(word) for word in words).encode()).hexdigest()


def of_table(table: pd.DataFrame) -> str:
    """Hash of the index and all columns by their values, in this order; headers do not count."""
    columns = [table.index.to_series(), *(table.iloc[:, j] for j in range(table.shape[1]))]
    return of_words(_of_column(column) for column in columns)


def _of_column(column: pd.Series) -> str:
    if pd.api.types.is_datetime64_any_dtype(column):
        return of_arrays(column.to_numpy("datetime64[ns]").view(np.int64))
    if pd.api.types.is_numeric_dtype(column):
        return of_arrays(column.to_numpy())
    return of_words(column)


def of_events(events: pd.DataFrame) -> Digests:
    """Times, numbers and texts of an events table each on their own; headers do not count.

    ``grouping`` is what the texts say without their words: which events have the same text in a column.
    """
    columns = [events.iloc[:, j] for j in range(events.shape[1])]
    times = [c for c in columns if pd.api.types.is_datetime64_any_dtype(c)]
    numbers = [c for c in columns if pd.api.types.is_numeric_dtype(c)]
    texts = [c for c in columns if not any(c is other for other in (*times, *numbers))]
    codes = [pd.factorize(column)[0].astype(np.int64) for column in texts]
    return {
        "times": of_words(_of_column(column) for column in times),
        "numbers": of_words(_of_column(column) for column in numbers),
        "texts": of_words(_of_column(column) for column in texts),
        "grouping": of_arrays(*codes),
    }


def of_judged(judged: subjects.EvaluatedCandidate) -> Digests:
    """A detection; its series are sorted by their hash, so that neither names nor order count."""
    return {
        "scores": of_words(sorted(of_arrays(series) for series in judged.scores)),
        "fused_score": of_arrays(judged.fused),
        "alarm": of_arrays(judged.alarm),
        "thresholds": of_arrays(np.sort(np.array(judged.thresholds, np.float64))),
        **{f"events/{part}": digest for part, digest in of_events(judged.events).items()},
    }


def of_subject(subject: subjects.Subject) -> Iterator[tuple[str, str]]:
    """Keys and digests of everything frozen about one meter."""
    table = subjects.feature_table(subject)
    yield "features", of_table(table)
    for word, arrays in subjects.forecasts(subject, table):
        yield word, of_arrays(*arrays)
    for word, judged in subjects.judged(subject):
        yield from ((f"{word}/{part}", digest) for part, digest in of_judged(judged).items())


def collect(real: bool) -> Digests:
    """All digests of this checkout: of the made-up meters, or of the real house. CPU seconds go to stderr."""
    found: Digests = {}
    for subject in subjects.real_house() if real else subjects.toys():
        began = time.process_time()
        for word, digest in of_subject(subject):
            found[f"{subject.name}/{word}"] = digest
            print(f"{time.process_time() - began:7.1f} s  {subject.name}/{word}", file=sys.stderr, flush=True)
            began = time.process_time()
    print(f"{time.process_time():7.1f} s CPU in all, {len(found)} digests", file=sys.stderr, flush=True)
    return found
