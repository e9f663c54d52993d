"""The short-horizon half of an expert: all leads within the next hour at once, from recent readings."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from smartgrid_pipeline.core.features import windows
from smartgrid_pipeline.core.features.minute_series import MinuteSeries
from smartgrid_pipeline.core.features.windows import WindowSpec
from smartgrid_pipeline.core.forecasting.experts.networks import ShortHorizonNetwork, outputs_to_kw
from smartgrid_pipeline.core.learning.network_arrays import tensors
from smartgrid_pipeline.core.learning.network_losses import forecast_loss, target_statistics
from smartgrid_pipeline.core.learning.training_loop import Curve, OptimizerConfig, RowSplit, train
from smartgrid_pipeline.core.schema import Floats, LeadInterval, Rows

TASK_WEIGHTS = {LeadInterval(0, 5): 0.35, LeadInterval(0, 60): 0.35}
"""Weights of the next five minutes and the next hour in the loss; the other leads share the rest evenly."""

MEAN_WEIGHT = 0.5
"""Weight of the mean's squared error in the loss: these tasks are scored by mean and quantiles alike."""

SAMPLE_ROWS = 20_000
"""Origins from which input scales, bins and the spread of targets are estimated."""

BLOCK_ROWS = 1_024
"""Origins forecast at a time, so that memory stays bounded."""


@dataclass
class ShortHorizon:
    """A network for all ``leads`` within the next hour; ``sizes`` are those of its inputs and outputs."""

    encoder: str
    view: WindowSpec
    leads: tuple[LeadInterval, ...]
    schedule: OptimizerConfig
    batch: int = 512
    network: ShortHorizonNetwork | None = None
    sizes: dict[str, Any] = field(default_factory=dict)

    def build(self, sizes: dict[str, Any]) -> ShortHorizonNetwork:
        """Make the network, untrained, for the sizes of a fit."""
        self.sizes = sizes
        self.network = ShortHorizonNetwork(self.encoder, **sizes)
        return self.network

    def fit(self, series: MinuteSeries, split: RowSplit, rng: np.random.Generator) -> list[Curve]:
        """Train on random rows before the holdout: any minute is an origin, not only whole intervals."""
        network, last = self.build(self._measure(series)), split.last(series.steps(60))
        sample = rng.integers(split.first, last, split.capped(SAMPLE_ROWS))
        self._fit_scales(series, sample)
        latest = series.mean("power", sample - series.steps(5), series.steps(5))
        changes = series.targets(sample, self.leads, split.train_end) - latest[:, None]
        scale, weight = target_statistics(changes)[2], self._weights()
        holdout = self._holdout(series, split)

        def loss(model: nn.Module) -> Tensor:
            rows = rng.integers(split.first, last, self.batch)
            target = series.targets(rows, self.leads, split.train_end)
            *inputs, target_kw = tensors(*self._inputs(series, rows), target)
            return forecast_loss(model(*inputs), target_kw, weight, scale, MEAN_WEIGHT)

        def validate(model: nn.Module) -> Tensor:
            parts = [forecast_loss(model(*inputs), target, weight, scale, MEAN_WEIGHT)
                     for *inputs, target in holdout]  # fmt: skip
            return torch.stack(parts).mean()

        return train(network, loss, validate, self.schedule)

    def _measure(self, series: MinuteSeries) -> dict[str, Any]:
        """Sizes of the inputs this meter gives."""
        tokens, recent, means = self._inputs(series, np.array([series.padding + 1]))
        return {
            "tokens": tuple(tokens.shape[1:]),
            "recent": recent.shape[1],
            "means": means.shape[1],
            "keys": windows.key_count(series),
            "leads": len(self.leads),
        }

    @torch.no_grad()
    def _fit_scales(self, series: MinuteSeries, rows: Rows) -> None:
        """Set the scales and bins of the network's inputs from a sample."""
        assert self.network is not None
        network, (tokens, recent, _) = self.network, tensors(*self._inputs(series, rows))
        network.scale.fit(recent)
        network.token_scale.fit(tokens)
        network.bins.fit(recent[:, : network.keys])

    def _holdout(self, series: MinuteSeries, split: RowSplit) -> list[tuple[Tensor, ...]]:
        """Inputs and targets of the holdout, every twenty minutes, in parts of BLOCK_ROWS."""
        rows = np.arange(split.train_end, split.end, series.steps(20))
        rows = rows[:: max(1, len(rows) // split.capped(len(rows)))]
        return [
            tensors(*self._inputs(series, part), series.targets(part, self.leads, split.end))
            for part in np.array_split(rows, -(-len(rows) // BLOCK_ROWS))
        ]

    def _weights(self) -> Tensor:
        others = max(1, sum(lead not in TASK_WEIGHTS for lead in self.leads))
        return torch.tensor([TASK_WEIGHTS.get(lead, 0.3 / others) for lead in self.leads])

    def _inputs(self, series: MinuteSeries, rows: Rows) -> tuple[Floats, Floats, Floats]:
        """Tokens, recent features and recent means in kW, as the network takes them."""
        return (
            windows.window(series, rows, self.view),
            windows.recent_features(series, rows),
            windows.recent_means_kw(series, rows),
        )

    @torch.no_grad()
    def predict(
        self, series: MinuteSeries, rows: Rows, leads: tuple[LeadInterval, ...]
    ) -> tuple[Floats, Floats]:
        """Mean (rows, leads) and quantiles (rows, leads, 9) in kW of some of this network's leads."""
        assert self.network is not None
        numbers = [self.leads.index(lead) for lead in leads]
        outputs = []
        for begin in range(0, len(rows), BLOCK_ROWS):
            inputs = self._inputs(series, rows[begin : begin + BLOCK_ROWS])
            outputs.append(self.network(*tensors(*inputs))[:, numbers])
        return outputs_to_kw(outputs, len(leads))
