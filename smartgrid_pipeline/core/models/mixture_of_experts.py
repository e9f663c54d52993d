"""The four experts weighted by a learned gate, per origin and lead; quantiles calibrated on the later block.

The gate is fitted on days the experts' weights never saw. It can always fall back to equal weights: how far
it may leave them is itself decided on held-out weeks of that block.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file, save_file

from smartgrid_pipeline.core.models.boost import Boost, Lean
from smartgrid_pipeline.core.models.calibration import GROUP_COUNT, ConformalShift, lead_groups
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
from smartgrid_pipeline.core.models.past import Past, typical_level
from smartgrid_pipeline.core.models.training import Curve, torch_threads
from smartgrid_pipeline.core.schema import LeadInterval, ModelError, leads_for

GATE_FILE, FACTS_FILE = "gate.safetensors", "mixture.json"

__all__ = ["FixedWeights", "MixtureOfExperts", "collapse_alarms", "entropy"]

SAMPLE_MINUTES = {"near": 20, "far": 180}
"""Origins of the later block that gate and calibration learn from: this far apart, for near and far leads."""

BELIEF_COUNT = 60
"""With this many separate targets half of a measured miscalibration is corrected."""

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
        self._boost = Boost()
        self._leans: dict[str, Lean] = {}
        self._shifts: dict[str, ConformalShift] = {}
        self._curves: list[Curve] = []
        self._level_kw = 1.0

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
        leads = leads_for(history.meter.working_minutes)
        self._boost = Boost.fit(Past.of(history, self._level_kw), split, leads, self.budget)
        data = self._later_block(history, split)
        with torch_threads(self.budget.threads), torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.budget.seed)
            self._gate, self._curves = fit_gate(data, self.budget)
            shares = self._gate.shares(data.inputs, data.usable)
        even = _even(data.usable)
        losses = [pinball_kw(data.roots[:, e] ** 2, data.target) / data.scale for e in range(len(experts))]
        self.best_name = self.expert_names[int(np.argmin([loss.mean() for loss in losses]))]
        alone = _alone(data.usable, self.expert_names.index(self.best_name))
        belief = _belief(leads, float((split.end - split.fit_end) / np.timedelta64(1, "D")))
        for row, weights in ((self.name, shares), ("equal_weights", even), ("best_expert", alone)):
            mean, mixed = mix(weights, data.mean, data.roots)
            lean = Lean.fit(mean, mixed, data.boosted, data.target, data.groups)
            _, leaning = lean.apply(mean, mixed, data.boosted, data.groups)
            self._leans[row] = lean
            fitted = ConformalShift.fit(leaning, data.target, data.groups)
            self._shifts[row] = ConformalShift(fitted.shift * belief[:, None])

    def _later_block(self, history: History, split: Split) -> GateData:
        """Experts' forecasts and what happened, flat over pairs of origin and lead of the later block."""
        leads = leads_for(history.meter.working_minutes)
        near = tuple(lead for lead in leads if lead.end_minutes <= 60)
        far = tuple(lead for lead in leads if lead.end_minutes > 60)
        parts = []
        for kind, some in (("near", near), ("far", far)):
            every = max(SAMPLE_MINUTES[kind], history.meter.working_minutes)
            origins = history.origins(split.fit_end, split.end, every)
            if self.budget.max_rows:
                origins = origins[:: max(1, len(origins) * len(some) // self.budget.max_rows)]
            if some and len(origins):
                mean, quantiles = self._ask(history, origins, some)
                target = history.targets(origins, some, split.end)
                inputs = gate_inputs(
                    Past.reaching(history, origins, self._level_kw), origins, some, mean, quantiles
                )
                past = Past.of(history, self._level_kw)
                boosted = self._boost.predict(past, past.rows(origins), some)
                groups = lead_groups(some)
                parts.append(GateData.of(origins, some, inputs, mean, quantiles, target, groups, boosted))
        data = GateData.joined(parts)
        if not len(data.target):
            raise ModelError(
                f"Nothing was observed between {split.fit_end} and {split.end} to fit a gate on."
            )
        return data

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
        """``equal_weights`` and ``best_expert`` as forecasters, calibrated as the mixture is."""
        return {name: FixedWeights(self, name) for name in ("equal_weights", "best_expert")}

    def _forecasts(
        self, history: History, origins: Times, leads: tuple[LeadInterval, ...], names: tuple[str, ...]
    ) -> dict[str, Forecast]:
        self._require_fit()
        block = max(1, BLOCK_PAIRS // len(leads))
        parts: dict[str, list[tuple[Floats, Floats]]] = {name: [] for name in names}
        for begin in range(0, max(len(origins), 1), block):
            some = origins[begin : begin + block]
            mean, quantiles = self._ask(history, some, leads)
            for name in names:
                parts[name].append(self._row(name, history, some, leads, mean, quantiles))
        return {
            name: Forecast(origins, leads, *(np.concatenate(arrays) for arrays in zip(*part, strict=True)))
            for name, part in parts.items()
        }

    def _row(
        self, name: str, history: History, origins: Times, leads: tuple[LeadInterval, ...],
        mean: Floats, quantiles: Floats,
    ) -> tuple[Floats, Floats]:  # fmt: skip
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
        past = Past.reaching(history, origins, self._level_kw)
        boosted = self._boost.predict(past, past.rows(origins), leads)
        groups = lead_groups(leads)
        mixed = mix(
            weights, *(np.moveaxis(np.nan_to_num(a, posinf=0, neginf=0), 0, 2) for a in (mean, roots))
        )
        mixed_mean, leaning = self._leans[name].apply(*mixed, boosted, groups)
        return finish(mixed_mean, self._shifts[name].apply(leaning, groups))

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
            "gate": self._gate.facts(),  # type: ignore[union-attr]
            "curves": [asdict(point) for point in self._curves],
        }
        (directory / FACTS_FILE).write_text(json.dumps(facts, indent=1))
        self._boost.save(directory)
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
                k.removeprefix("lean."): Lean(v.numpy()) for k, v in kept.items() if k.startswith("lean.")
            }
            mixture._boost = Boost.load(directory)
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


def _belief(leads: tuple[LeadInterval, ...], block_days: float) -> Floats:
    """How much of a calibration to believe, (groups,), 0 … 1, by how many separate targets the block held:
    one a day for far leads, one an hour for near ones, one a week for the next week.
    """
    belief = np.zeros(GROUP_COUNT, np.float32)
    for lead, group in zip(leads, lead_groups(leads), strict=True):
        separate = block_days * (24 if lead.end_minutes <= 60 else 1) / max(1, lead.width_minutes / 1440)
        belief[group] = separate / (separate + BELIEF_COUNT)
    return belief


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
