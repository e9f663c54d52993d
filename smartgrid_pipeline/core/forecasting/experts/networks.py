"""The networks of the experts: four encoders of the past, and two decoders that all of them share.

The encoders differ in their inductive bias. Shapes: ``tokens`` (batch, tokens, values) are consecutive pieces
of the past, the latest last. Outputs (…, OUTPUTS) are quantiles as square roots of kW, then the mean in kW.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from smartgrid_pipeline.core.learning.network_losses import power_from_sqrt
from smartgrid_pipeline.core.schema import Floats

LEVELS = 9
OUTPUTS = LEVELS + 1
"""Nine quantiles as square roots of kW, then the mean in kW."""


# --- encoders: (batch, tokens, values) -> (batch, width) --------------------------------------------


class GruEncoder(nn.Module):
    """A gated recurrent unit (Cho 2014) over coarse tokens; its last state is the encoding."""

    def __init__(self, tokens: int, values: int, width: int) -> None:
        super().__init__()
        self.gru = nn.GRU(values, width, batch_first=True)

    def forward(self, tokens: Tensor) -> Tensor:
        """(batch, tokens, values) to (batch, width)."""
        return self.gru(tokens)[1][-1]


class CnnLstmEncoder(nn.Module):
    """Two convolutions reduce fine readings to about 16 tokens, over which an LSTM runs; its last output.

    Each convolution is a linear map of neighbouring tokens laid side by side: the same numbers as a strided
    convolution, several times faster on a CPU.
    """

    def __init__(self, tokens: int, values: int, width: int) -> None:
        super().__init__()
        self.stride = max(1, tokens // 16)
        self.fine = nn.Linear(2 * self.stride * values, width)
        self.coarse = nn.Linear(2 * width, width)
        self.lstm = nn.LSTM(width, width, batch_first=True)

    def forward(self, tokens: Tensor) -> Tensor:
        """(batch, readings, values) to (batch, width)."""
        count = tokens.shape[1] // self.stride
        patches = tokens[:, -count * self.stride :].reshape(len(tokens), count, -1)
        coarse = functional.silu(self.fine(_with_previous(patches)))  # (batch, count, width)
        coarse = functional.silu(self.coarse(_with_previous(coarse)))
        return self.lstm(coarse)[1][0][-1]


def _with_previous(tokens: Tensor) -> Tensor:
    """Each token behind the one before it, the first behind zeros, (batch, tokens, 2 × values)."""
    before = functional.pad(tokens[:, :-1], (0, 0, 1, 0))
    return torch.cat([before, tokens], -1)


class TransformerEncoder(nn.Module):
    """One layer of self-attention (Vaswani 2017) over patches of the past; mean and last output are added."""

    def __init__(self, tokens: int, values: int, width: int) -> None:
        super().__init__()
        self.embed = nn.Linear(values, width)
        self.position = nn.Parameter(0.02 * torch.randn(tokens, width))
        self.block = nn.TransformerEncoderLayer(
            width, 4, 2 * width, dropout=0.1, activation="gelu", batch_first=True, norm_first=True
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """(batch, tokens, values) to (batch, width)."""
        mixed = self.block(self.embed(tokens) + self.position)
        return mixed.mean(1) + mixed[:, -1]


class AttentionEncoder(nn.Module):
    """Attention of the last token, the origin, over all others, past moments; values are linear maps of them.

    A moment's token holds the power before and after it. So the weights measure how similar the readings
    before it were, and the encoding is a weighted sum of what followed.
    """

    def __init__(self, tokens: int, values: int, width: int) -> None:
        super().__init__()
        self.heads = 4
        self.to_query = nn.Linear(values, width)
        self.to_key = nn.Linear(values, width)
        self.to_value = nn.Linear(values, width)
        self.recency = nn.Parameter(torch.zeros(self.heads, tokens - 1))

    def weights(self, tokens: Tensor) -> Tensor:
        """Attention over the past moments, (batch, heads, tokens − 1), summing to 1."""
        batch, count, _ = tokens.shape
        query = self.to_query(tokens[:, -1]).view(batch, self.heads, 1, -1)
        key = self.to_key(tokens[:, :-1]).view(batch, count - 1, self.heads, -1).transpose(1, 2)
        scores = (query * key).sum(-1) / key.shape[-1] ** 0.5 + self.recency
        return scores.softmax(-1)

    def forward(self, tokens: Tensor) -> Tensor:
        """(batch, tokens, values) to (batch, width)."""
        batch, count, _ = tokens.shape
        value = self.to_value(tokens[:, :-1]).view(batch, count - 1, self.heads, -1).transpose(1, 2)
        return (self.weights(tokens)[..., None] * value).sum(2).reshape(batch, -1)


ENCODERS: dict[str, Callable[[int, int, int], nn.Module]] = {
    "gru": GruEncoder,
    "cnn_lstm": CnnLstmEncoder,
    "transformer": TransformerEncoder,
    "attention": AttentionEncoder,
}


# --- parts ----------------------------------------------------------------------------------------


class Scale(nn.Module):
    """Standardises inputs by the moments of a training sample and cuts them at ``bound`` deviations."""

    mean: Tensor
    sd: Tensor

    def __init__(self, features: int, bound: float = 6.0) -> None:
        super().__init__()
        self.bound = bound
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("sd", torch.ones(features))

    def fit(self, sample: Tensor) -> None:
        """Take the moments of a sample (…, features); a constant feature is scaled to 0."""
        flat = sample.reshape(-1, sample.shape[-1])
        self.mean.copy_(flat.mean(0))
        self.sd.copy_(flat.std(0))
        self.sd[self.sd < 1e-4] = 1e4

    def forward(self, values: Tensor) -> Tensor:
        """Values of the same shape, with about unit variance."""
        return ((values - self.mean) / self.sd).clamp(-self.bound, self.bound)


class PiecewiseLinearEncoding(nn.Module):
    """Piecewise-linear encoding (Gorishniy 2022): the part of each bin that lies below the value.

    The edges of the bins are quantiles of a training sample.
    """

    edges: Tensor

    def __init__(self, features: int, bins: int) -> None:
        super().__init__()
        self.register_buffer("edges", torch.linspace(0, 1, bins + 1).repeat(features, 1))

    def fit(self, sample: Tensor) -> None:
        """Set the edges to the quantiles of a sample (n, features); equal ones are moved apart."""
        levels = torch.linspace(0, 1, self.edges.shape[1])
        edges = torch.quantile(sample[:100_000], levels, dim=0).T
        self.edges.copy_(torch.cummax(edges + 1e-4 * torch.arange(len(levels)), 1).values)

    def forward(self, values: Tensor) -> Tensor:
        """(batch, features) to (batch, features × bins), each between 0 and 1."""
        low, high = self.edges[:, :-1], self.edges[:, 1:]
        return ((values[..., None] - low) / (high - low)).clamp(0, 1).flatten(1)


def quantile_head(raw: Tensor) -> Tensor:
    """Nine raw outputs (…, 9) to increasing values: the middle one and softplus steps on both sides of it."""
    middle = raw[..., 4:5]
    step = functional.softplus(raw - 2.0)
    below = middle - step[..., :4].flip(-1).cumsum(-1).flip(-1)
    above = middle + step[..., 5:].cumsum(-1)
    return torch.cat([below, middle, above], -1)


def outputs_to_kw(outputs: list[Tensor], leads: int) -> tuple[Floats, Floats]:
    """Outputs (…, leads, OUTPUTS) of blocks of origins to mean (origins, leads), quantiles (…, 9) in kW."""
    if not outputs:
        return np.zeros((0, leads), np.float32), np.zeros((0, leads, LEVELS), np.float32)
    output = torch.cat(outputs)
    return output[..., LEVELS].numpy(), power_from_sqrt(output[..., :LEVELS]).numpy()


class DayAttention(nn.Module):
    """Attention of each lead over past days; the values are the power of the lead's interval on those days.

    Keys are the day tokens but the last, which is the origin's own day; a lead's query is made of its inputs.
    """

    def __init__(self, inputs: int, values: int, days: int, heads: int = 4, width: int = 32) -> None:
        super().__init__()
        self.heads = heads
        self.to_query, self.to_key = nn.Linear(inputs, width), nn.Linear(values, width)
        self.recency = nn.Parameter(torch.linspace(-1, 0, days).repeat(heads, 1))

    def weights(self, inputs: Tensor, tokens: Tensor) -> Tensor:
        """(batch, leads, inputs), (batch, days + 1, values) to (batch, leads, heads, days), summing to 1."""
        query = self.to_query(inputs).unflatten(-1, (self.heads, -1))
        key = self.to_key(tokens[:, :-1]).unflatten(-1, (self.heads, -1))
        scores = torch.einsum("blhd,bthd->blht", query, key) / query.shape[-1] ** 0.5
        return (scores + self.recency).softmax(-1)

    def forward(self, inputs: Tensor, tokens: Tensor, lags: Tensor) -> Tensor:
        """Weighted lags of every head, (batch, leads, heads), from lags (batch, leads, days)."""
        return torch.einsum("blht,blt->blh", self.weights(inputs, tokens), lags)


# --- networks -------------------------------------------------------------------------------------


class ShortHorizonNetwork(nn.Module):
    """All leads within the next hour at once, from recent features and the encoding of the tokens.

    The level of a forecast is a weighted sum of recent means, with weights that depend on the features: right
    after a kettle was switched on the last minute counts, while an oven cycles the last half hour. The rest
    of the network corrects that level.
    """

    def __init__(
        self, encoder: str, tokens: tuple[int, int], recent: int, keys: int, means: int, leads: int,
        width: int = 32, hidden: int = 128,
    ) -> None:  # fmt: skip
        super().__init__()
        self.leads, self.keys, self.means = leads, keys, means
        self.scale, self.token_scale = Scale(recent), Scale(tokens[1])
        self.bins = PiecewiseLinearEncoding(keys, 12)
        self.encoder = ENCODERS[encoder](*tokens, width)
        self.enter = nn.Sequential(
            nn.Linear(recent + 12 * keys + width, hidden), nn.SiLU(), nn.LayerNorm(hidden)
        )
        self.deepen = nn.Sequential(nn.Linear(hidden, hidden), nn.SiLU(), nn.LayerNorm(hidden))
        self.head = nn.Linear(hidden, leads * OUTPUTS)
        self.mean_weights = nn.Linear(hidden, leads * means)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.mean_weights.weight)
        nn.init.constant_(self.mean_weights.bias, 1 / means)

    def forward(self, tokens: Tensor, recent: Tensor, means_kw: Tensor) -> Tensor:
        """Tokens, recent features (batch, recent) and means (batch, means) to (batch, leads, OUTPUTS).

        The first ``keys`` recent features are also encoded piecewise linearly.
        """
        x = self.scale(recent)
        encoded = self.encoder(self.token_scale(tokens))
        h = self.enter(torch.cat([x, self.bins(recent[:, : self.keys]), encoded], 1))
        h = h + self.deepen(h)
        raw = self.head(h).view(len(h), self.leads, OUTPUTS)
        weights = self.mean_weights(h).view(len(h), self.leads, self.means)
        level = torch.bmm(weights, torch.stack([means_kw, means_kw.clamp_min(0).sqrt()], -1))
        sqrt_quantiles = quantile_head(raw[..., :LEVELS]) + level[..., 1:]  # level: (batch, leads, 2)
        return torch.cat([sqrt_quantiles, raw[..., LEVELS:] + level[..., :1]], -1)


class LongHorizonNetwork(nn.Module):
    """Any leads of an origin through one small decoder.

    A lead is given by its features and an embedding of its number, the origin by an encoding of tokens and
    level features that passes a narrow, noisy bottleneck: days ahead, networks overfit within minutes.
    """

    def __init__(
        self, encoder: str, tokens: tuple[int, int], levels: int, inputs: int, means: int, leads: int,
        match_days: int = 0, width: int = 32, hidden: int = 96, context: int = 16, dropout: float = 0.2,
    ) -> None:  # fmt: skip
        super().__init__()
        self.day_attention = DayAttention(inputs + context, tokens[1], match_days) if match_days else None
        matched = self.day_attention.heads if self.day_attention else 0
        self.scale, self.token_scale = Scale(inputs), Scale(tokens[1])
        self.level_scale, self.mean_scale = Scale(levels), Scale(means, bound=20.0)
        self.encoder = ENCODERS[encoder](*tokens, width)
        self.bottleneck = nn.Sequential(nn.Dropout(dropout), nn.Linear(width + levels, context), nn.Tanh())
        self.embed = nn.Embedding(leads, 8)
        self.enter = nn.Sequential(
            nn.Linear(inputs + matched + context + 8, hidden), nn.SiLU(), nn.LayerNorm(hidden)
        )
        self.deepen = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(hidden, hidden), nn.SiLU(), nn.LayerNorm(hidden)
        )
        self.drop = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, OUTPUTS)
        self.middle, self.mean = nn.Linear(inputs + matched, 1), nn.Linear(means, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.normal_(self.embed.weight, std=0.1)

    def forward(
        self, tokens: Tensor, levels: Tensor, inputs: Tensor, means_kw: Tensor, chosen: Tensor, lags: Tensor
    ) -> Tensor:
        """Outputs (batch, k, OUTPUTS) of k leads of each origin.

        Of the origin: tokens and level features (batch, levels). Of the leads: features (batch, k, inputs),
        means (batch, k, means) in kW, numbers (batch, k) and square roots of their lags (batch, k, days).
        """
        scaled = self.token_scale(tokens)
        context = self.bottleneck(torch.cat([self.encoder(scaled), self.level_scale(levels)], 1))
        if self.training:
            context = context + 0.1 * torch.randn_like(context)
        x = self.scale(inputs)
        per_lead = context[:, None, :].expand(-1, x.shape[1], -1)
        if self.day_attention is not None:
            x = torch.cat([x, self.day_attention(torch.cat([x, per_lead], -1), scaled, lags)], -1)
        h = self.enter(torch.cat([x, per_lead, self.embed(chosen)], -1))
        h = h + self.deepen(h)
        raw = self.head(self.drop(h))
        sqrt_quantiles = quantile_head(raw[..., :LEVELS]) + self.middle(x)
        mean = raw[..., LEVELS:] + self.mean(self.mean_scale(means_kw))
        return torch.cat([sqrt_quantiles, mean], -1)
