"""What a forecaster's residual adds to the other voices: the last step of the ablation.

The forecaster is a ridge regression, fitted before the test year: cheap, and wrong in the same places as
better ones.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from benchmarks.anomaly.protocol import GRACE, GUARD, Flags, Outcome, TestYear
from smartgrid_pipeline.core.anomaly.injection.faults import inject
from smartgrid_pipeline.core.anomaly.scoring import alarms
from smartgrid_pipeline.core.anomaly.scoring.tails import Tail
from smartgrid_pipeline.core.evaluation.surprise import CALIBRATION_DAYS, surprise
from smartgrid_pipeline.core.forecasting.catalogue import create
from smartgrid_pipeline.core.forecasting.forecaster import FULL, Forecaster, Split
from smartgrid_pipeline.core.forecasting.history import history_from_readings

EVENTS = 4
"""So many events of each kind are asked: a forecast looks back on a year, each costs seconds."""

PAST_DAYS = 480
MODEL = "ridge"


@dataclass(frozen=True)
class Residual:
    """A fitted forecaster, the tail of its surprises on healthy days, and its alarms in the clean year."""

    year: TestYear
    forecaster: Forecaster
    tail: Tail
    clean: Flags

    @classmethod
    def fit(cls, year: TestYear) -> Self:
        """Fit before the test year; hear the 61 days before it and the year itself."""
        history = history_from_readings(year.readings, year.meter)
        begin = np.datetime64(year.origin.test_from, "m")
        forecaster = create(MODEL, FULL)
        forecaster.fit(history.until(begin), Split.before(begin, history.until(begin)))
        first = begin - np.timedelta64(CALIBRATION_DAYS, "D")
        tail = Tail.fit(surprise(forecaster, history, first, begin).to_numpy())
        heard = surprise(forecaster, history, begin, history.end)
        heard = heard.reindex(pd.DatetimeIndex(year.intervals))
        return cls(year, forecaster, tail, _raised(year, tail, heard))

    def finds(self, kind: str, number: int, seed: int) -> bool:
        """Whether it alarms in the fault of this number where it is silent in the clean twin."""
        magnitude, start, duration = self.year.draw(kind, number, seed)
        begin = pd.Timestamp(start) - pd.Timedelta(days=PAST_DAYS)
        window = self.year.readings[begin.floor("D") : pd.Timestamp(start + duration + GUARD)]
        changed, event = inject(window, kind, magnitude, start, duration, np.random.default_rng(number))
        history = history_from_readings(changed, self.year.meter)
        first = start.astype("datetime64[D]").astype("datetime64[m]")
        on = _raised(self.year, self.tail, surprise(self.forecaster, history, first, history.end))
        offset = int(np.searchsorted(self.year.intervals, first))
        starts = self.year.intervals[offset : offset + len(on)]
        ends = starts + np.timedelta64(self.year.meter.working_minutes, "m")
        near = (ends > event.start) & (starts < event.end + GRACE)
        return bool((on[: len(near)] & ~self.clean[offset : offset + len(near)] & near).any())


def _raised(year: TestYear, tail: Tail, heard: pd.Series) -> Flags:
    """Intervals in which the voice is raised."""
    return alarms.hysteresis(tail.rarity(heard.to_numpy()), year.detector.residual_threshold)


def ablation(year: TestYear, rows: dict[str, list[Outcome]], seed: int, cache: Path) -> dict[str, Any]:
    """Recall with and without the residual on the first events of each kind; done ones are kept."""
    path = cache / year.origin.name / f"residual-{seed}.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    residual = None
    for kind, outcomes in rows.items():
        for outcome in outcomes[:EVENTS]:
            key = f"{kind}-{outcome.number}"
            if key not in known:
                residual = residual or Residual.fit(year)
                known.setdefault("false_alarms_per_month", year.rate(residual.clean))
                known[key] = residual.finds(kind, outcome.number, seed)
                path.write_text(json.dumps(known))
    asked = {kind: outcomes[:EVENTS] for kind, outcomes in rows.items()}
    alone = {kind: [known[f"{kind}-{o.number}"] for o in found] for kind, found in asked.items()}
    before = {kind: [o.delay is not None for o in found] for kind, found in asked.items()}
    after = {kind: np.logical_or(alone[kind], before[kind]) for kind in asked}
    return {
        "forecaster": MODEL,
        "n": sum(map(len, asked.values())),
        "residual": _macro(alone),
        "rules + physics + ensemble": _macro(before),
        "rules + physics + ensemble + residual": _macro(after),
        "false_alarms_per_month": known["false_alarms_per_month"],
    }


def _macro(found: dict[str, Any]) -> float:
    return float(np.mean([np.mean(each) for each in found.values()]))
