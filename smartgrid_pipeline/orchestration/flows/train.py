"""One candidate of one month: find its tracked training or fit it, judge, audit and log it."""

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
import pandas as pd

from smartgrid_pipeline.core.features.feature_table import names as feature_names
from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.forecasting.forecaster import Forecaster, Split, TrainingBudget
from smartgrid_pipeline.core.forecasting.history import history_from_table
from smartgrid_pipeline.core.schema import (
    EXPERT_NAMES,
    OBSERVED_SHARE,
    DataError,
    Meter,
    RegistryError,
    Times,
    Verdict,
    leads_for,
)
from smartgrid_pipeline.orchestration.code_version import core_sha256
from smartgrid_pipeline.orchestration.io_manager import in_months, load_months, months_of
from smartgrid_pipeline.orchestration.partitions import bounds
from smartgrid_pipeline.orchestration.resources import Resources
from smartgrid_pipeline.registry import Example

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from smartgrid_pipeline.registry import TrackedRun, TrainingData

Fit = Callable[[History, Split], Forecaster]
"""Makes a fitted forecaster from a history cut before the judged month."""


@dataclass(frozen=True)
class EvaluatedCandidate:
    """A candidate of a month: its tracking run, its forecasts of the month, its metrics and verdicts."""

    name: str
    run: "TrackedRun"
    forecasts: pd.DataFrame
    verdicts: tuple[Verdict, ...]
    reused: bool


@dataclass(frozen=True)
class TrainingContext:
    """What a month's candidates share: the history to the month's end, its cut, and where the month lies.

    ``left_out`` are months inside the training window that were never published; their rows are missing.
    """

    month: str
    history: History
    split: Split
    data_sha256: str
    left_out: tuple[str, ...]

    @classmethod
    def of(cls, table: pd.DataFrame, resources: Resources, month: str) -> "TrainingContext":
        """From the feature table of the month and everything before.

        Months whose latest audit failed are left out, also where an earlier publication of them is on disk.
        Raises DataError when the past is too short, or when a month in it was never taken in.
        """
        start, end = month_times(month)
        stored = [str(each) for each in np.unique(months_of(table))]
        failed = [verdict.subject for verdict in resources.verdicts.failed_data(stored)]
        table = table[~in_months(table, failed)]
        history = history_from_table(_regular(table, resources.meter), resources.meter).until(end)
        split = Split.before(start, history.until(start))
        window = np.arange(split.start.astype("datetime64[M]"), np.datetime64(month, "M"))
        left_out = tuple(str(each) for each in np.setdiff1d(window, months_of(table)))
        _require_audited(resources, left_out, month)
        return cls(month, history, split, _hash(history), left_out)

    @property
    def past(self) -> History:
        """Everything before the month: all that training may see."""
        return self.history.until(self.split.end)

    def fingerprint(self, name: str, budget: TrainingBudget) -> str:
        """Identity of a training: same data, code, budget and model give the same bits, hence this."""
        parts = (name, self.month, self.data_sha256, core_sha256(), repr(budget), repr(self.split))
        return hashlib.sha256("|".join(parts).encode()).hexdigest()[:32]

    @property
    def identity(self) -> "TrainingData":
        """Which data exactly a candidate of this occasion learned from."""
        from smartgrid_pipeline.registry import TrainingData

        rows = len(self.past.starts)
        return TrainingData(self.data_sha256, rows, self.split.start, self.split.end, self.left_out)


def month_times(month: str) -> tuple[np.datetime64, np.datetime64]:
    """First minute of a month and of the next, civil clock."""
    start, end = bounds(month)
    return np.datetime64(start, "m"), np.datetime64(end, "m")


def train_and_judge(
    resources: Resources, occasion: TrainingContext, name: str, fit: Fit, tags: dict[str, str]
) -> EvaluatedCandidate:
    """Find or make the candidate ``name`` of the month, then judge, audit and log it.

    A training with the same fingerprint is loaded, not repeated, so a rerun changes nothing.
    """
    from smartgrid_pipeline.core.evaluation.scoring import backtest

    registry = resources.registry
    fingerprint = occasion.fingerprint(name, resources.budget)
    found = registry.find_training(model=name, month=occasion.month, fingerprint=fingerprint)
    begun = time.process_time()
    forecaster = registry.load(found.run_id) if found else fit(occasion.past, occasion.split)
    fit_seconds = time.process_time() - begun
    forecasts = backtest.forecast_tasks(forecaster, occasion.history, *month_times(occasion.month))
    verdicts = audit(forecaster, occasion, forecasts)
    if found:
        return EvaluatedCandidate(name, found, forecasts, verdicts, True)
    before = backtest.forecast_tasks(forecaster, occasion.past, occasion.split.train_end, occasion.split.end)
    run = registry.log_training(
        forecaster,
        model=name,
        month=occasion.month,
        fingerprint=fingerprint,
        data=occasion.identity,
        example=Example(occasion.history.meter, _recent_readings(resources, occasion)),
        metrics=flat_metrics(forecasts) | {f"validation.{k}": v for k, v in flat_metrics(before).items()},
        figures=_figures(forecaster),
        tables={"forecasts": forecasts},
        verdicts=verdicts,
        tags={
            **tags,
            "features": ",".join(feature_names(occasion.history.meter)),
            "fit_cpu_seconds": f"{fit_seconds:.1f}",
        },
    )
    return EvaluatedCandidate(name, run, forecasts, verdicts, False)


def audit(forecaster: Forecaster, occasion: TrainingContext, forecasts: pd.DataFrame) -> tuple[Verdict, ...]:
    """The verdicts a candidate needs: its forecasts are possible, and it never sees the future."""
    from smartgrid_pipeline import quality
    from smartgrid_pipeline.core.evaluation.audits import leakage

    history, origins = occasion.history, audit_origins(occasion.month)
    return (
        quality.audit_forecasts(forecasts, history.meter, forecaster.name),
        leakage.audit_forecaster(forecaster, history, origins, leads_for(history.meter.working_minutes)),
    )


def audit_origins(month: str) -> Times:
    """Two origins of a month, a fifth and three fifths into it, at 7 o'clock: an origin is the end of an
    interval, whatever the meter's step.
    """
    start, end = month_times(month)
    days = (end - start).astype("timedelta64[D]") * np.array([1, 3]) // 5
    return start + days.astype("timedelta64[D]") + np.timedelta64(7 * 60, "m")


def judge_references(
    resources: Resources, occasion: TrainingContext, tags: dict[str, str]
) -> list[EvaluatedCandidate]:
    """Every simple reference, tracked and judged like any other candidate."""
    from smartgrid_pipeline.core.forecasting.baselines.naive import REFERENCES

    return [
        train_and_judge(resources, occasion, name, fit_named(name, resources.budget), tags)
        for name in REFERENCES
    ]


def joined(judged: list[EvaluatedCandidate]) -> pd.DataFrame:
    """Forecasts of several candidates in one table, with the column ``model``."""
    return pd.concat([each.forecasts.assign(model=each.name) for each in judged], ignore_index=True)


def with_fixed_weights(
    resources: Resources, occasion: TrainingContext, judged: EvaluatedCandidate
) -> pd.DataFrame:
    """The mixture's forecasts beside those of its experts under equal weights, and of the best one alone."""
    from smartgrid_pipeline.core.evaluation.scoring import backtest
    from smartgrid_pipeline.core.forecasting.mixture.mixture import MixtureOfExperts

    mixture = resources.registry.load(judged.run.run_id)
    assert isinstance(mixture, MixtureOfExperts)
    when = month_times(occasion.month)
    tables = {judged.name: judged.forecasts} | {
        name: backtest.forecast_tasks(cast(Forecaster, variant), occasion.history, *when)
        for name, variant in mixture.ablations().items()
    }
    return pd.concat([table.assign(model=name) for name, table in tables.items()], ignore_index=True)


def fit_named(name: str, budget: TrainingBudget) -> Fit:
    """Fitting of a model that needs nothing but a history."""

    def fit(history: History, split: Split) -> Forecaster:
        from smartgrid_pipeline.core.forecasting.catalogue import create

        forecaster = create(name, budget)
        forecaster.fit(history, split)
        return forecaster

    return fit


def fit_mixture(resources: Resources, occasion: TrainingContext) -> Fit:
    """Fitting of the mixture on the experts of the same month, found by their tags.

    Raises RegistryError when one of them has no finished training.
    """

    def fit(history: History, split: Split) -> Forecaster:
        from smartgrid_pipeline.core.forecasting.mixture.mixture import MixtureOfExperts

        experts = [find_trained(resources, occasion, name) for name in EXPERT_NAMES]
        mixture = MixtureOfExperts(resources.budget)
        mixture.fit(history, split, [resources.registry.load(run.run_id) for run in experts])
        return mixture

    return fit


def find_trained(resources: Resources, occasion: TrainingContext, name: str) -> "TrackedRun":
    """The finished training of a model on this occasion. Raises RegistryError when there is none."""
    run = resources.registry.find_training(
        model=name, month=occasion.month, fingerprint=occasion.fingerprint(name, resources.budget)
    )
    if run is None:
        raise RegistryError(
            f"No finished training of {name} for {occasion.month} on these readings and this code: "
            f"materialise {name} for that month first."
        )
    return run


def flat_metrics(forecasts: pd.DataFrame) -> dict[str, float]:
    """Metrics of every card as ``<card>.<metric>``, for the tracking run; undefined ones are left out."""
    from smartgrid_pipeline.core.evaluation.scoring import metrics

    scored = forecasts[forecasts["observed_kw"].notna()]
    return {
        f"{card}.{key}": float(value)
        for card, frame in scored.groupby("card", sort=False)
        for key, value in metrics.score(frame).items()
        if np.isfinite(value)
    }


def _hash(history: History) -> str:
    digest = hashlib.sha256(repr(history.meter).encode())
    arrays = [history.starts, history.power_kw, history.observed_share, history.features]
    for array in [*arrays, *(history.within[channel] for channel in sorted(history.within))]:
        digest.update(np.ascontiguousarray(array).view(np.uint8).data)
    return digest.hexdigest()


def _require_audited(resources: Resources, left_out: Sequence[str], month: str) -> None:
    """A month may be missing because its audit failed, not because nobody took it in."""
    audited = {verdict.subject for verdict in resources.verdicts.failed_data(left_out)}
    forgotten = [each for each in left_out if each not in audited]
    if forgotten:
        raise DataError(
            f"{len(forgotten)} months before {month} were never taken in ({', '.join(forgotten[:4])}"
            f"{', …' if len(forgotten) > 4 else ''}). `smartgrid run --month {month}` takes them in first; "
            "in the Dagster UI, launch the job take_in over them."
        )


def _regular(table: pd.DataFrame, meter: Meter) -> pd.DataFrame:
    """The table on its full grid: rows of months that were never published come back as unobserved."""
    whole = table.sort_index().asfreq(f"{meter.working_minutes}min")
    whole[OBSERVED_SHARE] = whole[OBSERVED_SHARE].fillna(0.0)
    return whole


def _recent_readings(resources: Resources, occasion: TrainingContext) -> pd.DataFrame:
    """The last published readings before the month: an input example for the logged model."""
    before = str(pd.Period(occasion.month, "M") - 1)
    frame = load_months(resources.settings.data_dir, "validated_readings", [before, occasion.month])
    if frame is None:
        raise DataError(f"validated_readings of {occasion.month} are missing; materialise them first.")
    start, _ = bounds(occasion.month)
    return frame[frame.index < start + pd.Timedelta(days=1)].tail(
        9 * 1440 // occasion.history.meter.step_minutes
    )


def _figures(forecaster: Forecaster) -> "dict[str, Figure]":
    from smartgrid_pipeline.core.evaluation.report.plots import training_curves

    curves = forecaster.curves()
    return {} if curves.empty else {"training_curves": training_curves({forecaster.name: curves})}
