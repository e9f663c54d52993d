"""Four neural experts with different views of the past, one class: GRU, CNN-LSTM, Transformer, Attention."""

import copy
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file, save_file

from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.features.minute_series import MinuteSeries, mean_level_kw
from smartgrid_pipeline.core.features.windows import DAY, MatchView, TokenView
from smartgrid_pipeline.core.forecasting.experts.horizons import RowSplit, View
from smartgrid_pipeline.core.forecasting.experts.long_horizon import LongHorizon
from smartgrid_pipeline.core.forecasting.experts.short_horizon import ShortHorizon
from smartgrid_pipeline.core.forecasting.forecaster import FULL, Forecast, Split, TrainingBudget, finish
from smartgrid_pipeline.core.forecasting.leads import is_short
from smartgrid_pipeline.core.learning.training_loop import Curve, Schedule, torch_threads
from smartgrid_pipeline.core.schema import LeadInterval, ModelError, Times, leads_for

WARM_PART, WARM_RATE = 8, 3e-4
"""A monthly update takes this part of the steps of a training, at this rate."""

WEIGHTS_FILE, FACTS_FILE = "expert.safetensors", "expert.json"


@dataclass(frozen=True)
class ExpertConfig:
    """What makes an expert itself: its encoder, what that sees for near and far leads, and for how long."""

    encoder: str
    near: View
    far: View
    match_days: int = 0
    near_steps: int = 1_000
    far_steps: int = 320


EXPERT_CONFIGS = {
    "gru": ExpertConfig("gru", TokenView(240, 15, 15), TokenView(2 * DAY, 120, 120)),
    "cnn_lstm": ExpertConfig("cnn_lstm", TokenView(120, 1, 1), TokenView(2 * DAY, 15, 15)),
    "transformer": ExpertConfig(
        "transformer", TokenView(240, 20, 1), TokenView(14 * DAY, DAY, 120, daily=True)
    ),
    "attention": ExpertConfig(
        "attention", MatchView(10, 60, 10, (-30, 0, 30)), MatchView(28, DAY, 120), match_days=28
    ),
}


class NeuralExpert:
    """One expert: a near and a far network over the same past."""

    def __init__(self, name: str, budget: TrainingBudget = FULL) -> None:
        if name not in EXPERT_CONFIGS:
            raise ModelError(f"No expert is called {name!r}; there are {', '.join(EXPERT_CONFIGS)}.")
        self.name, self.budget, self.plan = name, budget, EXPERT_CONFIGS[name]
        self._facts: dict[str, Any] = {}
        self._near: ShortHorizon | None = None
        self._far: LongHorizon | None = None
        self._curves: dict[str, list[Curve]] = {}

    # --- learning ---------------------------------------------------------------------------------

    def fit(self, history: History, split: Split) -> None:
        """Train both halves on rows before ``split.train_end``, stopped on the rest of the split."""
        history = history.until(split.end) if history.end > split.end else history
        self._facts = {"level_kw": mean_level_kw(history, split.start, split.train_end), **_identity(history)}
        self._halves(leads_for(history.meter.working_minutes))
        self._train(history, split)

    def updated(self, history: History, split: Split) -> Self:
        """This expert after a short training on newer rows, at a low rate, from the weights it has; it stays
        as it is itself.
        """
        self._require_fit(history)
        history = history.until(split.end) if history.end > split.end else history
        other = copy.deepcopy(self)
        for half in other._present_halves():
            steps = max(2, half.schedule.steps // WARM_PART)
            half.schedule = replace(
                half.schedule, steps=steps, rate=WARM_RATE, check_every=max(1, steps // 4)
            )
            half.trained = True
        other._train(history, split)
        return other

    def _train(self, history: History, split: Split) -> None:
        past = MinuteSeries.of(history, self._facts["level_kw"])
        first, train_end, end = past.rows(np.array([split.start, split.train_end, split.end]))
        warm = min(past.steps(28 * DAY), (train_end - first) // 4)
        blocks = RowSplit(int(first + warm), int(train_end), int(end), self.budget.max_rows)
        seed = self.budget.seed * 100 + list(EXPERT_CONFIGS).index(self.name)
        with torch_threads(self.budget.threads), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            rng = np.random.default_rng(seed)
            for half in self._present_halves():
                kind = "near" if half is self._near else "far"
                self._curves[kind] = half.fit(past, blocks, rng)
                _round_to_half(half.network)

    def _halves(self, leads: tuple[LeadInterval, ...]) -> None:
        plan, cap = self.plan, self.budget.max_steps
        near, far = tuple(filter(is_short, leads)), tuple(lead for lead in leads if not is_short(lead))
        schedules = [
            Schedule(min(steps, cap) if cap else steps) for steps in (plan.near_steps, plan.far_steps)
        ]
        self._near = ShortHorizon(plan.encoder, plan.near, near, schedules[0]) if near else None
        self._far = LongHorizon(plan.encoder, plan.far, far, schedules[1], plan.match_days) if far else None

    def _present_halves(self) -> list[ShortHorizon | LongHorizon]:
        return [half for half in (self._near, self._far) if half is not None]

    # --- asking -----------------------------------------------------------------------------------

    def predict(self, history: History, origins: Times, leads: tuple[LeadInterval, ...]) -> Forecast:
        """Forecast each lead from each origin, using only rows available at that origin."""
        self._require_fit(history)
        past = MinuteSeries.reaching(history, origins, self._facts["level_kw"])
        rows = past.rows(origins)
        mean = np.empty((len(origins), len(leads)), np.float32)
        quantiles = np.empty((len(origins), len(leads), 9), np.float32)
        with torch_threads(self.budget.threads):
            for half in self._present_halves():
                at = [j for j, lead in enumerate(leads) if lead in half.leads]
                if at:
                    mean[:, at], quantiles[:, at] = half.predict(past, rows, tuple(leads[j] for j in at))
        return Forecast(origins, leads, *finish(mean, quantiles))

    def _require_fit(self, history: History) -> None:
        if not self._facts:
            raise ModelError(f"{self.name} is not fitted: call fit or load first.")
        found = _identity(history)
        wrong = [key for key, value in found.items() if self._facts[key] != value]
        if wrong:
            raise ModelError(
                f"{self.name} was fitted on another kind of meter: {wrong[0]} was {self._facts[wrong[0]]}, "
                f"found {found[wrong[0]]}. Fit it on this meter."
            )

    # --- telling ----------------------------------------------------------------------------------

    def parameters(self) -> dict[str, Any]:
        """Flat settings and sizes, for the tracking run."""
        networks = {"near": self._near and self._near.network, "far": self._far and self._far.network}
        counts = {
            f"{kind}_weights": sum(p.numel() for p in net.parameters())
            for kind, net in networks.items()
            if net
        }
        steps = {f"{kind}_steps_run": curve[-1].step for kind, curve in self._curves.items() if curve}
        return {"model": self.name, "encoder": self.plan.encoder, "near_view": str(self.plan.near),
                "far_view": str(self.plan.far), "seed": self.budget.seed, **counts, **steps}  # fmt: skip

    def curves(self) -> pd.DataFrame:
        """Training and validation loss of both halves: step, half, training, validation."""
        rows = [{"half": kind, **asdict(point)} for kind, curve in self._curves.items() for point in curve]
        return pd.DataFrame(rows, columns=["step", "half", "training", "validation"])

    # --- keeping ----------------------------------------------------------------------------------

    def save(self, directory: Path) -> None:
        """Write weights (half precision) and facts into an existing directory."""
        if not self._facts:
            raise ModelError(f"{self.name} is not fitted: there is nothing to save.")
        kept = {}
        halves = {"near": self._near, "far": self._far}
        for kind, half in halves.items():
            if half is not None and half.network is not None:
                parameters = {name for name, _ in half.network.named_parameters()}
                for name, tensor in half.network.state_dict().items():
                    kept[f"{kind}.{name}"] = tensor.half() if name in parameters else tensor.contiguous()
        save_file(kept, str(directory / WEIGHTS_FILE))
        facts = {
            "name": self.name,
            "facts": self._facts,
            "budget": asdict(self.budget),
            "sizes": {kind: half.sizes for kind, half in halves.items() if half is not None},
            "curves": {kind: [asdict(point) for point in curve] for kind, curve in self._curves.items()},
        }
        (directory / FACTS_FILE).write_text(json.dumps(facts, indent=1))

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Read what ``save`` wrote. Raises ModelError when files are missing or do not fit."""
        try:
            kept = json.loads((directory / FACTS_FILE).read_text())
            weights = load_file(str(directory / WEIGHTS_FILE))
            expert = cls(kept["name"], TrainingBudget(**kept["budget"]))
            expert._facts = kept["facts"]
            expert._halves(leads_for(kept["facts"]["working_minutes"]))
            for kind, half in (("near", expert._near), ("far", expert._far)):
                if half is not None:
                    sizes = {
                        key: tuple(v) if isinstance(v, list) else v for key, v in kept["sizes"][kind].items()
                    }
                    network = half.build(sizes)
                    mine = {
                        k.removeprefix(f"{kind}."): v.float()
                        for k, v in weights.items()
                        if k.startswith(kind)
                    }
                    network.load_state_dict(mine)
                    network.eval()
            expert._curves = {k: [Curve(**point) for point in v] for k, v in kept["curves"].items()}
        except (OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ModelError(
                f"No expert could be read from {directory}: {error}. Train and save it again."
            ) from error
        return expert


def _identity(history: History) -> dict[str, Any]:
    """What a meter must share with the one that was learned from."""
    meter = history.meter
    return {
        "step_minutes": meter.step_minutes,
        "working_minutes": meter.working_minutes,
        "channels": list(meter.channels),
        "readings_within": sorted(history.within),
    }


def _round_to_half(network: torch.nn.Module | None) -> None:
    """Round weights to what is stored, so that a loaded model is the same model."""
    if network is not None:
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.copy_(parameter.half().float())


def _expert(name: str) -> Callable[..., NeuralExpert]:
    return lambda budget=FULL: NeuralExpert(name, budget)


EXPERTS: dict[str, Callable[..., NeuralExpert]] = {name: _expert(name) for name in EXPERT_CONFIGS}
"""How to make each expert from a budget."""
