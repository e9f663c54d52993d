"""The long-horizon half of an expert: one small decoder for all leads beyond the next hour.

It gets same-time lags and calendar of each lead, and a narrow summary of the past. It is a network of its own
because it overfits within minutes, while the next five minutes reward long training.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from smartgrid_pipeline.core.features import windows
from smartgrid_pipeline.core.features.lags import DAY_MINUTES
from smartgrid_pipeline.core.features.minute_series import MinuteSeries
from smartgrid_pipeline.core.features.windows import LeadTable, WindowSpec
from smartgrid_pipeline.core.forecasting.experts.networks import LongHorizonNetwork, outputs_to_kw
from smartgrid_pipeline.core.learning.network_arrays import tensors
from smartgrid_pipeline.core.learning.network_losses import forecast_loss, target_statistics
from smartgrid_pipeline.core.learning.training_loop import Curve, OptimizerConfig, RowSplit, train
from smartgrid_pipeline.core.schema import Floats, LeadInterval, Rows

DRAWS = {15: 6, 60: 4, DAY_MINUTES: 1, 7 * DAY_MINUTES: 1}
"""How many leads of each width (minutes) are drawn for a training origin."""

WEIGHTS = {15: 1.0, 60: 1.0, DAY_MINUTES: 1.0, 7 * DAY_MINUTES: 0.5}
"""Weight of a lead in the loss, by its width in minutes."""

SAMPLE_ROWS = 4_000
"""Origins from which input scales and the spread of targets are estimated."""

BLOCK_PAIRS = 40_000
"""Pairs of origin and lead forecast at a time, so that memory stays bounded."""


@dataclass
class LongHorizon:
    """A network for any of ``leads``; ``sizes`` are those of its inputs and outputs.

    With ``match_days`` it attends to the leads' intervals on so many past days.
    """

    encoder: str
    view: WindowSpec
    leads: tuple[LeadInterval, ...]
    schedule: OptimizerConfig
    match_days: int = 0
    batch: int = 192
    network: LongHorizonNetwork | None = None
    sizes: dict[str, Any] = field(default_factory=dict)

    def build(self, sizes: dict[str, Any]) -> LongHorizonNetwork:
        """Make the network, untrained, for the sizes of a fit."""
        self.sizes = sizes
        self.network = LongHorizonNetwork(self.encoder, **sizes)
        return self.network

    def fit(self, series: MinuteSeries, split: RowSplit, rng: np.random.Generator) -> list[Curve]:
        """Train on random origins before the holdout, half of them midnights, and a few leads of each."""
        network = self.build(self._measure(series))
        rows, chosen = self._draw(series, split, rng, split.capped(SAMPLE_ROWS))
        mean_sqrt, mean, scale = target_statistics(series.targets(rows, self.leads, split.train_end))
        self._fit_scales(series, rows, chosen)
        with torch.no_grad():
            network.middle.bias.fill_(float(mean_sqrt.mean()))
            network.mean.bias.fill_(float(mean.mean()))
        weight = torch.tensor([WEIGHTS[lead.width_minutes] for lead in self.leads])
        *holdout_inputs, holdout_target = self._holdout(series, split)

        def loss(model: nn.Module) -> Tensor:
            rows, chosen = self._draw(series, split, rng, self.batch)
            target = np.take_along_axis(series.targets(rows, self.leads, split.train_end), chosen, 1)
            *inputs, target_kw = tensors(*self._inputs(series, rows, chosen), target)
            return forecast_loss(model(*inputs), target_kw, weight[chosen], scale[chosen])

        def validate(model: nn.Module) -> Tensor:
            return forecast_loss(model(*holdout_inputs), holdout_target, weight, scale)

        return train(network, loss, validate, self.schedule)

    def _measure(self, series: MinuteSeries) -> dict[str, Any]:
        """Sizes of the inputs this meter gives."""
        row, lead = np.array([series.padding + 1]), np.zeros((1, 1), np.int64)
        tokens, levels, features, means, *_ = self._inputs(series, row, lead)
        return {
            "tokens": tuple(tokens.shape[1:]),
            "levels": levels.shape[1],
            "inputs": features.shape[2],
            "means": means.shape[2],
            "leads": len(self.leads),
            "match_days": self.match_days,
        }

    @torch.no_grad()
    def _fit_scales(self, series: MinuteSeries, rows: Rows, chosen: Rows) -> None:
        """Set the scales of the network's inputs from a sample."""
        assert self.network is not None
        network, inputs = self.network, tensors(*self._inputs(series, rows, chosen))
        scales = network.token_scale, network.level_scale, network.scale, network.mean_scale
        for scale, sample in zip(scales, inputs, strict=False):
            scale.fit(sample)

    def _holdout(self, series: MinuteSeries, split: RowSplit) -> tuple[Tensor, ...]:
        """Inputs and targets of all leads in the holdout, every six hours."""
        rows = np.arange(split.train_end, split.end, series.steps(DAY_MINUTES // 4))
        rows = rows[:: max(1, len(rows) * len(self.leads) // split.capped(10**9))]
        all_leads = np.tile(np.arange(len(self.leads)), (len(rows), 1))
        return tensors(*self._inputs(series, rows, all_leads), series.targets(rows, self.leads, split.end))

    def _draw(
        self, series: MinuteSeries, split: RowSplit, rng: np.random.Generator, count: int
    ) -> tuple[Rows, Rows]:
        """Random origins (count,) on whole quarters of an hour, every other one a midnight, and the numbers
        of the leads drawn for each, (count, k).
        """
        first, last = split.first, split.last(series.steps(2 * DAY_MINUTES))
        rows = rng.integers(first, last, count)
        rows = series.padding + (rows - series.padding) // series.steps(15) * series.steps(15)
        minute = series.minute_of_day((rows - series.padding) * series.step_minutes)
        midnight = rows - minute // series.step_minutes
        rows = np.where((rng.random(count) < 0.5) & (midnight >= first), midnight, rows)
        drawn = []
        for width, number in DRAWS.items():
            group = np.flatnonzero([lead.width_minutes == width for lead in self.leads])
            drawn.append(rng.permuted(np.tile(group, (count, 1)), axis=1)[:, :number])
        return rows, np.concatenate(drawn, 1).astype(np.int64)

    def _inputs(self, series: MinuteSeries, rows: Rows, chosen: Rows) -> tuple[Floats, ...]:
        """Inputs of the network for origins (rows,) and chosen leads (rows, k).

        Tokens, level features, lead features, lead means in kW, lead numbers, and lags on past days.
        """
        table = LeadTable.of(self.leads, series.step_minutes)
        features, means_kw = windows.lead_features(series, rows, table, chosen)
        lags = windows.padded_same_time_lags(series, rows, table, chosen, self.match_days)
        tokens, levels = windows.window(series, rows, self.view), windows.level_features(series, rows)
        return tokens, levels, features, means_kw, chosen.astype(np.int64), lags

    @torch.no_grad()
    def predict(
        self, series: MinuteSeries, rows: Rows, leads: tuple[LeadInterval, ...]
    ) -> tuple[Floats, Floats]:
        """Mean (rows, leads) and quantiles (rows, leads, 9) in kW of some of this network's leads."""
        assert self.network is not None
        numbers = np.array([self.leads.index(lead) for lead in leads])
        block = max(1, BLOCK_PAIRS // len(leads))
        outputs = []
        for begin in range(0, len(rows), block):
            part = rows[begin : begin + block]
            inputs = self._inputs(series, part, np.tile(numbers, (len(part), 1)))
            outputs.append(self.network(*tensors(*inputs)))
        return outputs_to_kw(outputs, len(leads))
