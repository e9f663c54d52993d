"""Four neural experts with different views of the past, one class: GRU, CNN-LSTM, Transformer, Attention."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import torch

from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.features.lags import DAY_MINUTES
from smartgrid_pipeline.core.features.minute_series import MinuteSeries, mean_level_kw
from smartgrid_pipeline.core.features.windows import MatchView, TokenView, View
from smartgrid_pipeline.core.forecasting.experts.horizons import RowSplit
from smartgrid_pipeline.core.forecasting.experts.long_horizon import LongHorizon
from smartgrid_pipeline.core.forecasting.experts.short_horizon import ShortHorizon
from smartgrid_pipeline.core.forecasting.forecaster import FULL, Forecast, Split, TrainingBudget, finish
from smartgrid_pipeline.core.forecasting.leads import is_short
from smartgrid_pipeline.core.learning import network_arrays, storage
from smartgrid_pipeline.core.learning.training_loop import Curve, Schedule, torch_threads
from smartgrid_pipeline.core.schema import LeadInterval, ModelError, Times, leads_for


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
    "gru": ExpertConfig("gru", TokenView(240, 15, 15), TokenView(2 * DAY_MINUTES, 120, 120)),
    "cnn_lstm": ExpertConfig("cnn_lstm", TokenView(120, 1, 1), TokenView(2 * DAY_MINUTES, 15, 15)),
    "transformer": ExpertConfig(
        "transformer", TokenView(240, 20, 1), TokenView(14 * DAY_MINUTES, DAY_MINUTES, 120, daily=True)
    ),
    "attention": ExpertConfig(
        "attention", MatchView(10, 60, 10, (-30, 0, 30)), MatchView(28, DAY_MINUTES, 120), match_days=28
    ),
}


class NeuralExpert:
    """One expert: a near and a far network over the same past."""

    def __init__(self, name: str, budget: TrainingBudget = FULL) -> None:
        if name not in EXPERT_CONFIGS:
            raise ModelError(f"No expert is called {name!r}; there are {', '.join(EXPERT_CONFIGS)}.")
        self.name, self.budget, self.plan = name, budget, EXPERT_CONFIGS[name]
        self._fitted_on: dict[str, Any] = {}
        self._level_kw = 1.0
        self._near: ShortHorizon | None = None
        self._far: LongHorizon | None = None
        self._curves: dict[str, list[Curve]] = {}

    # --- learning ---------------------------------------------------------------------------------

    def fit(self, history: History, split: Split) -> None:
        """Train both halves on rows before ``split.train_end``, stopped on the rest of the split."""
        history = history.until(split.end) if history.end > split.end else history
        self._level_kw = mean_level_kw(history, split.start, split.train_end)
        self._fitted_on = storage.fitted_on(history.meter) | _inputs(history)
        self._halves(leads_for(history.meter.working_minutes))
        self._train(history, split)

    def _train(self, history: History, split: Split) -> None:
        past = MinuteSeries.of(history, self._level_kw)
        first, train_end, end = past.rows(np.array([split.start, split.train_end, split.end]))
        warm = min(past.steps(28 * DAY_MINUTES), (train_end - first) // 4)
        blocks = RowSplit(int(first + warm), int(train_end), int(end), self.budget.max_rows)
        seed = self.budget.seed * 100 + list(EXPERT_CONFIGS).index(self.name)
        with torch_threads(self.budget.threads), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            rng = np.random.default_rng(seed)
            for half in self._present_halves():
                kind = "near" if half is self._near else "far"
                self._curves[kind] = half.fit(past, blocks, rng)
                assert half.network is not None
                network_arrays.round_to_half(half.network)

    def _halves(self, leads: tuple[LeadInterval, ...]) -> None:
        plan, cap = self.plan, self.budget.max_steps
        near, far = tuple(filter(is_short, leads)), tuple(lead for lead in leads if not is_short(lead))
        schedules = [
            Schedule(min(steps, cap) if cap else steps) for steps in (plan.near_steps, plan.far_steps)
        ]
        self._near = ShortHorizon(plan.encoder, plan.near, near, schedules[0]) if near else None
        self._far = LongHorizon(plan.encoder, plan.far, far, schedules[1], plan.match_days) if far else None

    def _named_halves(self) -> dict[str, ShortHorizon | LongHorizon]:
        halves = {"near": self._near, "far": self._far}
        return {kind: half for kind, half in halves.items() if half is not None}

    def _present_halves(self) -> list[ShortHorizon | LongHorizon]:
        return list(self._named_halves().values())

    # --- asking -----------------------------------------------------------------------------------

    def predict(self, history: History, origins: Times, leads: tuple[LeadInterval, ...]) -> Forecast:
        """Forecast each lead from each origin, using only rows available at that origin."""
        self._require_fit(history)
        past = MinuteSeries.reaching(history, origins, self._level_kw)
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
        storage.require_fit(self.name, self._fitted_on, history.meter, **_inputs(history))

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
        """Write weights (half precision) and facts into an existing, empty directory."""
        halves = self._named_halves()
        arrays: storage.Arrays = {}
        for kind, half in halves.items():
            assert half.network is not None
            arrays |= storage.add_prefix(kind, network_arrays.to_arrays(half.network, half=True))
        facts = self._fitted_on and {
            "fitted_on": self._fitted_on,
            "level_kw": self._level_kw,
            "budget": asdict(self.budget),
            "sizes": {kind: half.sizes for kind, half in halves.items()},
            "curves": {kind: [asdict(point) for point in curve] for kind, curve in self._curves.items()},
        }
        storage.write(directory, self.name, facts, arrays)

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Read what ``save`` wrote. Raises ModelError when files are missing or do not fit."""
        with storage.read(directory, *EXPERT_CONFIGS) as (facts, arrays):
            expert = cls(facts["model"], TrainingBudget(**facts["budget"]))
            expert._fitted_on, expert._level_kw = facts["fitted_on"], facts["level_kw"]
            expert._halves(leads_for(facts["fitted_on"]["working_minutes"]))
            for kind, half in expert._named_halves().items():
                sizes = {
                    key: tuple(v) if isinstance(v, list) else v for key, v in facts["sizes"][kind].items()
                }
                network_arrays.from_arrays(half.build(sizes), storage.take_prefix(kind, arrays))
            expert._curves = {k: [Curve(**point) for point in v] for k, v in facts["curves"].items()}
        return expert


def _inputs(history: History) -> dict[str, Any]:
    """Which channels a history has reading by reading: they shape the inputs of a network."""
    return {"readings_within": sorted(history.within)}


def _expert(name: str) -> Callable[..., NeuralExpert]:
    return lambda budget=FULL: NeuralExpert(name, budget)


EXPERTS: dict[str, Callable[..., NeuralExpert]] = {name: _expert(name) for name in EXPERT_CONFIGS}
"""How to make each expert from a budget."""
