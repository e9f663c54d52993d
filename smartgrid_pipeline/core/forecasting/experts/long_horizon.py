"""Beyond the next hour: one small decoder for all leads, from analogues, calendar and a narrow context."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from smartgrid_pipeline.core.features import windows as inputs
from smartgrid_pipeline.core.features.lags import DAY_MINUTES
from smartgrid_pipeline.core.features.minute_series import MinuteSeries
from smartgrid_pipeline.core.features.windows import LeadTable, View
from smartgrid_pipeline.core.forecasting.experts.horizons import RowSplit, moments, tensors, to_kw
from smartgrid_pipeline.core.forecasting.experts.networks import LongHorizonNetwork
from smartgrid_pipeline.core.learning.network_losses import forecast_loss
from smartgrid_pipeline.core.learning.training_loop import Curve, Schedule, train
from smartgrid_pipeline.core.schema import Floats, LeadInterval, Rows

DRAWS = {15: 6, 60: 4, DAY_MINUTES: 1, 7 * DAY_MINUTES: 1}
"""How many leads of each width are drawn for an origin."""

WEIGHTS = {15: 1.0, 60: 1.0, DAY_MINUTES: 1.0, 7 * DAY_MINUTES: 0.5}

SAMPLE = 4_000
"""Origins that moments and spreads are learned from."""

BLOCK_PAIRS = 40_000
"""Pairs of origin and lead that are forecast at a time, so that memory stays bounded."""


@dataclass
class LongHorizon:
    """The far half of an expert."""

    encoder: str
    view: View
    leads: tuple[LeadInterval, ...]
    schedule: Schedule
    match_days: int = 0
    batch: int = 192
    network: LongHorizonNetwork | None = None
    sizes: dict[str, Any] = field(default_factory=dict)

    def build(self, sizes: dict[str, Any]) -> LongHorizonNetwork:
        """Make the network for input sizes that ``measure`` found."""
        self.sizes = sizes
        self.network = LongHorizonNetwork(self.encoder, **sizes)
        return self.network

    def measure(self, past: MinuteSeries) -> dict[str, Any]:
        """Sizes of the inputs this meter gives."""
        tokens, levels, known, plain, *_ = self._see(
            past, np.array([past.padding + 1]), np.zeros((1, 1), np.int64)
        )
        return {
            "tokens": tuple(tokens.shape[1:]),
            "levels": levels.shape[1],
            "inputs": known.shape[2],
            "plain": plain.shape[2],
            "leads": len(self.leads),
            "match_days": self.match_days,
        }

    def fit(self, past: MinuteSeries, blocks: RowSplit, rng: np.random.Generator) -> list[Curve]:
        """Train on random origins of the earlier block, half of them midnights, a few leads of each."""
        network = self.build(self.measure(past))
        rows, chosen = self._draw(past, blocks, rng, blocks.capped(SAMPLE))
        root, mean, scale = moments(past.targets(rows, self.leads, blocks.train_end))
        self._learn_scales(past, rows, chosen)
        with torch.no_grad():
            network.middle.bias.fill_(float(root.mean()))
            network.mean.bias.fill_(float(mean.mean()))
        weight = torch.tensor([WEIGHTS[lead.width_minutes] for lead in self.leads])
        later = np.arange(blocks.train_end, blocks.end, past.steps(DAY_MINUTES // 4))
        later = later[:: max(1, len(later) * len(self.leads) // blocks.capped(10**9))]
        every = np.tile(np.arange(len(self.leads)), (len(later), 1))
        *seen_later, target_later = tensors(
            *self._see(past, later, every), past.targets(later, self.leads, blocks.end)
        )

        def loss(model: nn.Module) -> Tensor:
            rows, chosen = self._draw(past, blocks, rng, self.batch)
            target = np.take_along_axis(past.targets(rows, self.leads, blocks.train_end), chosen, 1)
            *seen, target_kw = tensors(*self._see(past, rows, chosen), target)
            return forecast_loss(model(*seen), target_kw, weight[chosen], scale[chosen])

        def validate(model: nn.Module) -> Tensor:
            return forecast_loss(model(*seen_later), target_later, weight, scale)

        return train(network, loss, validate, self.schedule)

    @torch.no_grad()
    def _learn_scales(self, past: MinuteSeries, rows: Rows, chosen: Rows) -> None:
        """Fill the network's scales from a sample."""
        assert self.network is not None
        network, seen = self.network, tensors(*self._see(past, rows, chosen))
        for part, sample in zip(
            (network.token_scale, network.level_scale, network.scale, network.plain_scale), seen, strict=False
        ):
            part.learn(sample)

    def _draw(
        self, past: MinuteSeries, blocks: RowSplit, rng: np.random.Generator, count: int
    ) -> tuple[Rows, Rows]:
        """Random origins (count,) on whole quarters of an hour, every other one a midnight, and numbers of
        the leads drawn for each (count, k).
        """
        first, last = blocks.first, blocks.last(past.steps(2 * DAY_MINUTES))
        rows = rng.integers(first, last, count)
        rows = past.padding + (rows - past.padding) // past.steps(15) * past.steps(15)
        minute = past.minute_of_day((rows - past.padding) * past.step_minutes)
        midnight = rows - minute // past.step_minutes
        rows = np.where((rng.random(count) < 0.5) & (midnight >= first), midnight, rows)
        drawn = []
        for width, number in DRAWS.items():
            group = np.flatnonzero([lead.width_minutes == width for lead in self.leads])
            drawn.append(rng.permuted(np.tile(group, (count, 1)), axis=1)[:, :number])
        return rows, np.concatenate(drawn, 1).astype(np.int64)

    def _see(self, past: MinuteSeries, rows: Rows, chosen: Rows) -> tuple[Floats, ...]:
        """Tokens, levels, inputs and plain kW of chosen leads, their numbers, and their past days."""
        table = LeadTable.of(self.leads, past.step_minutes)
        known, plain = inputs.lead_features(past, rows, table, chosen)
        analogues = inputs.same_time_lags(past, rows, table, chosen, self.match_days)
        context = inputs.window(past, rows, self.view), inputs.level_features(past, rows)
        return *context, known, plain, chosen.astype(np.int64), analogues

    @torch.no_grad()
    def predict(
        self, past: MinuteSeries, rows: Rows, leads: tuple[LeadInterval, ...]
    ) -> tuple[Floats, Floats]:
        """Mean (rows, leads) and quantiles (rows, leads, 9) in kW of some of this half's leads."""
        assert self.network is not None
        at = np.array([self.leads.index(lead) for lead in leads])
        block = max(1, BLOCK_PAIRS // len(leads))
        outputs = []
        for begin in range(0, len(rows), block):
            part = rows[begin : begin + block]
            outputs.append(self.network(*tensors(*self._see(past, part, np.tile(at, (len(part), 1))))))
        return to_kw(outputs, len(leads))
