"""The only file here that knows the package: its names on the right, words that never change on the left.

What it hands out is plain: arrays and tables under words, ready to be digested.
"""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

import smartgrid_pipeline
from benchmarks.frozen import toy
from smartgrid_pipeline.core import meter_data
from smartgrid_pipeline.core.anomaly.detector import AnomalyDetector
from smartgrid_pipeline.core.features import feature_table as features
from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.forecasting import catalogue, fallback
from smartgrid_pipeline.core.forecasting.analog_ensemble.model import AnalogEnsemble
from smartgrid_pipeline.core.forecasting.forecaster import Forecast, Forecaster, Split, TrainingBudget
from smartgrid_pipeline.core.forecasting.history_frames import build_feature_table, history_from_table
from smartgrid_pipeline.core.forecasting.mixture.mixture import MixtureOfExperts
from smartgrid_pipeline.core.schema import (
    ACTIVE_POWER,
    CHANNELS,
    INTERVAL_START,
    INTERVAL_START_UTC,
    Meter,
    leads_for,
)
from smartgrid_pipeline.sources import SourceSpec, read

PACKAGE_FILE = Path(smartgrid_pipeline.__file__)

ORIGINS = 200

FEWER = slice(None, None, 5)
"""Of these where every origin costs a fit of its own, or where little is new."""

MODELS = {
    "persistence": "persistence",
    "seasonal_day": "seasonal_day",
    "seasonal_week": "seasonal_week",
    "analogue_7d": "analogue_7d",
    "analogue_28d": "analogue_28d",
    "lightgbm": "lightgbm",
    "ridge": "ridge",
    "random_forest": "random_forest",
    "extra_trees": "extra_trees",
    "gru": "gru",
    "cnn_lstm": "cnn_lstm",
    "transformer": "transformer",
    "attention": "attention",
}
"""Word in the keys → name in the catalogue, of all models but the mixture."""

EXPERTS = ("gru", "cnn_lstm", "transformer", "attention")
MIXTURE = "mixture_of_experts"
MIXTURE_ROWS = {
    "mixture_of_experts": MIXTURE,
    "equal_weights": "equal_weights",
    "best_expert": "best_expert",
}
"""Word in the keys → row that a mixture tells."""

CHAMPION = "lightgbm"
"""The fallback chain's champion where it has nothing to do but to ask it."""

Named = Iterator[tuple[str, tuple[npt.NDArray[Any], ...]]]
"""Words and the arrays that are digested together under them."""


@dataclass(frozen=True)
class Subject:
    """A meter's recorded readings, and which parts of them teach and are asked about.

    Forecasters learn before ``train_before`` and are asked in [``asked_from``, ``asked_until``); the detector
    learns before ``judged_from``, sets its thresholds from ``calibrate_from`` on and judges until
    ``judged_until``.
    """

    name: str
    readings: pd.DataFrame
    meter: Meter
    budget: TrainingBudget
    train_before: str
    asked_from: str
    asked_until: str
    calibrate_from: str
    judged_from: str
    judged_until: str
    self_taught: bool = False


def toys() -> Iterator[Subject]:
    """The two made-up meters."""
    budget = TrainingBudget(max_steps=4, max_trees=6, max_rows=2_500)
    meter = Meter("toy-house", "Europe/Paris", 1, CHANNELS, "FR", "C")
    yield Subject("house", _readings(toy.house(), meter), meter, budget, "2010-03-25", "2010-03-25",
                  "2010-04-12", "2010-02-21", "2010-03-13", "2010-04-12")  # fmt: skip
    meter = Meter("toy-home", "Australia/Sydney", 30)
    yield Subject("home", _readings(toy.home(), meter), meter, budget, "2010-10-01", "2010-10-01",
                  "2010-10-29", "2010-08-20", "2010-09-29", "2010-10-29", self_taught=True)  # fmt: skip


def _readings(raw: toy.Raw, meter: Meter) -> pd.DataFrame:
    """Recorded readings on the meter's grid."""
    channels = dict(zip(CHANNELS, raw.channels, strict=False))
    frame = pd.DataFrame(channels, index=raw.starts.rename(INTERVAL_START))
    frame.insert(0, INTERVAL_START_UTC, meter_data.civil_to_utc(frame.index, meter.timezone))
    return meter_data.to_grid(frame, meter)


def real_house() -> Iterator[Subject]:
    """The UCI house: forecasters learn as in the benchmark of 2010, the detector from three years."""
    found = read(SourceSpec("uci"))
    yield Subject("uci", meter_data.to_grid(found.frame, found.meter), found.meter,
                  TrainingBudget(max_steps=20, max_trees=20, max_rows=30_000), "2009-11-26", "2010-09-01",
                  "2010-10-01", "2009-01-01", "2010-01-01", "2010-10-01")  # fmt: skip


# --- features and forecasts -------------------------------------------------------------------------


def feature_table(subject: Subject) -> pd.DataFrame:
    """The feature table as the pipeline stores it."""
    clean = meter_data.mask(subject.readings, meter_data.defect_types(subject.readings))
    return build_feature_table(meter_data.resample(clean, subject.meter), subject.meter)


def forecasts(subject: Subject, table: pd.DataFrame) -> Named:
    """Every model's forecasts from the same origins, before and after it was saved and loaded."""
    unknown = set(catalogue.MAKERS) ^ {*MODELS.values(), MIXTURE}
    if unknown:
        raise SystemExit(f"benchmarks/frozen/subjects.py must name the models {', '.join(sorted(unknown))}.")
    asked = _Asked(subject, history_from_table(table, subject.meter))
    fitted: dict[str, Forecaster] = {}
    for word, name in MODELS.items():
        fitted[word] = catalogue.create(name, subject.budget)
        fitted[word].fit(asked.history, asked.split)
        yield from asked.told(word, fitted[word], catalogue.LOADERS[name])
    mixture = MixtureOfExperts(subject.budget)
    mixture.fit(asked.history, asked.split, [fitted[word] for word in EXPERTS])
    rows = mixture.predict_all(asked.history, asked.origins, asked.leads)
    for word, name in MIXTURE_ROWS.items():
        yield f"{word}/forecast", _arrays(rows[name])
    yield "mixture_of_experts/loaded", asked.of(_loaded(mixture, MixtureOfExperts.load))
    later = Split.before(np.datetime64(subject.asked_until), asked.history)
    yield "mixture_recalibrated/forecast", asked.of(mixture.recalibrated(asked.history, later), FEWER)
    learned = AnalogEnsemble(subject.budget)
    learned.fit(asked.history, asked.split)
    yield from asked.told("learned_analogue", learned, AnalogEnsemble.load)
    yield from _fallback(asked, fitted[CHAMPION], mixture)


class _Asked:
    """One history, the split that models are fitted on and the origins that they are asked from."""

    def __init__(self, subject: Subject, history: History) -> None:
        self.history = history.until(np.datetime64(subject.asked_until))
        self.meter = subject.meter
        self.split = Split.before(np.datetime64(subject.train_before), self.history)
        begin, end = (np.datetime64(each, "m") for each in (subject.asked_from, subject.asked_until))
        every = int((end - begin) / np.timedelta64(1, "m")) // ORIGINS
        every -= every % subject.meter.working_minutes
        self.origins = begin + np.arange(ORIGINS) * np.timedelta64(every, "m")
        self.leads = leads_for(subject.meter.working_minutes)

    def of(self, model: Any, some: slice = slice(None)) -> tuple[npt.NDArray[Any], ...]:
        """Means and quantiles."""
        return _arrays(model.predict(self.history, self.origins[some], self.leads))

    def told(self, word: str, model: Forecaster, load: Callable[[Path], Forecaster]) -> Named:
        """Forecasts of a fitted model, and of what is loaded after saving it."""
        yield f"{word}/forecast", self.of(model)
        yield f"{word}/loaded", self.of(_loaded(model, load))


def _loaded(model: Forecaster, load: Callable[[Path], Forecaster]) -> Forecaster:
    """The model after it was saved."""
    with tempfile.TemporaryDirectory(prefix="frozen-") as folder:
        model.save(Path(folder))
        return load(Path(folder))


def _arrays(forecast: Forecast) -> tuple[npt.NDArray[Any], ...]:
    return forecast.mean_kw, forecast.quantiles_kw


def _fallback(asked: _Asked, champion: Forecaster, mixture: Forecaster) -> Named:
    """Who answers with a champion, with a meter that lost its channels, after a restart, knowing nothing."""
    whole = asked.history
    late = _from_row(whole, int(whole.rows(asked.origins[:1])[0]) + 1)
    situations: dict[str, tuple[Forecaster | None, History, slice]] = {
        "champion": (champion, whole, slice(None)),
        "without_channels": (mixture, _power_only(whole), slice(None)),
        "after_restart": (mixture, late, slice(None)),
        "no_champion": (None, late, FEWER),
        "no_readings": (None, whole.until(whole.starts[0]), slice(None)),
    }
    for word, (model, history, some) in situations.items():
        found = fallback.predict_with_fallback(model, asked.meter, history, asked.origins[some], asked.leads)
        yield f"fallback/{word}", (*_arrays(found.forecast), np.asarray(found.tier, np.int64))


def _from_row(history: History, first: int) -> History:
    return replace(
        history,
        starts=history.starts[first:],
        power_kw=history.power_kw[first:],
        observed_share=history.observed_share[first:],
        features=history.features[first:],
        within={channel: values[first:] for channel, values in history.within.items()},
    )


def _power_only(history: History) -> History:
    meter = replace(history.meter, channels=(ACTIVE_POWER,))
    columns = [features.names(history.meter).index(name) for name in features.names(meter)]
    within = {ACTIVE_POWER: history.within[ACTIVE_POWER]} if history.within else {}
    return replace(history, meter=meter, features=history.features[:, columns], within=within)


# --- alarms -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class EvaluatedCandidate:
    """What a detector found: every score series, two of them by their meaning, thresholds and events."""

    scores: tuple[npt.NDArray[Any], ...]
    fused: npt.NDArray[Any]
    alarm: npt.NDArray[Any]
    thresholds: tuple[float, ...]
    events: pd.DataFrame


def judged(subject: Subject) -> Iterator[tuple[str, EvaluatedCandidate]]:
    """A detector's month, before and after it was saved and loaded; and one that taught itself."""
    until = pd.Timestamp(subject.judged_until)
    since = max(pd.Timestamp(subject.judged_from), until - pd.Timedelta(days=30))
    readings = subject.readings[subject.readings.index < until]
    detector = AnomalyDetector(1.0, seed=0)
    earlier = readings[readings.index < pd.Timestamp(subject.judged_from)]
    detector.fit(earlier, subject.meter, np.datetime64(subject.calibrate_from, "m"))
    recent = readings[readings.index >= since - pd.Timedelta(days=detector.context_days)]
    yield "detector", _judge(detector, recent, since)
    with tempfile.TemporaryDirectory(prefix="frozen-") as folder:
        detector.save(Path(folder))
        yield "detector_loaded", _judge(AnomalyDetector.load(Path(folder)), recent, since)
    if subject.self_taught:
        detector = AnomalyDetector(1.0, seed=0)
        detector.fit(readings, subject.meter, np.datetime64(subject.calibrate_from, "m"), contaminated=True)
        yield "self_taught_detector", _judge(detector, recent, since)


def _judge(detector: AnomalyDetector, readings: pd.DataFrame, since: pd.Timestamp) -> EvaluatedCandidate:
    found = detector.detect(readings, np.datetime64(since, "m"))
    return EvaluatedCandidate(
        tuple(found.scores[column].to_numpy() for column in found.scores),
        found.scores["score"].to_numpy(),
        found.scores["alarm"].to_numpy(),
        tuple(detector.thresholds.values()),
        found.events,
    )
