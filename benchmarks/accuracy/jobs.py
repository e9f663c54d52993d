"""One model with one seed: fitted once, forecast over the whole test, kept on disk; many side by side."""

import json
import os
import resource
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, replace
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.accuracy.protocol import Protocol, rolling
from benchmarks.shared import fingerprint
from benchmarks.shared.uci import code_fingerprint, uci_history
from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.forecasting import catalogue
from smartgrid_pipeline.core.forecasting.forecaster import FULL, TINY, Forecaster, TrainingBudget
from smartgrid_pipeline.core.schema import EXPERT_NAMES, MODEL_NAMES, REFERENCE_NAMES

MIXTURE = "mixture_of_experts"
NEURAL = (*EXPERT_NAMES, MIXTURE)
ALL_MODELS = (*REFERENCE_NAMES, *MODEL_NAMES)
ORDER = (*EXPERT_NAMES, "extra_trees", "random_forest", MIXTURE)
"""The longest first, so that two workers end together; the mixture waits for its experts."""


@dataclass(frozen=True)
class Job:
    """A model and seed under a protocol, with where its results are kept."""

    model: str
    seed: int
    year: int
    until: str | None
    cards: tuple[str, ...] | None
    cache: Path
    tiny: bool = False

    @property
    def budget(self) -> TrainingBudget:
        """One thread always: two workers share two cores."""
        base = TINY if self.tiny else FULL
        return TrainingBudget(base.max_steps, base.max_trees, base.max_rows, self.seed, 1)

    def protocol(self, history: History) -> Protocol:
        """The test."""
        until = np.datetime64(self.until, "m") if self.until else None
        return Protocol.of_year(self.year, history, until).only(list(self.cards) if self.cards else None)

    @property
    def code(self) -> str:
        """Hash of what fit and forecasts depend on: the model's code, the data set, the training budget."""
        module = type(catalogue.create(self.model, TINY)).__module__
        parts = (fingerprint.of_modules(module), code_fingerprint(), repr(self.budget))
        return sha256("|".join(parts).encode()).hexdigest()[:12]

    @property
    def folder(self) -> Path:
        """Where fit and forecasts are kept."""
        return self.cache / str(self.year) / f"{self.model}-seed{self.seed}-{self.code}"


def chosen(
    models: list[str], seeds: list[int], year: int, until: str | None, cards: list[str] | None,
    cache: Path, tiny: bool = False,
) -> list[Job]:  # fmt: skip
    """The jobs of some models: neural ones with every seed, others with the first."""
    wanted = [*models, *(EXPERT_NAMES if MIXTURE in models else ())]
    names = sorted(dict.fromkeys(wanted), key=lambda m: ORDER.index(m) if m in ORDER else len(ORDER))
    only = tuple(cards) if cards else None
    return [
        Job(name, seed, year, until, only, cache, tiny)
        for seed in seeds
        for name in names
        if name in NEURAL or seed == seeds[0]
    ]


# --- one job ---------------------------------------------------------------------------------------


def run(job: Job, history: History) -> dict[str, Any]:
    """Fit (or load) and forecast (or read); returns the job's facts."""
    protocol = job.protocol(history)
    job.folder.mkdir(parents=True, exist_ok=True)
    facts_path = job.folder / "fit.json"
    if not facts_path.exists():
        facts_path.write_text(json.dumps(_fit(job, history, protocol), indent=1))
    forecast_path = job.folder / f"forecasts-{protocol.key()}.json"
    if not forecast_path.exists():
        forecast_path.write_text(json.dumps(_forecast(job, history, protocol), indent=1))
    return json.loads(facts_path.read_text()) | json.loads(forecast_path.read_text())


def done(job: Job, history: History) -> dict[str, Any] | None:
    """The facts of a job that is finished already."""
    forecast_path = job.folder / f"forecasts-{job.protocol(history).key()}.json"
    if not forecast_path.exists():
        return None
    return json.loads((job.folder / "fit.json").read_text()) | json.loads(forecast_path.read_text())


def forecasts(job: Job, history: History) -> dict[str, pd.DataFrame]:
    """The kept forecasts of a finished job, by row of the table."""
    table = pd.read_parquet(job.folder / f"forecasts-{job.protocol(history).key()}.parquet")
    return {str(name): rows.drop(columns="model") for name, rows in table.groupby("model", sort=False)}


def load(job: Job) -> Forecaster:
    """The kept fit of a job."""
    return catalogue.loaders()[job.model](job.folder / "fitted")


def _fit(job: Job, history: History, protocol: Protocol) -> dict[str, Any]:
    folder = job.folder / "fitted"
    past, stopwatch = history.until(protocol.fit_before), _Stopwatch()
    split = protocol.split(past)
    forecaster = catalogue.create(job.model, job.budget)
    if job.model == MIXTURE:
        experts = [load(expert_job(job, name)) for name in EXPERT_NAMES]
        forecaster.fit(past, split, experts)  # type: ignore[call-arg]  # the mixture takes fitted experts
    else:
        forecaster.fit(past, split)
    stopwatch.stop()
    if folder.exists():  # left by a run that was stopped while it saved
        folder.rename(folder.with_name(f"unfinished-{time.time_ns()}"))
    folder.mkdir()
    forecaster.save(folder)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return {"fit": stopwatch.facts(), "parameters": forecaster.parameters(), "size_mb": size / 1e6}


def expert_job(job: Job, name: str) -> Job:
    """The job of one of the mixture's experts."""
    return replace(job, model=name)


def _forecast(job: Job, history: History, protocol: Protocol) -> dict[str, Any]:
    stopwatch = _Stopwatch()
    rows = rolling(load(job), history, protocol)
    stopwatch.stop()
    table = pd.concat([frame.assign(model=name) for name, frame in rows.items()], ignore_index=True)
    table.to_parquet(job.folder / f"forecasts-{protocol.key()}.parquet", index=False)
    return {"forecast": stopwatch.facts(), "rows": list(rows)}


class _Stopwatch:
    """CPU and wall seconds of a piece of work, and the process's memory at its end."""

    def __init__(self) -> None:
        self.wall, self.cpu = time.monotonic(), time.process_time()

    def stop(self) -> None:
        self.wall, self.cpu = time.monotonic() - self.wall, time.process_time() - self.cpu

    def facts(self) -> dict[str, float]:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return {"wall_seconds": self.wall, "cpu_seconds": self.cpu, "peak_memory_mb": peak}


# --- many jobs -------------------------------------------------------------------------------------


def run_all(jobs: list[Job], workers: int) -> Iterator[tuple[Job, dict[str, Any]]]:
    """Run what is not done yet, each job in a process of its own; yields jobs as they finish.

    A job that failed yields ``{"failed": why}``.
    """
    history = uci_history(jobs[0].cache)
    ready: list[Job] = []
    for job in jobs:
        facts = done(job, history)
        if facts is None:
            ready.append(job)
        else:
            yield job, facts
    if ready:
        yield from _run_missing(ready, workers)


def _run_missing(waiting: list[Job], workers: int) -> Iterator[tuple[Job, dict[str, Any]]]:
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    running: dict[Future[dict[str, Any]], Job] = {}
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), max_tasks_per_child=1)
    with pool:
        while waiting or running:
            for job in [t for t in waiting if _may_start(t, [*waiting, *running.values()])]:
                if len(running) < workers:
                    waiting.remove(job)
                    running[pool.submit(_run_alone, job)] = job
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                yield running.pop(future), _outcome(future)


def _outcome(future: Future[dict[str, Any]]) -> dict[str, Any]:
    """The facts of a job, or why it failed: one broken model does not cost the others their run."""
    error = future.exception()
    if error is None:
        return future.result()
    traceback.print_exception(error)
    return {"failed": f"{type(error).__name__}: {error}"}


def _may_start(job: Job, unfinished: list[Job]) -> bool:
    """A mixture starts when no expert of its seed is unfinished."""
    return job.model != MIXTURE or not any(
        other.model in EXPERT_NAMES and other.seed == job.seed for other in unfinished
    )


def _run_alone(job: Job) -> dict[str, Any]:
    return run(job, uci_history(job.cache))
