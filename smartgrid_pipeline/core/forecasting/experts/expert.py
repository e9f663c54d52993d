"""A neural expert: a short- and a long-horizon network around one of four encoders of the past."""

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
from smartgrid_pipeline.core.features.windows import AnalogWindow, TokenWindow, WindowSpec
from smartgrid_pipeline.core.forecasting.experts.long_horizon import LongHorizon
from smartgrid_pipeline.core.forecasting.experts.short_horizon import ShortHorizon
from smartgrid_pipeline.core.forecasting.forecaster import (
    FULL,
    Forecast,
    Split,
    TrainingBudget,
    sort_and_clip,
)
from smartgrid_pipeline.core.forecasting.leads import is_short
from smartgrid_pipeline.core.learning import network_arrays, storage
from smartgrid_pipeline.core.learning.training_loop import Curve, OptimizerConfig, RowSplit, torch_threads
from smartgrid_pipeline.core.schema import LeadInterval, ModelError, Times, leads_for

SHORT_HORIZON, LONG_HORIZON = "short_horizon", "long_horizon"

BURN_IN_DAYS = 28
"""Origins of the first days are left out of training: their longest means reach back further."""


@dataclass(frozen=True)
class ExpertConfig:
    """What distinguishes an expert: its encoder, and view of the past and training steps by horizon.

    ``match_days`` are the past days to which the long-horizon network attends.
    """

    encoder: str
    short_horizon: WindowSpec
    long_horizon: WindowSpec
    match_days: int = 0
    short_horizon_steps: int = 1_000
    long_horizon_steps: int = 320


EXPERT_CONFIGS = {
    "gru": ExpertConfig("gru", TokenWindow(240, 15, 15), TokenWindow(2 * DAY_MINUTES, 120, 120)),
    "cnn_lstm": ExpertConfig("cnn_lstm", TokenWindow(120, 1, 1), TokenWindow(2 * DAY_MINUTES, 15, 15)),
    "transformer": ExpertConfig(
        "transformer", TokenWindow(240, 20, 1), TokenWindow(14 * DAY_MINUTES, DAY_MINUTES, 120, daily=True)
    ),
    "attention": ExpertConfig(
        "attention", AnalogWindow(10, 60, 10, (-30, 0, 30)), AnalogWindow(28, DAY_MINUTES, 120), match_days=28
    ),
}


class NeuralExpert:
    """A Forecaster; ``name`` is one of EXPERT_CONFIGS."""

    def __init__(self, name: str, budget: TrainingBudget = FULL) -> None:
        if name not in EXPERT_CONFIGS:
            raise ModelError(f"No expert is called {name!r}; there are {', '.join(EXPERT_CONFIGS)}.")
        self.name, self.budget, self.config = name, budget, EXPERT_CONFIGS[name]
        self._fitted_on: dict[str, Any] = {}
        self._level_kw = 1.0
        self._horizons: dict[str, ShortHorizon | LongHorizon] = {}
        self._curves: dict[str, list[Curve]] = {}

    # --- fit --------------------------------------------------------------------------------------

    def fit(self, history: History, split: Split) -> None:
        """Train both networks on rows before ``split.train_end``; the holdout decides when to stop."""
        history = history.until(split.end)
        self._level_kw = mean_level_kw(history, split.start, split.train_end)
        self._horizons = self._untrained(leads_for(history.meter.working_minutes))
        series = MinuteSeries.of(history, self._level_kw)
        first, train_end, end = series.rows(np.array([split.start, split.train_end, split.end]))
        burn_in = min(series.steps(BURN_IN_DAYS * DAY_MINUTES), (train_end - first) // 4)
        rows = RowSplit(int(first + burn_in), int(train_end), int(end), self.budget.max_rows)
        seed = self.budget.seed * 100 + list(EXPERT_CONFIGS).index(self.name)
        with torch_threads(self.budget.threads), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            rng = np.random.default_rng(seed)
            for horizon, part in self._horizons.items():
                self._curves[horizon] = part.fit(series, rows, rng)
                assert part.network is not None
                network_arrays.round_to_half(part.network)
        self._fitted_on = storage.fitted_on(history.meter) | _inputs(history)

    def _untrained(self, leads: tuple[LeadInterval, ...]) -> dict[str, ShortHorizon | LongHorizon]:
        """Untrained networks by horizon, with their leads and schedules; horizons without leads are left
        out.
        """
        config, cap = self.config, self.budget.max_steps
        short = tuple(lead for lead in leads if is_short(lead))
        long = tuple(lead for lead in leads if not is_short(lead))
        short_schedule, long_schedule = (
            OptimizerConfig(min(steps, cap) if cap else steps)
            for steps in (config.short_horizon_steps, config.long_horizon_steps)
        )
        parts: dict[str, ShortHorizon | LongHorizon] = {
            SHORT_HORIZON: ShortHorizon(config.encoder, config.short_horizon, short, short_schedule),
            LONG_HORIZON: LongHorizon(
                config.encoder, config.long_horizon, long, long_schedule, config.match_days
            ),
        }
        return {horizon: part for horizon, part in parts.items() if part.leads}

    # --- predict ----------------------------------------------------------------------------------

    def predict(self, history: History, origins: Times, leads: tuple[LeadInterval, ...]) -> Forecast:
        """Forecast each lead from each origin, using only rows available at that origin."""
        storage.require_fit(self.name, self._fitted_on, history.meter, **_inputs(history))
        series = MinuteSeries.reaching(history, origins, self._level_kw)
        rows = series.rows(origins)
        mean = np.empty((len(origins), len(leads)), np.float32)
        quantiles = np.empty((len(origins), len(leads), 9), np.float32)
        with torch_threads(self.budget.threads):
            for part in self._horizons.values():
                columns = [j for j, lead in enumerate(leads) if lead in part.leads]
                if columns:
                    found = part.predict(series, rows, tuple(leads[j] for j in columns))
                    mean[:, columns], quantiles[:, columns] = found
        return Forecast(origins, leads, *sort_and_clip(mean, quantiles))

    # --- describe and store -----------------------------------------------------------------------

    def parameters(self) -> dict[str, Any]:
        """Flat settings and sizes, for the tracking run."""
        flat = {"model": self.name, "encoder": self.config.encoder, "seed": self.budget.seed,
                "short_horizon_view": str(self.config.short_horizon),
                "long_horizon_view": str(self.config.long_horizon)}  # fmt: skip
        for horizon, part in self._horizons.items():
            if part.network is not None:
                flat[f"{horizon}_weights"] = sum(p.numel() for p in part.network.parameters())
        steps = {f"{horizon}_steps_run": curve[-1].step for horizon, curve in self._curves.items() if curve}
        return flat | steps

    def curves(self) -> pd.DataFrame:
        """Training and validation loss of both networks: step, horizon, training, validation."""
        rows = [{"horizon": horizon, **asdict(point)}
                for horizon, curve in self._curves.items() for point in curve]  # fmt: skip
        return pd.DataFrame(rows, columns=["step", "horizon", "training", "validation"])

    def save(self, directory: Path) -> None:
        """Write weights (half precision) and facts into an existing, empty directory."""
        arrays: storage.Arrays = {}
        for horizon, part in self._horizons.items():
            assert part.network is not None
            arrays |= storage.add_prefix(horizon, network_arrays.to_arrays(part.network, half=True))
        facts = self._fitted_on and {
            "fitted_on": self._fitted_on,
            "level_kw": self._level_kw,
            "budget": asdict(self.budget),
            "sizes": {horizon: part.sizes for horizon, part in self._horizons.items()},
            "curves": {horizon: list(map(asdict, curve)) for horizon, curve in self._curves.items()},
        }
        storage.write(directory, self.name, facts, arrays)

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Read what ``save`` wrote. Raises ModelError when files are missing or do not fit."""
        with storage.read(directory, *EXPERT_CONFIGS) as (facts, arrays):
            expert = cls(facts["model"], TrainingBudget(**facts["budget"]))
            expert._fitted_on, expert._level_kw = facts["fitted_on"], facts["level_kw"]
            expert._horizons = expert._untrained(leads_for(facts["fitted_on"]["working_minutes"]))
            for horizon, part in expert._horizons.items():
                sizes = facts["sizes"][horizon]
                network = part.build(sizes | {"tokens": tuple(sizes["tokens"])})
                network_arrays.from_arrays(network, storage.take_prefix(horizon, arrays))
            expert._curves = {k: [Curve(**point) for point in v] for k, v in facts["curves"].items()}
        return expert


def _inputs(history: History) -> dict[str, Any]:
    """Channels whose single readings a history holds: they decide which inputs a network has."""
    return {"readings_within": sorted(history.within)}


def _expert(name: str) -> Callable[..., NeuralExpert]:
    return lambda budget=FULL: NeuralExpert(name, budget)


EXPERTS: dict[str, Callable[..., NeuralExpert]] = {name: _expert(name) for name in EXPERT_CONFIGS}
"""Expert name → what makes it, not fitted, from a budget."""
