"""The analog ensemble: past days as members, weighted by learned similarity (Delle Monache et al. 2013).

The members are what really happened, so distributions keep the shape of a home's use. The model needs no more
than power readings. Its kernel starts from weights that suit most homes and is trained on the home's history.
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
from smartgrid_pipeline.core.forecasting.analog_ensemble.kernel import (
    Kernel,
    energy_score,
    kernel_inputs,
    weighted_quantiles,
)
from smartgrid_pipeline.core.forecasting.analog_ensemble.similarity import NAMES, spreads
from smartgrid_pipeline.core.forecasting.climatology import Climatology
from smartgrid_pipeline.core.forecasting.forecaster import (
    FULL,
    Forecast,
    Split,
    TrainingBudget,
    sort_and_clip,
)
from smartgrid_pipeline.core.learning import network_arrays, storage
from smartgrid_pipeline.core.learning.training_loop import (
    Curve,
    OptimizerConfig,
    cosine,
    torch_threads,
    train,
)
from smartgrid_pipeline.core.schema import Floats, LeadInterval, Rows, Times, leads_for

STEPS, BATCH, RATE, LOWEST_RATE = 150, 192, 0.03, 0.05
"""Steps, batch, learning rate and its last fraction. The steps are few as the starting weights are good."""

BURN_IN_DAYS, ENOUGH_DAYS = 60, 300
"""Origins of the first days are left out of training: too little came before. With fewer days than the second
number, proportionally fewer steps are made.
"""

MIDNIGHT_SHARE = 0.7
"""Share of training origins at midnight, when day-ahead forecasts are made."""

BLOCK_PAIRS = 2_000
"""Pairs of origin and lead forecast at a time, so that memory stays bounded."""

START: dict[str, float | list[float]] = {
    "memory": 2.5, "long_share": -2.4, "long_memory": 5.2, "year_share": -1.7, "year_width": 3.9,
    "weekday": 0.7, "day_type": 0.6, "shift_decay": 0.0, "largest_distance": 2.2,
    "feature_weights": [
        -2.5, -1.1, -0.9, -1.1, -3.5, -2.8, -1.6, -3.5, -2.2, -3.3, -4.0, -3.5,
        -3.3, -3.8, -2.8,
        -4.1, -2.2, -3.2, -3.7, -2.2, -3.5, -4.7, -2.7,
    ],
}  # fmt: skip
"""Parameters of the kernel before training, found on other homes; ``feature_weights`` as NAMES."""


class AnalogEnsemble:
    """A Forecaster of all leads; see the module."""

    name = "analog_ensemble"

    def __init__(self, budget: TrainingBudget = FULL) -> None:
        self.budget = budget
        self._fitted_on: dict[str, Any] = {}
        self._climatology = Climatology.unknown()
        self._kernel = Kernel(START)
        self._spreads: dict[int, Floats] = {}
        self._curves: list[Curve] = []

    # --- fit --------------------------------------------------------------------------------------

    def fit(self, history: History, split: Split) -> None:
        """Train the kernel on rows before ``split.train_end``; only the climatology uses the holdout."""
        self._climatology = Climatology.fit(history, split)
        history = history.until(split.train_end)
        widths = sorted({lead.width_minutes for lead in leads_for(history.meter.working_minutes)})
        self._spreads = {width: spreads(history, split.start, split.train_end, width) for width in widths}
        self._kernel, self._curves = Kernel(START), []
        with torch_threads(self.budget.threads):
            self._train(history, split.start + np.timedelta64(BURN_IN_DAYS, "D"))
        self._fitted_on = storage.fitted_on(history.meter)

    def _train(self, history: History, first: np.datetime64) -> None:
        """Minimise the CRPS of hourly leads from random origins after ``first``, over the mean power."""
        days = float((history.end - first) / np.timedelta64(1, "D"))
        steps = round(STEPS * float(np.clip(days / ENOUGH_DAYS, 0, 1)))
        steps = min(steps, steps if self.budget.max_steps is None else self.budget.max_steps)
        if not steps:
            return
        rng = np.random.default_rng(self.budget.seed)
        scale = max(float(np.nanmean(history.power_kw, dtype=np.float64)), 1e-3)

        def loss(kernel: nn.Module) -> Tensor | None:
            scores = self._scores(history, first, rng)
            return scores.mean() / scale if len(scores) else None

        schedule = OptimizerConfig(
            steps, RATE, weight_decay=0, check_every=1, factor=partial(cosine, floor=LOWEST_RATE)
        )
        self._curves = train(self._kernel, loss, None, schedule)

    def _scores(self, history: History, first: np.datetime64, rng: np.random.Generator) -> Tensor:
        """CRPS (kW) of a random hour of the day after each of BATCH random origins, if observed: (n,)."""
        hours = max(1, int((history.end - first) / np.timedelta64(60, "m")) - 24)
        origins = first + rng.integers(0, hours, BATCH) * np.timedelta64(60, "m")
        midnights = origins.astype("datetime64[D]").astype("datetime64[m]")
        origins = np.where(rng.random(BATCH) < MIDNIGHT_SHARE, midnights, origins)
        starts, rows = rng.integers(0, 24, BATCH) * 60, history.rows(origins)
        after = rows + 1 + starts // history.meter.working_minutes
        observed = history.interval_means(after, 60, complete=True)
        usable = np.isfinite(observed) & (rows >= 0)
        if not usable.any():
            return torch.zeros(0)
        inputs = kernel_inputs(history, self._spreads[60], rows[usable], starts[usable, None], 60)
        weights, values = self._kernel(inputs)
        known = torch.isfinite(inputs.values_kw).flatten(-2).any(-1)
        return energy_score(weights, values, torch.from_numpy(observed[usable])[:, None])[known]

    # --- predict ----------------------------------------------------------------------------------

    def predict(self, history: History, origins: Times, leads: tuple[LeadInterval, ...]) -> Forecast:
        """Forecast each lead from each origin, using only rows available at that origin."""
        storage.require_fit(self.name, self._fitted_on, history.meter)
        origins = origins.astype("datetime64[m]")
        climatology = self._climatology.predict(origins, leads)
        mean, quantiles = climatology[..., 0].copy(), climatology[..., 1:].copy()
        with torch_threads(self.budget.threads), torch.no_grad():
            for width in sorted({lead.width_minutes for lead in leads}):
                columns = np.array([j for j, lead in enumerate(leads) if lead.width_minutes == width])
                starts = np.array([leads[j].start_minutes for j in columns])
                size = max(1, BLOCK_PAIRS // len(columns))
                for begin in range(0, len(origins) if len(history.starts) else 0, size):
                    block = np.arange(begin, min(begin + size, len(origins)))
                    place = np.ix_(block, columns)
                    self._predict_into(mean, quantiles, place, history, origins[block], starts, width)
        return Forecast(origins, leads, *sort_and_clip(mean, quantiles))

    def _predict_into(
        self, mean: Floats, quantiles: Floats, place: tuple[Rows, ...],
        history: History, origins: Times, starts: Rows, width: int,
    ) -> None:  # fmt: skip
        """Write forecasts of leads of one width into ``place``, unless no past day is known."""
        inputs = kernel_inputs(history, self._spreads[width], history.rows(origins), starts[None], width)
        weights, values = self._kernel(inputs)
        known = torch.isfinite(inputs.values_kw).flatten(-2).any(-1).numpy()
        mean[place] = np.where(known, (weights * values).sum(-1).numpy(), mean[place])
        found = weighted_quantiles(weights, values).numpy()
        quantiles[place] = np.where(known[..., None], found, quantiles[place])

    # --- describe and store -----------------------------------------------------------------------

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
