"""One candidate of one month: find its tracked training or fit it, judge it on the month, audit it, log it."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

import smartgrid_pipeline.core
from smartgrid_pipeline.core.models.forecaster import Budget, Forecaster, History, Split
from smartgrid_pipeline.core.schema import Verdict
from smartgrid_pipeline.orchestration.partitions import bounds
from smartgrid_pipeline.orchestration.resources import Workbench

Fit = Callable[[History, Split], Forecaster]
"""Makes a fitted forecaster from a history cut before the judged month."""


@dataclass(frozen=True)
class Judged:
    """A candidate of a month: its tracking run, its forecasts of the month, its metrics and verdicts."""

    name: str
    run_id: str
    forecasts: pd.DataFrame
    metrics: dict[str, float]
    verdicts: tuple[Verdict, ...]
    reused: bool


@dataclass(frozen=True)
class Occasion:
    """What a month's candidates share: the history to the month's end, its cut, and where the month lies."""

    month: str
    history: History
    split: Split
    data_sha256: str

    @classmethod
    def of(cls, table: pd.DataFrame, workbench: Workbench, month: str) -> "Occasion":
        """From the feature table of the month and everything before. Raises DataError when too short."""
        start, end = (np.datetime64(bound, "m") for bound in bounds(month))
        history = History.from_table(table, workbench.meter).until(end)
        return cls(month, history, Split.before(start, history.until(start)), _hash(history))

    @property
    def past(self) -> History:
        """Everything before the month: all that training may see."""
        return self.history.until(self.split.end)

    @property
    def training_months(self) -> list[str]:
        """The civil months the training window touches."""
        first, last = str(self.split.start)[:7], self.split.end - np.timedelta64(1, "m")
        return [str(month) for month in pd.period_range(first, str(last)[:7], freq="M")]

    def fingerprint(self, name: str, budget: Budget) -> str:
        """Identity of a training: same data, code, budget and model give the same bits, hence this."""
        parts = (name, self.month, self.data_sha256, code_sha256(), repr(budget), repr(self.split))
        return hashlib.sha256("|".join(parts).encode()).hexdigest()[:32]


def train_and_judge(
    workbench: Workbench, occasion: Occasion, name: str, fit: Fit, tags: dict[str, str]
) -> Judged:
    """Find or make the candidate ``name`` of the month, then judge, audit and log it.

    A training with the same fingerprint is loaded, not repeated, so a rerun changes nothing.
    """
    from smartgrid_pipeline import quality
    from smartgrid_pipeline.core.evaluation import backtest, leakage

    registry = workbench.registry
    fingerprint = occasion.fingerprint(name, workbench.budget)
    found = registry.find_training(model=name, month=occasion.month, fingerprint=fingerprint)
    forecaster = registry.load(found.run_id) if found else fit(occasion.past, occasion.split)
    start, end = (np.datetime64(bound, "m") for bound in bounds(occasion.month))
    forecasts = backtest.forecast_cards(forecaster, occasion.history, start, end)
    if found:
        return Judged(name, found.run_id, forecasts, found.metrics, tuple(registry.evidence(found.run_id)), True)
    subject = f"{name} {occasion.month}"
    verdicts = (
        quality.audit_forecasts(forecasts, occasion.history.meter, subject),
        leakage.audit_forecaster(forecaster, occasion.history, subject),
    )
    before = backtest.forecast_cards(forecaster, occasion.past, occasion.split.fit_end, occasion.split.end)
    metrics = flat_metrics(forecasts) | {f"validation.{k}": v for k, v in flat_metrics(before).items()}
    run = registry.log_training(
        forecaster,
        model=name,
        month=occasion.month,
        fingerprint=fingerprint,
        data=_identity(occasion),
        metrics=metrics,
        figures=_figures(forecaster),
        verdicts=verdicts,
        tags=tags,
        example=occasion.past,
    )
    return Judged(name, run.run_id, forecasts, metrics, verdicts, False)


def flat_metrics(forecasts: pd.DataFrame) -> dict[str, float]:
    """Metrics of every card as ``<card>.<metric>``, for the tracking run."""
    from smartgrid_pipeline.core.evaluation import metrics

    return {
        f"{card}.{key}": float(value)
        for card, values in metrics.score(forecasts).items()
        for key, value in values.items()
        if np.isfinite(value)
    }


@lru_cache(maxsize=1)
def code_sha256() -> str:
    """Hash of the package's core: a change in any line of it makes every training a new one."""
    digest = hashlib.sha256()
    folder = Path(smartgrid_pipeline.core.__file__).parent
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


def _hash(history: History) -> str:
    digest = hashlib.sha256(repr(history.meter).encode())
    for array in (history.starts, history.power_kw, history.observed_share, history.features):
        digest.update(np.ascontiguousarray(array).data)
    for channel in sorted(history.within):
        digest.update(np.ascontiguousarray(history.within[channel]).data)
    return digest.hexdigest()


def _identity(occasion: Occasion) -> dict[str, str | int]:
    return {
        "sha256": occasion.data_sha256,
        "rows": len(occasion.history.starts),
        "meter": occasion.history.meter.meter_id,
        "train_start": str(occasion.split.start),
        "fit_end": str(occasion.split.fit_end),
        "train_end": str(occasion.split.end),
        "judged_month": occasion.month,
    }


def _figures(forecaster: Forecaster) -> dict:
    from smartgrid_pipeline.core.evaluation import figures

    curves = forecaster.curves()
    return {} if curves.empty else {"training_curves": figures.training_curves(curves, forecaster.name)}
