"""The next hour: all its leads at once, from the present in minutes."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from smartgrid_pipeline.core.features import windows as inputs
from smartgrid_pipeline.core.features.minute_series import MinuteSeries, Rows
from smartgrid_pipeline.core.features.windows import View
from smartgrid_pipeline.core.forecasting.experts.horizons import RowSplit, moments, tensors, to_kw
from smartgrid_pipeline.core.forecasting.experts.networks import ShortHorizonNetwork
from smartgrid_pipeline.core.learning.network_losses import forecast_loss
from smartgrid_pipeline.core.learning.training_loop import Curve, Schedule, train
from smartgrid_pipeline.core.schema import Floats, LeadInterval

CARD_SHARES = {LeadInterval(0, 5): 0.35, LeadInterval(0, 60): 0.35}
"""Share in the loss of the two leads that have their own card; the other near leads share the rest evenly."""

SQUARES = 0.5
"""Part of the mean in the loss: the next minutes are judged by their mean as much as by their median."""

SAMPLE = 20_000
"""Origins that moments, bins and spreads are learned from."""

BLOCK = 1_024
"""Origins that are forecast at a time, so that memory stays bounded."""


@dataclass
class ShortHorizon:
    """The near half of an expert."""

    encoder: str
    view: View
    leads: tuple[LeadInterval, ...]
    schedule: Schedule
    batch: int = 512
    network: ShortHorizonNetwork | None = None
    sizes: dict[str, Any] = field(default_factory=dict)

    def build(self, sizes: dict[str, Any]) -> ShortHorizonNetwork:
        """Make the network for input sizes that ``measure`` found."""
        self.sizes = sizes
        self.network = ShortHorizonNetwork(self.encoder, **sizes)
        return self.network

    def measure(self, past: MinuteSeries) -> dict[str, Any]:
        """Sizes of the inputs this meter gives."""
        tokens, present, plain = self._see(past, np.array([past.padding + 1]))
        return {
            "tokens": tuple(tokens.shape[1:]),
            "present": present.shape[1],
            "plain": plain.shape[1],
            "keys": inputs.key_count(past),
            "leads": len(self.leads),
        }

    def fit(self, past: MinuteSeries, blocks: RowSplit, rng: np.random.Generator) -> list[Curve]:
        """Train on random rows of the earlier block: any minute is an origin, not only whole intervals."""
        network, last = self.build(self.measure(past)), blocks.last(past.steps(60))
        sample = rng.integers(blocks.first, last, blocks.capped(SAMPLE))
        self._learn_scales(past, sample)
        now = past.mean("power", sample - past.steps(5), past.steps(5))
        scale = moments(past.targets(sample, self.leads, blocks.train_end) - now[:, None])[2]
        weight = self._weights()
        later = self._later(past, blocks)

        def loss(model: nn.Module) -> Tensor:
            rows = rng.integers(blocks.first, last, self.batch)
            *seen, target = tensors(*self._see(past, rows), past.targets(rows, self.leads, blocks.train_end))
            return forecast_loss(model(*seen), target, weight, scale, SQUARES)

        def validate(model: nn.Module) -> Tensor:
            parts = [forecast_loss(model(*seen), target, weight, scale, SQUARES) for *seen, target in later]
            return torch.stack(parts).mean()

        return train(network, loss, validate, self.schedule)

    @torch.no_grad()
    def _learn_scales(self, past: MinuteSeries, rows: Rows) -> None:
        """Fill the network's scales from a sample."""
        assert self.network is not None
        network, (tokens, present, _) = self.network, tensors(*self._see(past, rows))
        network.scale.learn(present)
        network.token_scale.learn(tokens)
        network.bins.learn(present[:, : network.keys])

    def _later(self, past: MinuteSeries, blocks: RowSplit) -> list[tuple[Tensor, ...]]:
        """The later block every twenty minutes, in parts: inputs and targets."""
        rows = np.arange(blocks.train_end, blocks.end, past.steps(20))
        rows = rows[:: max(1, len(rows) // blocks.capped(len(rows)))]
        return [
            tensors(*self._see(past, part), past.targets(part, self.leads, blocks.end))
            for part in np.array_split(rows, -(-len(rows) // BLOCK))
        ]

    def _weights(self) -> Tensor:
        others = max(1, sum(lead not in CARD_SHARES for lead in self.leads))
        return torch.tensor([CARD_SHARES.get(lead, 0.3 / others) for lead in self.leads])

    def _see(self, past: MinuteSeries, rows: Rows) -> tuple[Floats, Floats, Floats]:
        return (
            inputs.window(past, rows, self.view),
            inputs.recent_features(past, rows),
            inputs.recent_means_kw(past, rows),
        )

    @torch.no_grad()
    def predict(
        self, past: MinuteSeries, rows: Rows, leads: tuple[LeadInterval, ...]
    ) -> tuple[Floats, Floats]:
        """Mean (rows, leads) and quantiles (rows, leads, 9) in kW of some of this half's leads."""
        assert self.network is not None
        at = [self.leads.index(lead) for lead in leads]
        parts = [rows[begin : begin + BLOCK] for begin in range(0, len(rows), BLOCK)]
        return to_kw([self.network(*tensors(*self._see(past, part)))[:, at] for part in parts], len(leads))
