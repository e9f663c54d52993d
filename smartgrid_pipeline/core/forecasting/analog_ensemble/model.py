"""The past days as an ensemble whose weights are learned: by age, weekday and likeness of the days before.

Its distributions are made of what really happened, so they keep the shape of a home's use. It needs no more
than power readings, starts from weights that suit most homes, and learns the home's own from its history.
"""

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.features.tabular import Rows
from smartgrid_pipeline.core.forecasting.analog_ensemble.kernel import (
    Kernel,
    energy_score,
    look,
    weighted_quantiles,
)
from smartgrid_pipeline.core.forecasting.analog_ensemble.similarity import NAMES, spreads
from smartgrid_pipeline.core.forecasting.climatology import Climatology
from smartgrid_pipeline.core.forecasting.forecaster import FULL, Forecast, Split, TrainingBudget, finish
from smartgrid_pipeline.core.learning import network_arrays, storage
from smartgrid_pipeline.core.learning.training_loop import Curve, Schedule, cosine, torch_threads, train
from smartgrid_pipeline.core.schema import Floats, LeadInterval, Times, leads_for

STEPS, BATCH, RATE, LOWEST_RATE = 150, 192, 0.03, 0.05
"""How the weights are learned. Few steps on purpose: the weights they start from are good ones."""

WARM_DAYS, LEARNING_DAYS = 60, 300
"""The first days have too little past to learn from; with fewer days than these, fewer steps are made."""

MIDNIGHTS = 0.7
"""Share of the origins learned from that lie at midnight, where day-ahead forecasts are asked for."""

BLOCK = 2_000
"""Pairs of origin and lead forecast at a time, so that memory stays bounded."""

_ALIKE = (
    -2.5, -1.1, -0.9, -1.1, -3.5, -2.8, -1.6, -3.5, -2.2, -3.3, -4.0, -3.5,
    -3.3, -3.8, -2.8,
    -4.1, -2.2, -3.2, -3.7, -2.2, -3.5, -4.7, -2.7,
)  # fmt: skip

START: dict[str, float | list[float]] = {
    "memory": 2.5, "long_share": -2.4, "long_memory": 5.2, "year_share": -1.7, "year_width": 3.9,
    "weekday": 0.7, "kind": 0.6, "beside": 0.0, "most": 2.2, "alike": list(_ALIKE),
}  # fmt: skip
"""Settings found on other homes; each home moves them a little. ``alike`` is in the order of NAMES."""


class AnalogEnsemble:
    """A Forecaster; see the module."""

    name = "learned_analogue"

    def __init__(self, budget: TrainingBudget = FULL) -> None:
        self.budget = budget
        self._fitted_on: dict[str, Any] = {}
        self._climatology = Climatology.unknown()
        self._kernel = Kernel(START)
        self._spreads: dict[int, Floats] = {}
        self._curves: list[Curve] = []

    # --- learning ---------------------------------------------------------------------------------

    def fit(self, history: History, split: Split) -> None:
        """Learn from the earlier block; the later one only has a say in the last resort, a climatology."""
        self._climatology = Climatology.fit(history, split)
        history = history.until(split.train_end)
        widths = sorted({lead.width_minutes for lead in leads_for(history.meter.working_minutes)})
        self._spreads = {width: spreads(history, split.start, split.train_end, width) for width in widths}
        self._kernel, self._curves = Kernel(START), []
        with torch_threads(self.budget.threads):
            self._learn(history, split.start + np.timedelta64(WARM_DAYS, "D"))
        self._fitted_on = storage.fitted_on(history.meter)

    def _learn(self, history: History, first: np.datetime64) -> None:
        days = float((history.end - first) / np.timedelta64(1, "D"))
        steps = round(STEPS * float(np.clip(days / LEARNING_DAYS, 0, 1)))
        steps = min(steps, steps if self.budget.max_steps is None else self.budget.max_steps)
        if not steps:
            return
        rng = np.random.default_rng(self.budget.seed)
        scale = max(float(np.nanmean(history.power_kw, dtype=np.float64)), 1e-3)

        def loss(kernel: nn.Module) -> Tensor | None:
            scores = self._scores(history, first, rng)
            return scores.mean() / scale if len(scores) else None

        schedule = Schedule(
            steps, RATE, weight_decay=0, check_every=1, factor=partial(cosine, floor=LOWEST_RATE)
        )
        self._curves = train(self._kernel, loss, None, schedule)

    def _scores(self, history: History, first: np.datetime64, rng: np.random.Generator) -> Tensor:
        """CRPS (kW) of random hours of the day after random origins; those not observed are left out."""
        hours = max(1, int((history.end - first) / np.timedelta64(60, "m")) - 24)
        origins = first + rng.integers(0, hours, BATCH) * np.timedelta64(60, "m")
        midnights = origins.astype("datetime64[D]").astype("datetime64[m]")
        origins = np.where(rng.random(BATCH) < MIDNIGHTS, midnights, origins)
        starts, rows = rng.integers(0, 24, BATCH) * 60, history.rows(origins)
        after = rows + 1 + starts // history.meter.working_minutes
        observed = history.interval_means(after, 60, complete=True)
        good = np.isfinite(observed) & (rows >= 0)
        if not good.any():
            return torch.zeros(0)
        seen = look(history, self._spreads[60], rows[good], starts[good, None], 60)
        weights, values = self._kernel(seen)
        known = torch.isfinite(seen.values_kw).flatten(-2).any(-1)
        return energy_score(weights, values, torch.from_numpy(observed[good])[:, None])[known]

    # --- asking -----------------------------------------------------------------------------------

    def predict(self, history: History, origins: Times, leads: tuple[LeadInterval, ...]) -> Forecast:
        """Forecast each lead from each origin, using only rows available at that origin."""
        storage.require_fit(self.name, self._fitted_on, history.meter)
        origins = origins.astype("datetime64[m]")
        usual = self._climatology.predict(origins, leads)
        mean, quantiles = usual[..., 0].copy(), usual[..., 1:].copy()
        with torch_threads(self.budget.threads), torch.no_grad():
            for width in sorted({lead.width_minutes for lead in leads}):
                at = np.array([j for j, lead in enumerate(leads) if lead.width_minutes == width])
                starts = np.array([leads[j].start_minutes for j in at])
                size = max(1, BLOCK // len(at))
                for begin in range(0, len(origins) if len(history.starts) else 0, size):
                    rows = np.arange(begin, min(begin + size, len(origins)))
                    self._ask(history, origins[rows], starts, width, mean, quantiles, np.ix_(rows, at))
        return Forecast(origins, leads, *finish(mean, quantiles))

    def _ask(
        self, history: History, origins: Times, starts: Rows, width: int,
        mean: Floats, quantiles: Floats, place: tuple[Rows, ...],
    ) -> None:  # fmt: skip
        """Put the forecasts of leads of one width into their place, where any past day is known."""
        seen = look(history, self._spreads[width], history.rows(origins), starts[None], width)
        weights, values = self._kernel(seen)
        known = torch.isfinite(seen.values_kw).flatten(-2).any(-1).numpy()
        mean[place] = np.where(known, (weights * values).sum(-1).numpy(), mean[place])
        found = weighted_quantiles(weights, values).numpy()
        quantiles[place] = np.where(known[..., None], found, quantiles[place])

    # --- telling and keeping ----------------------------------------------------------------------

    def parameters(self) -> dict[str, Any]:
        """Flat settings and sizes, for the tracking run."""
        own = dict(self._kernel.named_parameters())
        days = {f"{name}_log": round(own[name].item(), 3) for name in ("memory", "long_memory", "year_share")}
        return {"model": self.name, "seed": self.budget.seed, "weights": len(own) - 1 + len(NAMES), **days}

    def curves(self) -> pd.DataFrame:
        """Training loss (CRPS over mean power) per step."""
        return pd.DataFrame(map(asdict, self._curves), columns=["step", "training"])

    def save(self, directory: Path) -> None:
        """Write the fitted model into an existing, empty directory."""
        facts = self._fitted_on and {"fitted_on": self._fitted_on, "budget": asdict(self.budget),
                                     "curves": [asdict(point) for point in self._curves]}  # fmt: skip
        arrays = storage.add_prefix("kernel", network_arrays.to_arrays(self._kernel))
        arrays |= storage.add_prefix("spread", {str(width): kw for width, kw in self._spreads.items()})
        storage.write(directory, self.name, facts, arrays | {"climatology_kw": self._climatology.kw})

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Read what ``save`` wrote. Raises ModelError when files are missing or do not fit."""
        with storage.read(directory, cls.name) as (facts, arrays):
            model = cls(TrainingBudget(**facts["budget"]))
            model._fitted_on = facts["fitted_on"]
            model._curves = [Curve(**point) for point in facts["curves"]]
            model._climatology = Climatology(arrays["climatology_kw"])
            network_arrays.from_arrays(model._kernel, storage.take_prefix("kernel", arrays))
            model._spreads = {int(k): kw for k, kw in storage.take_prefix("spread", arrays).items()}
        return model
