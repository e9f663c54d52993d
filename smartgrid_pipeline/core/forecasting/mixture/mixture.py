"""Mixture of experts: fit, predict and save the champion, in the order in which things happen.

1. Four neural experts and the base learners are fitted before the holdout.
2. All of them forecast the holdout (``holdout``).
3. On these forecasts gate, blend weights and recalibration are fitted (``holdout_fit``); this step alone can
   be repeated on newer days (``recalibrated``).
4. A forecast is the gate's average of the experts, blended with the base learners, recalibrated, and sorted.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.features.minute_series import MinuteSeries, mean_level_kw
from smartgrid_pipeline.core.forecasting.experts.expert import EXPERTS, NeuralExpert
from smartgrid_pipeline.core.forecasting.forecaster import (
    FULL,
    Forecast,
    Forecaster,
    Split,
    TrainingBudget,
    sort_and_clip,
)
from smartgrid_pipeline.core.forecasting.leads import BLENDING, RECALIBRATION, is_short
from smartgrid_pipeline.core.forecasting.mixture import base_learners
from smartgrid_pipeline.core.forecasting.mixture.base_learners import BaseLearner, BaseLearners
from smartgrid_pipeline.core.forecasting.mixture.blending import ShrinkagePrior
from smartgrid_pipeline.core.forecasting.mixture.gating import gate_inputs
from smartgrid_pipeline.core.forecasting.mixture.holdout import (
    HoldoutPredictions,
    QuantileForecast,
    are_usable,
)
from smartgrid_pipeline.core.forecasting.mixture.holdout_fit import (
    BEST,
    EQUAL,
    MIXTURE,
    HoldoutFit,
    weighted_average,
)
from smartgrid_pipeline.core.learning import storage
from smartgrid_pipeline.core.learning.training_loop import torch_threads
from smartgrid_pipeline.core.schema import Floats, LeadInterval, ModelError, Times, leads_for

HOLDOUT_MINUTES = {"short": 20, "long": 180}
"""Distance of the origins of holdout predictions, for short and long leads."""

BLOCK_PAIRS = 200_000
"""Pairs of origin and lead forecast at a time, so that memory stays bounded."""


class MixtureOfExperts:
    """A Forecaster; see the module. ``experts`` are in the order of ``expert_names``."""

    name = MIXTURE

    def __init__(self, budget: TrainingBudget = FULL) -> None:
        self.budget = budget
        self.experts: list[Forecaster] = []
        self.expert_names: tuple[str, ...] = ()
        self._level_kw = 1.0
        self._learners: BaseLearners = ()
        self._fit: HoldoutFit | None = None
        self._holdout: HoldoutPredictions | None = None
        self._holdout_start: np.datetime64 = np.datetime64("NaT", "m")
        self._holdout_end: np.datetime64 = np.datetime64("NaT", "m")

    # --- fit --------------------------------------------------------------------------------------

    def fit(self, history: History, split: Split, experts: Sequence[Forecaster] | None = None) -> None:
        """Fit the base learners, then gate, blend weights and recalibration on the holdout.

        The experts are fitted first unless they are given, fitted on the same split.
        """
        history = history.until(split.end)
        if experts is None:
            experts = [make(self.budget) for make in EXPERTS.values()]
            for expert in experts:
                expert.fit(history, split)
        self.experts, self.expert_names = list(experts), tuple(expert.name for expert in experts)
        self._level_kw = mean_level_kw(history, split.start, split.train_end)
        self._learners = base_learners.fit(history, split, self._level_kw, self.budget)
        self._holdout_start = split.train_end
        self._fit_on_holdout(history, self._predict_holdout(history, split.train_end, split.end), split.end)
        self._learners = base_learners.refit_analog_ensemble(self._learners, history, split)

    def recalibrated(self, history: History, split: Split) -> "MixtureOfExperts":
        """The same experts and base learners, with gate, blend weights and recalibration fitted again on all
        days from the start of the holdout to ``split.end``. This mixture stays as it is.

        A mixture that was loaded predicts the holdout again, with the analog ensemble fitted on it.
        """
        self._require_fit()
        history = history.until(split.end)
        other = copy.copy(self)
        begin = self._holdout_start if self._holdout is None else self._holdout_end
        parts = [] if self._holdout is None else [self._holdout]
        if split.end > begin:
            parts.append(self._predict_holdout(history, begin, split.end))
        other._fit_on_holdout(history, HoldoutPredictions.joined(parts), split.end)
        return other

    def _fit_on_holdout(self, history: History, data: HoldoutPredictions, end: np.datetime64) -> None:
        self._holdout, self._holdout_end = data, end
        days = float((end - self._holdout_start) / np.timedelta64(1, "D"))
        leads = leads_for(history.meter.working_minutes)
        coverage = base_learners.coverage(self._learners, leads)
        prior = ShrinkagePrior.of_meter(history.meter)
        self._fit = HoldoutFit.fit(data, leads, coverage, days, prior, self.budget)

    def _predict_holdout(
        self, history: History, begin: np.datetime64, end: np.datetime64
    ) -> HoldoutPredictions:
        """Predictions from origins in [begin, end) with targets that end by ``end``.

        Raises ModelError when no target was observed.
        """
        leads = leads_for(history.meter.working_minutes)
        short = tuple(lead for lead in leads if is_short(lead))
        long = tuple(lead for lead in leads if not is_short(lead))
        parts = []
        for horizon, some in (("short", short), ("long", long)):
            every = max(HOLDOUT_MINUTES[horizon], history.meter.working_minutes)
            origins = history.origins(begin, end, every)
            if self.budget.max_rows:
                origins = origins[:: max(1, len(origins) * len(some) // self.budget.max_rows)]
            if some and len(origins):
                experts, learners, inputs = self._predict_parts(history, origins, some)
                target = history.targets(origins, some, end)
                parts.append(
                    HoldoutPredictions.from_forecasts(origins, some, inputs, experts, learners, target)
                )
        data = HoldoutPredictions.joined(parts)
        if not len(data.target):
            raise ModelError(f"Nothing was observed between {begin} and {end} to fit a gate on.")
        return data

    # --- predict ----------------------------------------------------------------------------------

    def predict(self, history: History, origins: Times, leads: tuple[LeadInterval, ...]) -> Forecast:
        """Forecast each lead from each origin. An expert is left out where it gives no number."""
        return self._predict(history, origins, leads, (self.name,))[self.name]

    def predict_all(
        self, history: History, origins: Times, leads: tuple[LeadInterval, ...]
    ) -> dict[str, Forecast]:
        """Forecasts by name: each expert, equal weights, the best expert, and the mixture."""
        return self._predict(history, origins, leads, (*self.expert_names, EQUAL, BEST, self.name))

    def expert_weights(self, history: History, origins: Times, leads: tuple[LeadInterval, ...]) -> Floats:
        """The gate's weight of each expert, (origins, leads, experts), summing to 1."""
        fit, experts = self._require_fit(), self._predict_experts(history, origins, leads)
        inputs = self._gate_inputs(history, origins, leads, experts)
        with torch_threads(self.budget.threads):
            return fit.weights(self.name, inputs, are_usable(*experts))

    def ablations(self) -> "dict[str, Ablation]":
        """The experts and base learners with equal weights, and the best expert alone, each recalibrated."""
        return {name: Ablation(name, partial(self._predict_one, name)) for name in (EQUAL, BEST)}

    def _predict_one(
        self, name: str, history: History, origins: Times, leads: tuple[LeadInterval, ...]
    ) -> Forecast:
        return self._predict(history, origins, leads, (name,))[name]

    def _predict(
        self, history: History, origins: Times, leads: tuple[LeadInterval, ...], names: tuple[str, ...]
    ) -> dict[str, Forecast]:
        self._require_fit()
        size = max(1, BLOCK_PAIRS // len(leads))
        blocks = [
            self._predict_block(history, origins[begin : begin + size], leads, names)
            for begin in range(0, max(len(origins), 1), size)
        ]
        return {
            name: Forecast(
                origins, leads, *(np.concatenate([block[name][k] for block in blocks]) for k in range(2))
            )
            for name in names
        }

    def _predict_block(
        self, history: History, origins: Times, leads: tuple[LeadInterval, ...], names: tuple[str, ...]
    ) -> dict[str, QuantileForecast]:
        """Mean (origins, leads) and quantiles (origins, leads, 9) by name of an expert or a combiner.

        Raises ModelError when every expert failed somewhere.
        """
        fit = self._require_fit()
        experts, learners, inputs = self._predict_parts(history, origins, leads)
        usable = are_usable(*experts)
        if not usable.any(-1).all():
            raise ModelError(
                "Every expert failed for some origin; look at the readings before it, then retrain."
            )
        mean, quantiles = (np.nan_to_num(np.moveaxis(a, 0, 2), posinf=0, neginf=0) for a in experts)
        sqrt_quantiles = np.sqrt(np.maximum(quantiles, 0))
        groups = BLENDING.of_leads(leads), RECALIBRATION.of_pairs(origins, leads)
        found: dict[str, QuantileForecast] = {}
        for name in names:
            if name in self.expert_names:
                at = self.expert_names.index(name)
                found[name] = experts[0][at], experts[1][at]
                continue
            with torch_threads(self.budget.threads):
                own = weighted_average(fit.weights(name, inputs, usable), mean, sqrt_quantiles)
            found[name] = sort_and_clip(*fit.blend_and_recalibrate(name, own, learners, *groups))
        return found

    def _predict_parts(
        self, history: History, origins: Times, leads: tuple[LeadInterval, ...]
    ) -> tuple[QuantileForecast, QuantileForecast, Floats]:
        """Forecasts of experts and of base learners (…, origins, leads[, 9]), and inputs of the gate."""
        experts = self._predict_experts(history, origins, leads)
        usable = np.isfinite(experts[1]).all(-1, keepdims=True)
        sums = np.where(usable, np.sqrt(np.maximum(experts[1], 0)), 0).sum(0)
        average_kw = (sums / np.maximum(usable.sum(0), 1)) ** 2
        learners = base_learners.predict(self._learners, history, origins, leads, average_kw)
        return experts, learners, self._gate_inputs(history, origins, leads, experts)

    def _predict_experts(
        self, history: History, origins: Times, leads: tuple[LeadInterval, ...]
    ) -> QuantileForecast:
        """Means (experts, origins, leads) and quantiles (experts, origins, leads, 9)."""
        forecasts = [expert.predict(history, origins, leads) for expert in self.experts]
        return np.stack([f.mean_kw for f in forecasts]), np.stack([f.quantiles_kw for f in forecasts])

    def _gate_inputs(
        self, history: History, origins: Times, leads: tuple[LeadInterval, ...], experts: QuantileForecast
    ) -> Floats:
        return gate_inputs(MinuteSeries.reaching(history, origins, self._level_kw), origins, leads, *experts)

    def _require_fit(self) -> HoldoutFit:
        if self._fit is None:
            raise ModelError("mixture_of_experts is not fitted: call fit or load first.")
        return self._fit

    # --- describe and save ------------------------------------------------------------------------

    @property
    def best_name(self) -> str:
        """The expert that was best alone on the holdout; empty before the fit."""
        return self.expert_names[self._fit.best] if self._fit else ""

    def parameters(self) -> dict[str, Any]:
        """Flat settings and sizes, for the tracking run."""
        gate = self._fit.gate if self._fit else None
        return {"model": self.name, "experts": ",".join(self.expert_names), "best_expert": self.best_name,
                "seed": self.budget.seed, "gate_shrinkage": gate.shrinkage if gate else None,
                "gate_weights": sum(p.numel() for p in gate.parameters()) if gate else 0}  # fmt: skip

    def curves(self) -> pd.DataFrame:
        """Training and validation loss of the gate."""
        points = self._fit.curves if self._fit else []
        return pd.DataFrame([asdict(point) for point in points], columns=["step", "training", "validation"])

    def save(self, directory: Path) -> None:
        """Write what was fitted on the holdout, and experts and base learners each in a folder of its own."""
        fit = self._require_fit()
        facts = {
            "experts": self.expert_names,
            "budget": asdict(self.budget),
            "level_kw": self._level_kw,
            "holdout_start": str(self._holdout_start),
            "holdout_end": str(self._holdout_end),
            "fit": fit.facts(),
        }
        storage.write(directory, self.name, facts, fit.to_arrays())
        parts: list[BaseLearner | Forecaster] = [*self._learners, *self.experts]
        for part in parts:
            folder = directory / part.name
            folder.mkdir()
            part.save(folder)

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Read what ``save`` wrote. Raises ModelError when files are missing or do not fit."""
        with storage.read(directory, cls.name) as (facts, arrays):
            mixture = cls(TrainingBudget(**facts["budget"]))
            mixture.expert_names, mixture._level_kw = tuple(facts["experts"]), facts["level_kw"]
            mixture._fit = HoldoutFit.from_arrays(facts["fit"], arrays)
            mixture._holdout_start = np.datetime64(facts["holdout_start"], "m")
            mixture._holdout_end = np.datetime64(facts["holdout_end"], "m")
        mixture._learners = base_learners.load(directory)
        mixture.experts = [NeuralExpert.load(directory / name) for name in mixture.expert_names]
        return mixture


@dataclass(frozen=True)
class Ablation:
    """Another combination of the mixture's experts, to compare the gate with."""

    name: str
    predict: Callable[[History, Times, tuple[LeadInterval, ...]], Forecast]
