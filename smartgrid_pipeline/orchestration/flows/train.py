"""One candidate of one month: find its stored training or fit it, forecast the month, audit it, log it."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
import pandas as pd

from smartgrid_pipeline.core.features.feature_table import names as feature_names
from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.forecasting.forecaster import Forecaster, Split, TrainingBudget
from smartgrid_pipeline.core.schema import EXPERT_NAMES, DataError, RegistryError, Times, Verdict, leads_for
from smartgrid_pipeline.orchestration.flows.training_context import TrainingContext, month_times
from smartgrid_pipeline.orchestration.months import bounds, load_months
from smartgrid_pipeline.orchestration.resources import Resources
from smartgrid_pipeline.registry import Example

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from smartgrid_pipeline.registry import TrackedRun

EXAMPLE_DAYS = 9
"""Days of readings stored with a model as its input example."""

Fit = Callable[[History, Split], Forecaster]
"""Makes a fitted forecaster from the history before a month and its split into training and holdout."""


@dataclass(frozen=True)
class EvaluatedCandidate:
    """A candidate of a month: its training run, its forecasts of the month, its audits.

    ``forecasts`` has the columns of ``schema.FORECAST_COLUMNS``. ``reused`` is True when the training was
    found instead of made.
    """

    name: str
    run: "TrackedRun"
    forecasts: pd.DataFrame
    verdicts: tuple[Verdict, ...]
    reused: bool


def train_and_evaluate(
    resources: Resources, context: TrainingContext, name: str, fit: Fit, tags: Mapping[str, str]
) -> EvaluatedCandidate:
    """Find or make the candidate ``name`` of the month, forecast the month with it, audit and log it.

    A training with the same fingerprint is loaded instead of repeated, so a rerun gives the same bits.
    """
    from smartgrid_pipeline.core.evaluation.scoring import backtest

    registry, split = resources.registry, context.split
    fingerprint = context.fingerprint(name, resources.budget)
    found = registry.find_training(model=name, month=context.month, fingerprint=fingerprint)
    begun = time.process_time()
    # Every new month is a full fit. A monthly policy would decide here whether last month's model, loaded and
    # recalibrated, is enough.
    forecaster = registry.load(found.run_id) if found else fit(context.training_history, split)
    fit_seconds = time.process_time() - begun
    forecasts = backtest.forecast_tasks(forecaster, context.history, *month_times(context.month))
    verdicts = audit(forecaster, context, forecasts)
    if found:
        return EvaluatedCandidate(name, found, forecasts, verdicts, True)
    holdout = backtest.forecast_tasks(forecaster, context.training_history, split.train_end, split.end)
    run = registry.log_training(
        forecaster,
        model=name,
        month=context.month,
        fingerprint=fingerprint,
        data=context.training_data,
        example=Example(context.history.meter, _example_readings(resources, context)),
        metrics=metrics_by_card(forecasts)
        | {f"validation.{key}": value for key, value in metrics_by_card(holdout).items()},
        figures=_training_curves(forecaster),
        tables={"forecasts": forecasts},
        verdicts=verdicts,
        tags={
            **tags,
            "features": ",".join(feature_names(context.history.meter)),
            "fit_cpu_seconds": f"{fit_seconds:.1f}",
        },
    )
    return EvaluatedCandidate(name, run, forecasts, verdicts, False)


def audit(forecaster: Forecaster, context: TrainingContext, forecasts: pd.DataFrame) -> tuple[Verdict, ...]:
    """The two audits of a candidate: its forecasts are possible values, and use nothing after the origin."""
    from smartgrid_pipeline import quality
    from smartgrid_pipeline.core.evaluation.audits import leakage

    history, origins = context.history, audit_origins(context.month)
    return (
        quality.audit_forecasts(forecasts, history.meter, forecaster.name),
        leakage.audit_forecaster(forecaster, history, origins, leads_for(history.meter.working_minutes)),
    )


def audit_origins(month: str) -> Times:
    """Two origins (2,) of a month at 07:00: after one fifth and after three fifths of its days.

    An origin must be the end of an interval; the full hour is one for every meter.
    """
    start, end = month_times(month)
    days = (end - start).astype("timedelta64[D]") * np.array([1, 3]) // 5
    return start + days.astype("timedelta64[D]") + np.timedelta64(7 * 60, "m")


def evaluate_references(
    resources: Resources, context: TrainingContext, tags: Mapping[str, str]
) -> list[EvaluatedCandidate]:
    """Every simple reference (persistence, seasonal, analogues), tracked and audited like any candidate."""
    from smartgrid_pipeline.core.forecasting.baselines.naive import REFERENCES

    return [
        train_and_evaluate(resources, context, name, fit_by_name(name, resources.budget), tags)
        for name in REFERENCES
    ]


def join_forecasts(candidates: Sequence[EvaluatedCandidate]) -> pd.DataFrame:
    """Forecasts of several candidates in one table, with the extra column ``model``."""
    return pd.concat([each.forecasts.assign(model=each.name) for each in candidates], ignore_index=True)


def with_ablations(
    resources: Resources, context: TrainingContext, candidate: EvaluatedCandidate
) -> pd.DataFrame:
    """The mixture's forecasts beside those of its ablations (equal weights, best expert alone).

    One table with the extra column ``model``.
    """
    from smartgrid_pipeline.core.evaluation.scoring import backtest
    from smartgrid_pipeline.core.forecasting.mixture.mixture import MixtureOfExperts

    mixture = resources.registry.load(candidate.run.run_id)
    assert isinstance(mixture, MixtureOfExperts)
    times = month_times(context.month)
    tables = {candidate.name: candidate.forecasts} | {
        name: backtest.forecast_tasks(cast(Forecaster, ablation), context.history, *times)
        for name, ablation in mixture.ablations().items()
    }
    return pd.concat([table.assign(model=name) for name, table in tables.items()], ignore_index=True)


def fit_by_name(name: str, budget: TrainingBudget) -> Fit:
    """How to fit a model of the catalogue that needs nothing but the history."""

    def fit(history: History, split: Split) -> Forecaster:
        from smartgrid_pipeline.core.forecasting.catalogue import create

        forecaster = create(name, budget)
        forecaster.fit(history, split)
        return forecaster

    return fit


def fit_mixture(resources: Resources, context: TrainingContext) -> Fit:
    """How to fit the mixture: on the stored experts of the same month.

    The fit raises RegistryError when one of the experts has no finished training.
    """

    def fit(history: History, split: Split) -> Forecaster:
        from smartgrid_pipeline.core.forecasting.mixture.mixture import MixtureOfExperts

        experts = [find_training(resources, context, name) for name in EXPERT_NAMES]
        mixture = MixtureOfExperts(resources.budget)
        mixture.fit(history, split, [resources.registry.load(run.run_id) for run in experts])
        return mixture

    return fit


def find_training(resources: Resources, context: TrainingContext, name: str) -> "TrackedRun":
    """The finished training of a model on this month's data. Raises RegistryError when there is none."""
    run = resources.registry.find_training(
        model=name, month=context.month, fingerprint=context.fingerprint(name, resources.budget)
    )
    if run is None:
        raise RegistryError(
            f"No finished training of {name} for {context.month} on these readings and this code: "
            f"materialise {name} for that month first."
        )
    return run


def metrics_by_card(forecasts: pd.DataFrame) -> dict[str, float]:
    """Metrics of each forecast task as ``<card>.<metric>``; undefined ones are left out."""
    from smartgrid_pipeline.core.evaluation.scoring import metrics

    scored = forecasts[forecasts["observed_kw"].notna()]
    return {
        f"{card}.{key}": float(value)
        for card, frame in scored.groupby("card", sort=False)
        for key, value in metrics.score(frame).items()
        if np.isfinite(value)
    }


def _example_readings(resources: Resources, context: TrainingContext) -> pd.DataFrame:
    """The last published readings up to the month's first day: an input example for the logged model."""
    before = str(pd.Period(context.month, "M") - 1)
    frame = load_months(resources.settings.data_dir, "validated_readings", [before, context.month])
    if frame is None:
        raise DataError(f"validated_readings of {context.month} are missing; materialise them first.")
    start, _ = bounds(context.month)
    rows = EXAMPLE_DAYS * 1440 // context.history.meter.step_minutes
    return frame[frame.index < start + pd.Timedelta(days=1)].tail(rows)


def _training_curves(forecaster: Forecaster) -> "dict[str, Figure]":
    from smartgrid_pipeline.core.evaluation.report.plots import training_curves

    curves = forecaster.curves()
    return {} if curves.empty else {"training_curves": training_curves({forecaster.name: curves})}
