"""The four experts weighted by a learned gate, per origin and lead, leaning on supports and calibrated.

Gate, leaning and calibration are fitted on days the experts' weights never saw, and can be settled again on
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
import torch
from safetensors.torch import load_file, save_file

from smartgrid_pipeline.core.models.calibration import GROUP_COUNT, ConformalShift, clock_groups
from smartgrid_pipeline.core.models.experts import EXPERTS, NeuralExpert
from smartgrid_pipeline.core.models.forecaster import (
    FULL,
    Budget,
    Floats,
    Forecast,
    Forecaster,
    History,
    Split,
    Times,
    finish,
)
from smartgrid_pipeline.core.models.gate import (
    Gate,
    GateData,
    collapse_alarms,
    entropy,
    fit_gate,
    gate_inputs,
    pinball_kw,
)
from smartgrid_pipeline.core.models.leaning import KIND_COUNT, Lean, Leans, belief, lead_kinds
from smartgrid_pipeline.core.models.past import Past, typical_level
from smartgrid_pipeline.core.models.supports import Supports
from smartgrid_pipeline.core.models.training import Curve, torch_threads
from smartgrid_pipeline.core.schema import LeadInterval, ModelError, leads_for

GATE_FILE, FACTS_FILE = "gate.safetensors", "mixture.json"

__all__ = ["FixedWeights", "MixtureOfExperts", "collapse_alarms", "entropy"]

SAMPLE_MINUTES = {"near": 20, "far": 180}
"""Origins of the later block that gate and calibration learn from: this far apart, for near and far leads."""

BLOCK_PAIRS = 200_000
"""Pairs of origin and lead forecast at a time, so that memory stays bounded."""


class MixtureOfExperts:
    """Learned weights over four experts; ``experts`` are theirs, in the order of ``expert_names``."""

    name = "mixture_of_experts"

    def __init__(self, budget: Budget = FULL) -> None:
        self.budget = budget
        self.experts: list[Forecaster] = []
        self.expert_names: tuple[str, ...] = ()
        self.best_name = ""
        self._gate: Gate | None = None
        self._supports: Supports | None = None
        self._leans: dict[str, Leans] = {}
        self._shifts: dict[str, ConformalShift] = {}
        self._curves: list[Curve] = []
        self._level_kw = 1.0
        self._heard: GateData | None = None
        self._heard_from: np.datetime64 = np.datetime64("NaT", "m")
        self._heard_until: np.datetime64 = np.datetime64("NaT", "m")

    # --- learning ---------------------------------------------------------------------------------

    def fit(self, history: History, split: Split, experts: Sequence[Forecaster] | None = None) -> None:
        """Fit the gate and the calibration on the later block; fit the experts first unless given fitted."""
        history = history.until(split.end) if history.end > split.end else history
        if experts is None:
            experts = [make(self.budget) for make in EXPERTS.values()]
            for expert in experts:
                expert.fit(history, split)
        self.experts, self.expert_names = list(experts), tuple(expert.name for expert in experts)
        self._level_kw = typical_level(history, split)
        self._supports = Supports.fit(history, split, self._level_kw, self.budget)
        self._heard_from = split.fit_end
        self._settle(history, self._listen(history, split.fit_end, split.end), split.end)

    def updated(self, history: History, split: Split) -> "MixtureOfExperts":
        """Every expert trained on a little from its weights, the same supports, settled on the later block.

        This mixture stays as it is.
        """
        self._require_fit()
        history = history.until(split.end) if history.end > split.end else history
        other = copy.copy(self)
        other.experts = [expert.updated(history, split) for expert in self.experts]  # type: ignore[attr-defined]
        other._heard_from = split.fit_end
        other._settle(history, other._listen(history, split.fit_end, split.end), split.end)
        return other

    def recalibrated(self, history: History, split: Split) -> "MixtureOfExperts":
        """The same experts and supports with gate, leaning and calibration settled on all days since those
        they learned from, up to the end of the split. This mixture stays as it is.
        """
        self._require_fit()
        end = split.end
        history = history.until(end) if history.end > end else history
        other = copy.copy(self)
        begin = self._heard_from if self._heard is None else self._heard_until
        parts = [] if self._heard is None else [self._heard]
        if end > begin:
            parts.append(self._listen(history, begin, end))
        other._settle(history, GateData.joined(parts), end)
        return other

    def _settle(self, history: History, data: GateData, end: np.datetime64) -> None:
        """Fit gate, leaning and calibration on what was heard of the experts since ``_heard_from``."""
        self._heard, self._heard_until = data, end
        with torch_threads(self.budget.threads), torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.budget.seed)
            self._gate, self._curves = fit_gate(data, self.budget)
            shares = self._gate.shares(data.inputs, data.usable)
        losses = [
            pinball_kw(data.roots[:, e] ** 2, data.target) / data.scale for e in range(len(self.experts))
        ]
        self.best_name = self.expert_names[int(np.argmin([loss.mean() for loss in losses]))]
        days = float((end - self._heard_from) / np.timedelta64(1, "D"))
        beliefs, trust = _beliefs(leads_for(history.meter.working_minutes), days)
        even, alone = (
            _even(data.usable),
            _alone(data.usable, self.expert_names.index(self.best_name)),
        )
        supports, count = data.supports, data.support_mean.shape[-1]
        self._leans, self._shifts = {}, {}
        for row, weights in ((self.name, shares), ("equal_weights", even), ("best_expert", alone)):
            own = mix(weights, data.mean, data.roots)
            if row == self.name:
                lean = Leans.fit(own, supports, data.target, data.kinds, beliefs)
            else:
                lean = Leans.even(len(self.experts) if row == "equal_weights" else 0, count)
            self._leans[row] = lean
            fitted = ConformalShift.fit(lean.apply(own, supports, data.kinds)[1], data.target, data.groups)
            self._shifts[row] = ConformalShift(fitted.shift * trust[:, None])

    def _listen(self, history: History, begin: np.datetime64, end: np.datetime64) -> GateData:
        """What experts and supports said of [begin, end) and what happened, flat over pairs of origin and
        lead. Raises ModelError when nothing was observed.
        """
        leads = leads_for(history.meter.working_minutes)
        near = tuple(lead for lead in leads if lead.end_minutes <= 60)
        far = tuple(lead for lead in leads if lead.end_minutes > 60)
        parts = []
        for kind, some in (("near", near), ("far", far)):
            every = max(SAMPLE_MINUTES[kind], history.meter.working_minutes)
            origins = history.origins(begin, end, every)
            if self.budget.max_rows:
                origins = origins[:: max(1, len(origins) * len(some) // self.budget.max_rows)]
            if some and len(origins):
                parts.append(self._heard_of(history, origins, some, end))
        data = GateData.joined(parts)
        if not len(data.target):
            raise ModelError(f"Nothing was observed between {begin} and {end} to fit a gate on.")
        return data

    def _heard_of(
        self, history: History, origins: Times, leads: tuple[LeadInterval, ...], end: np.datetime64
    ) -> GateData:
        mean, quantiles = self._ask(history, origins, leads)
        target = history.targets(origins, leads, end)
        past = Past.reaching(history, origins, self._level_kw)
        inputs = gate_inputs(past, origins, leads, mean, quantiles)
        support = self._support(history, origins, leads, quantiles)
        return GateData.of(
            origins,
            leads,
            inputs,
            mean,
            quantiles,
            target,
            clock_groups(origins, leads),
            lead_kinds(leads),
            support,
        )

    def _support(
        self, history: History, origins: Times, leads: tuple[LeadInterval, ...], quantiles: Floats
    ) -> tuple[Floats, Floats]:
        """Mean and quantiles of the supports; the experts' averaged quantiles (experts, …, 9) shape them."""
        assert self._supports is not None
        usable = np.isfinite(quantiles).all(-1, keepdims=True)
        sums = np.where(usable, np.sqrt(np.maximum(quantiles, 0)), 0).sum(0)
        even = (sums / np.maximum(usable.sum(0), 1)) ** 2
        return self._supports.ask(history, origins, leads, even)

    def _ask(
        self, history: History, origins: Times, leads: tuple[LeadInterval, ...]
    ) -> tuple[Floats, Floats]:
        """All experts: means (experts, origins, leads) and quantiles (experts, origins, leads, 9)."""
        forecasts = [expert.predict(history, origins, leads) for expert in self.experts]
        return np.stack([f.mean_kw for f in forecasts]), np.stack([f.quantiles_kw for f in forecasts])

    # --- asking -----------------------------------------------------------------------------------

    def predict(self, history: History, origins: Times, leads: tuple[LeadInterval, ...]) -> Forecast:
        """Forecast each lead from each origin. An expert that gives no number is left out where it does."""
        return self._forecasts(history, origins, leads, (self.name,))[self.name]

    def rows(self, history: History, origins: Times, leads: tuple[LeadInterval, ...]) -> dict[str, Forecast]:
        """Every row of the comparison from one asking: each expert, equal weights, best expert, mixture."""
        names = (*self.expert_names, "equal_weights", "best_expert", self.name)
        return self._forecasts(history, origins, leads, names)

    def shares(self, history: History, origins: Times, leads: tuple[LeadInterval, ...]) -> Floats:
        """Weight of each expert, (origins, leads, experts), summing to 1."""
        mean, quantiles = self._ask(history, origins, leads)
        return self._weights(history, origins, leads, mean, quantiles)

    def alternatives(self) -> "dict[str, FixedWeights]":
        """``equal_weights`` (of experts and support alike) and ``best_expert`` (alone), each calibrated."""
        return {name: FixedWeights(self, name) for name in ("equal_weights", "best_expert")}

    def _forecasts(
        self, history: History, origins: Times, leads: tuple[LeadInterval, ...], names: tuple[str, ...]
    ) -> dict[str, Forecast]:
        self._require_fit()
        block = max(1, BLOCK_PAIRS // len(leads))
        parts: dict[str, list[tuple[Floats, Floats]]] = {name: [] for name in names}
        for begin in range(0, max(len(origins), 1), block):
            some = origins[begin : begin + block]
            asked = self._ask(history, some, leads)
            support = self._support(history, some, leads, asked[1])
            for name in names:
                parts[name].append(self._row(name, history, some, leads, asked, support))
        return {
            name: Forecast(origins, leads, *(np.concatenate(arrays) for arrays in zip(*part, strict=True)))
            for name, part in parts.items()
        }

    def _row(
        self, name: str, history: History, origins: Times, leads: tuple[LeadInterval, ...],
        asked: tuple[Floats, Floats], support: tuple[Floats, Floats],
    ) -> tuple[Floats, Floats]:  # fmt: skip
        mean, quantiles = asked
        if name in self.expert_names:
            at = self.expert_names.index(name)
            return mean[at], quantiles[at]
        usable, roots = _usable(mean, quantiles), np.sqrt(np.maximum(quantiles, 0))
        if not usable.any(-1).all():
            raise ModelError(
                "Every expert failed for some origin; look at the readings before it, then retrain."
            )
        if name == "equal_weights":
            weights = _even(usable)
        elif name == "best_expert":
            weights = _alone(usable, self.expert_names.index(self.best_name))
        else:
            weights = self._weights(history, origins, leads, mean, quantiles)
        mixed = mix(
            weights, *(np.moveaxis(np.nan_to_num(a, posinf=0, neginf=0), 0, 2) for a in (mean, roots))
        )
        leaning = self._leans[name].apply(mixed, support, lead_kinds(leads))
        return finish(leaning[0], self._shifts[name].apply(leaning[1], clock_groups(origins, leads)))

    def _weights(
        self,
        history: History,
        origins: Times,
        leads: tuple[LeadInterval, ...],
        mean: Floats,
        quantiles: Floats,
    ) -> Floats:
        self._require_fit()
        usable = _usable(mean, quantiles)
        inputs = gate_inputs(Past.reaching(history, origins, self._level_kw), origins, leads, mean, quantiles)
        flat = inputs.reshape(-1, inputs.shape[-1]), usable.reshape(-1, usable.shape[-1])
        with torch_threads(self.budget.threads):
            return self._gate.shares(*flat).reshape(usable.shape)  # type: ignore[union-attr]

    def _require_fit(self) -> None:
        if self._gate is None:
            raise ModelError("mixture_of_experts is not fitted: call fit or load first.")

    # --- telling ----------------------------------------------------------------------------------

    def parameters(self) -> dict[str, Any]:
        """Flat settings and sizes, for the tracking run."""
        gate = self._gate
        return {"model": self.name, "experts": ",".join(self.expert_names), "best_expert": self.best_name,
                "seed": self.budget.seed, "gate_trust": gate.trust if gate else None,
                "gate_weights": sum(p.numel() for p in gate.parameters()) if gate else 0}  # fmt: skip

    def curves(self) -> pd.DataFrame:
        """Training and held-out loss of the gate."""
        return pd.DataFrame(
            [asdict(point) for point in self._curves], columns=["step", "training", "validation"]
        )

    # --- keeping ----------------------------------------------------------------------------------

    def save(self, directory: Path) -> None:
        """Write the gate and, in a folder each, the experts: the directory needs nothing else."""
        self._require_fit()
        kept = {f"gate.{k}": v.contiguous() for k, v in self._gate.state_dict().items()}  # type: ignore[union-attr]
        for row, shift in self._shifts.items():
            kept[f"shift.{row}"] = torch.from_numpy(shift.shift)
            kept[f"lean.{row}"] = torch.from_numpy(self._leans[row].shares)
        save_file(kept, str(directory / GATE_FILE))
        facts = {
            "experts": self.expert_names,
            "best_expert": self.best_name,
            "budget": asdict(self.budget),
            "level_kw": self._level_kw,
            "heard_from": str(self._heard_from),
            "heard_until": str(self._heard_until),
            "gate": self._gate.facts(),  # type: ignore[union-attr]
            "curves": [asdict(point) for point in self._curves],
        }
        (directory / FACTS_FILE).write_text(json.dumps(facts, indent=1))
        self._supports.save(directory)  # type: ignore[union-attr]
        for expert in self.experts:
            folder = directory / expert.name
            folder.mkdir()
            expert.save(folder)

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Read what ``save`` wrote. Raises ModelError when files are missing or do not fit."""
        try:
            facts = json.loads((directory / FACTS_FILE).read_text())
            kept = load_file(str(directory / GATE_FILE))
            mixture = cls(Budget(**facts["budget"]))
            mixture.expert_names, mixture.best_name = tuple(facts["experts"]), facts["best_expert"]
            mixture._level_kw = facts["level_kw"]
            gate = Gate(**facts["gate"])
            gate.load_state_dict(
                {k.removeprefix("gate."): v for k, v in kept.items() if k.startswith("gate.")}
            )
            mixture._gate = gate.eval()
            mixture._shifts = {
                k.removeprefix("shift."): ConformalShift(v.numpy())
                for k, v in kept.items()
                if k.startswith("shift.")
            }
            mixture._leans = {
                k.removeprefix("lean."): Leans(tuple(map(Lean, v.numpy())))
                for k, v in kept.items()
                if k.startswith("lean.")
            }
            mixture._supports = Supports.load(directory, mixture._level_kw)
            mixture._heard_from = np.datetime64(facts["heard_from"], "m")
            mixture._heard_until = np.datetime64(facts["heard_until"], "m")
            mixture._curves = [Curve(**point) for point in facts["curves"]]
        except (OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ModelError(
                f"No mixture could be read from {directory}: {error}. Train and save it again."
            ) from error
        mixture.experts = [NeuralExpert.load(directory / name) for name in mixture.expert_names]
        return mixture


class FixedWeights:
    """The mixture's experts under weights that do not depend on anything, as a row to compare with."""

    def __init__(self, mixture: MixtureOfExperts, name: str) -> None:
        self.mixture, self.name = mixture, name

    def predict(self, history: History, origins: Times, leads: tuple[LeadInterval, ...]) -> Forecast:
        """Forecast as the mixture does, under the fixed weights."""
        return self.mixture._forecasts(history, origins, leads, (self.name,))[self.name]


def _beliefs(leads: tuple[LeadInterval, ...], days: float) -> tuple[Floats, Floats]:
    """How much of a measured leaning (kinds,) and of a measured calibration (groups,) to believe, 0 … 1."""
    kinds, groups = np.zeros(KIND_COUNT, np.float32), np.zeros(GROUP_COUNT, np.float32)
    hours = np.datetime64("2000-01-01", "m") + np.arange(24) * np.timedelta64(60, "m")
    for lead, kind, by_hour in zip(leads, lead_kinds(leads), clock_groups(hours, leads).T, strict=True):
        kinds[kind] = groups[by_hour] = belief(lead, days)
    return kinds, groups


def mix(weights: Floats, mean: Floats, roots: Floats) -> tuple[Floats, Floats]:
    """Weighted means and quantiles in kW: weights and means (…, experts), roots of quantiles (…, experts, 9).

    Quantiles are averaged as square roots, which keeps the shape of each expert's distribution.
    """
    return (weights * mean).sum(-1), (weights[..., None] * roots).sum(-2) ** 2


def _usable(mean: Floats, quantiles: Floats) -> np.ndarray:
    """(origins, leads, experts): whether an expert gave numbers."""
    return np.moveaxis(np.isfinite(mean) & np.isfinite(quantiles).all(-1), 0, -1)


def _even(usable: np.ndarray) -> Floats:
    return (usable / np.maximum(usable.sum(-1, keepdims=True), 1)).astype(np.float32)


def _alone(usable: np.ndarray, at: int) -> Floats:
    """All weight on one expert; where it failed, even weights."""
    weights = _even(usable)
    weights[usable[..., at]] = np.eye(usable.shape[-1], dtype=np.float32)[at]
    return weights
