"""The four experts weighted by a learned gate, per origin and lead, leaning on supports and calibrated.

Gate, leaning and calibration are settled on days the experts' weights never saw, and can be settled again on
later ones. The gate can always fall back to equal weights: how far it may leave them is itself decided on
held-out weeks of those days.
"""

import copy
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from safetensors.torch import load_file, save_file

from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.features.minute_series import MinuteSeries, mean_level_kw
from smartgrid_pipeline.core.forecasting.experts.expert import EXPERTS, NeuralExpert
from smartgrid_pipeline.core.forecasting.forecaster import (
    FULL,
    Forecast,
    Forecaster,
    Split,
    TrainingBudget,
    finish,
)
from smartgrid_pipeline.core.forecasting.leads import BLENDING, RECALIBRATION, is_short
from smartgrid_pipeline.core.forecasting.mixture.base_learners import BaseLearners
from smartgrid_pipeline.core.forecasting.mixture.blending import COARSE_METER, MINUTE_METER
from smartgrid_pipeline.core.forecasting.mixture.gating import (
    HoldoutPredictions,
    collapse_alarms,
    entropy,
    gate_inputs,
)
from smartgrid_pipeline.core.forecasting.mixture.holdout import (
    BEST,
    EQUAL,
    MIXTURE,
    HoldoutFit,
    mix,
    usable_of,
)
from smartgrid_pipeline.core.learning.training_loop import torch_threads
from smartgrid_pipeline.core.schema import Floats, LeadInterval, ModelError, Times, leads_for

GATE_FILE, FACTS_FILE = "gate.safetensors", "mixture.json"

__all__ = ["FixedWeightMixture", "MixtureOfExperts", "collapse_alarms", "entropy"]

SAMPLE_MINUTES = {"near": 20, "far": 180}
"""Origins of the later block that gate and calibration learn from: this far apart, for near and far leads."""

BLOCK_PAIRS = 200_000
"""Pairs of origin and lead forecast at a time, so that memory stays bounded."""

Fans = tuple[Floats, Floats]
"""Means and quantiles in kW, (…, origins, leads) and (…, origins, leads, 9), of one forecaster or several."""


class MixtureOfExperts:
    """Learned weights over four experts; ``experts`` are theirs, in the order of ``expert_names``."""

    name = MIXTURE

    def __init__(self, budget: TrainingBudget = FULL) -> None:
        self.budget = budget
        self.experts: list[Forecaster] = []
        self.expert_names: tuple[str, ...] = ()
        self._level_kw = 1.0
        self._supports: BaseLearners | None = None
        self._settled: HoldoutFit | None = None
        self._heard: HoldoutPredictions | None = None
        self._heard_from: np.datetime64 = np.datetime64("NaT", "m")
        self._heard_until: np.datetime64 = np.datetime64("NaT", "m")

    @property
    def best_name(self) -> str:
        """The expert that was best alone on the days the mixture was settled on; empty before."""
        return self.expert_names[self._settled.best] if self._settled else ""

    # --- learning ---------------------------------------------------------------------------------

    def fit(self, history: History, split: Split, experts: Sequence[Forecaster] | None = None) -> None:
        """Fit supports and settle all on the later block; fit the experts first unless given fitted."""
        history = history.until(split.end) if history.end > split.end else history
        if experts is None:
            experts = [make(self.budget) for make in EXPERTS.values()]
            for expert in experts:
                expert.fit(history, split)
        self.experts, self.expert_names = list(experts), tuple(expert.name for expert in experts)
        self._level_kw = mean_level_kw(history, split.start, split.train_end)
        self._supports = BaseLearners.fit(history, split, self._level_kw, self.budget)
        self._heard_from = split.train_end
        self._settle(history, self._listen(history, split.train_end, split.end), split.end)
        self._supports = self._supports.with_newest_days(history, split)

    def updated(self, history: History, split: Split) -> "MixtureOfExperts":
        """Every expert trained on a little from its weights, the same supports, settled on the later block.

        This mixture stays as it is.
        """
        self._require_fit()
        history = history.until(split.end) if history.end > split.end else history
        other = copy.copy(self)
        other.experts = [expert.updated(history, split) for expert in self.experts]  # type: ignore[attr-defined]
        other._heard_from = split.train_end
        other._settle(history, other._listen(history, split.train_end, split.end), split.end)
        return other

    def recalibrated(self, history: History, split: Split) -> "MixtureOfExperts":
        """The same experts and supports, settled again on all days since those they learned from, up to the
        end of the split. This mixture stays as it is.
        """
        self._require_fit()
        history = history.until(split.end) if history.end > split.end else history
        other = copy.copy(self)
        begin = self._heard_from if self._heard is None else self._heard_until
        parts = [] if self._heard is None else [self._heard]
        if split.end > begin:
            parts.append(self._listen(history, begin, split.end))
        other._settle(history, HoldoutPredictions.joined(parts), split.end)
        return other

    def _settle(self, history: History, data: HoldoutPredictions, end: np.datetime64) -> None:
        self._heard, self._heard_until = data, end
        days = float((end - self._heard_from) / np.timedelta64(1, "D"))
        leads, trust = (
            leads_for(history.meter.working_minutes),
            MINUTE_METER if history.meter.step_minutes <= 5 else COARSE_METER,
        )
        self._settled = HoldoutFit.of(data, leads, days, trust, self.budget)

    def _listen(self, history: History, begin: np.datetime64, end: np.datetime64) -> HoldoutPredictions:
        """What experts and supports said of [begin, end) and what happened, flat over pairs of origin and
        lead. Raises ModelError when nothing was observed.
        """
        leads = leads_for(history.meter.working_minutes)
        near = tuple(lead for lead in leads if is_short(lead))
        far = tuple(lead for lead in leads if not is_short(lead))
        parts = []
        for kind, some in (("near", near), ("far", far)):
            every = max(SAMPLE_MINUTES[kind], history.meter.working_minutes)
            origins = history.origins(begin, end, every)
            if self.budget.max_rows:
                origins = origins[:: max(1, len(origins) * len(some) // self.budget.max_rows)]
            if some and len(origins):
                parts.append(self._heard_of(history, origins, some, end))
        data = HoldoutPredictions.joined(parts)
        if not len(data.target):
            raise ModelError(f"Nothing was observed between {begin} and {end} to fit a gate on.")
        return data

    def _heard_of(
        self, history: History, origins: Times, leads: tuple[LeadInterval, ...], end: np.datetime64
    ) -> HoldoutPredictions:
        asked = self._ask(history, origins, leads)
        return HoldoutPredictions.of(
            origins,
            leads,
            self._gate_inputs(history, origins, leads, asked),
            *asked,
            history.targets(origins, leads, end),
            RECALIBRATION.of_pairs(origins, leads),
            BLENDING.of_leads(leads),
            self._ask_supports(history, origins, leads, asked[1]),
        )

    def _ask(self, history: History, origins: Times, leads: tuple[LeadInterval, ...]) -> Fans:
        """Every expert."""
        forecasts = [expert.predict(history, origins, leads) for expert in self.experts]
        return np.stack([f.mean_kw for f in forecasts]), np.stack([f.quantiles_kw for f in forecasts])

    def _ask_supports(
        self, history: History, origins: Times, leads: tuple[LeadInterval, ...], quantiles: Floats
    ) -> Fans:
        """Every support; the experts' averaged quantiles shape theirs."""
        assert self._supports is not None
        usable = np.isfinite(quantiles).all(-1, keepdims=True)
        sums = np.where(usable, np.sqrt(np.maximum(quantiles, 0)), 0).sum(0)
        even = (sums / np.maximum(usable.sum(0), 1)) ** 2
        return self._supports.ask(history, origins, leads, even)

    def _gate_inputs(
        self, history: History, origins: Times, leads: tuple[LeadInterval, ...], asked: Fans
    ) -> Floats:
        return gate_inputs(MinuteSeries.reaching(history, origins, self._level_kw), origins, leads, *asked)

    # --- asking -----------------------------------------------------------------------------------

    def predict(self, history: History, origins: Times, leads: tuple[LeadInterval, ...]) -> Forecast:
        """Forecast each lead from each origin. An expert that gives no number is left out where it does."""
        return self._forecasts(history, origins, leads, (self.name,))[self.name]

    def rows(self, history: History, origins: Times, leads: tuple[LeadInterval, ...]) -> dict[str, Forecast]:
        """Every row of the comparison from one asking: each expert, equal weights, best expert, mixture."""
        return self._forecasts(history, origins, leads, (*self.expert_names, EQUAL, BEST, self.name))

    def shares(self, history: History, origins: Times, leads: tuple[LeadInterval, ...]) -> Floats:
        """Weight of each expert, (origins, leads, experts), summing to 1."""
        settled, asked = self._require_fit(), self._ask(history, origins, leads)
        inputs = self._gate_inputs(history, origins, leads, asked)
        with torch_threads(self.budget.threads):
            return settled.weights(self.name, inputs, usable_of(*asked))

    def ablations(self) -> "dict[str, FixedWeightMixture]":
        """``equal_weights`` (of experts and supports alike) and ``best_expert`` (alone), each calibrated."""
        return {name: FixedWeightMixture(self, name) for name in (EQUAL, BEST)}

    def _forecasts(
        self, history: History, origins: Times, leads: tuple[LeadInterval, ...], names: tuple[str, ...]
    ) -> dict[str, Forecast]:
        self._require_fit()
        block = max(1, BLOCK_PAIRS // len(leads))
        parts: dict[str, list[Fans]] = {name: [] for name in names}
        for begin in range(0, max(len(origins), 1), block):
            some = origins[begin : begin + block]
            for name, fan in self._block(history, some, leads, names).items():
                parts[name].append(fan)
        return {
            name: Forecast(origins, leads, *(np.concatenate(arrays) for arrays in zip(*part, strict=True)))
            for name, part in parts.items()
        }

    def _block(
        self, history: History, origins: Times, leads: tuple[LeadInterval, ...], names: tuple[str, ...]
    ) -> dict[str, Fans]:
        """Mean (origins, leads) and quantiles (origins, leads, 9) of each row. Raises ModelError when every
        expert failed somewhere.
        """
        settled, asked = self._require_fit(), self._ask(history, origins, leads)
        usable = usable_of(*asked)
        if not usable.any(-1).all():
            raise ModelError(
                "Every expert failed for some origin; look at the readings before it, then retrain."
            )
        supports = self._ask_supports(history, origins, leads, asked[1])
        inputs = self._gate_inputs(history, origins, leads, asked)
        mean, quantiles = (np.nan_to_num(np.moveaxis(a, 0, 2), posinf=0, neginf=0) for a in asked)
        roots, found = np.sqrt(np.maximum(quantiles, 0)), {}
        for name in names:
            if name in self.expert_names:
                at = self.expert_names.index(name)
                found[name] = asked[0][at], asked[1][at]
                continue
            with torch_threads(self.budget.threads):
                own = mix(settled.weights(name, inputs, usable), mean, roots)
            kinds, groups = BLENDING.of_leads(leads), RECALIBRATION.of_pairs(origins, leads)
            found[name] = finish(*settled.finished(name, own, supports, kinds, groups))
        return found

    def _require_fit(self) -> HoldoutFit:
        if self._settled is None:
            raise ModelError("mixture_of_experts is not fitted: call fit or load first.")
        return self._settled

    # --- telling and keeping ----------------------------------------------------------------------

    def parameters(self) -> dict[str, Any]:
        """Flat settings and sizes, for the tracking run."""
        gate = self._settled.gate if self._settled else None
        return {"model": self.name, "experts": ",".join(self.expert_names), "best_expert": self.best_name,
                "seed": self.budget.seed, "gate_trust": gate.trust if gate else None,
                "gate_weights": sum(p.numel() for p in gate.parameters()) if gate else 0}  # fmt: skip

    def curves(self) -> pd.DataFrame:
        """Training and held-out loss of the gate."""
        points = self._settled.curves if self._settled else []
        return pd.DataFrame([asdict(point) for point in points], columns=["step", "training", "validation"])

    def save(self, directory: Path) -> None:
        """Write what was settled, the supports and, in a folder each, the experts: nothing else is needed."""
        settled = self._require_fit()
        assert self._supports is not None
        save_file(settled.tensors(), str(directory / GATE_FILE))
        facts = {
            "experts": self.expert_names,
            "budget": asdict(self.budget),
            "level_kw": self._level_kw,
            "heard_from": str(self._heard_from),
            "heard_until": str(self._heard_until),
            "settled": settled.facts(),
            "boosted": self._supports.boost.facts(),
        }
        (directory / FACTS_FILE).write_text(json.dumps(facts, indent=1))
        self._supports.save(directory)
        for expert in self.experts:
            folder = directory / expert.name
            folder.mkdir()
            expert.save(folder)

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Read what ``save`` wrote. Raises ModelError when files are missing or do not fit."""
        try:
            facts = json.loads((directory / FACTS_FILE).read_text())
            mixture = cls(TrainingBudget(**facts["budget"]))
            mixture.expert_names, mixture._level_kw = tuple(facts["experts"]), facts["level_kw"]
            mixture._settled = HoldoutFit.from_parts(facts["settled"], load_file(str(directory / GATE_FILE)))
            mixture._supports = BaseLearners.load(directory, mixture._level_kw, facts["boosted"])
            mixture._heard_from = np.datetime64(facts["heard_from"], "m")
            mixture._heard_until = np.datetime64(facts["heard_until"], "m")
        except (OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ModelError(
                f"No mixture could be read from {directory}: {error}. Train and save it again."
            ) from error
        mixture.experts = [NeuralExpert.load(directory / name) for name in mixture.expert_names]
        return mixture


class FixedWeightMixture:
    """The mixture's experts under weights that do not depend on anything, as a row to compare with."""

    def __init__(self, mixture: MixtureOfExperts, name: str) -> None:
        self.mixture, self.name = mixture, name

    def predict(self, history: History, origins: Times, leads: tuple[LeadInterval, ...]) -> Forecast:
        """Forecast as the mixture does, under the fixed weights."""
        return self.mixture._forecasts(history, origins, leads, (self.name,))[self.name]
