"""The networks: four encoders of the past with different inductive bias, and the two decoders they share."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

LEVELS = 9
OUTPUTS = LEVELS + 1
"""Nine quantiles as square roots, then the mean in kW."""


# --- encoders: (batch, tokens, values) -> (batch, width) --------------------------------------------


class GruEncoder(nn.Module):
    """A gated recurrent unit reads coarse tokens in order; its last state is the summary."""

    def __init__(self, tokens: int, values: int, width: int) -> None:
        super().__init__()
        self.gru = nn.GRU(values, width, batch_first=True)

    def forward(self, tokens: Tensor) -> Tensor:
        """(batch, tokens, values) to (batch, width)."""
        return self.gru(tokens)[1][-1]


class CnnLstmEncoder(nn.Module):
    """Strided convolutions turn fine readings into about 16 tokens; an LSTM reads those.

    A convolution is written as a linear map of neighbouring readings laid side by side: the same numbers,
    and several times quicker on a CPU than a strided one.
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
        found = functional.silu(self.fine(_with_neighbour(patches)))  # (batch, count, width)
        found = functional.silu(self.coarse(_with_neighbour(found)))
        return self.lstm(found)[1][0][-1]


def _with_neighbour(tokens: Tensor) -> Tensor:
    """Each token beside the one before it, the first beside zeros; twice the values per token."""
    before = functional.pad(tokens[:, :-1], (0, 0, 1, 0))
    return torch.cat([before, tokens], -1)


class TransformerEncoder(nn.Module):
    """Self-attention among patches of the past, each token a stretch of readings."""

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
    """The present asks which of the past days' same hours it resembles, and reads what followed them.

    The last token is the present, the others past moments; attention weights are the matched days.
    """

    def __init__(self, tokens: int, values: int, width: int) -> None:
        super().__init__()
        self.heads = 4
        self.ask = nn.Linear(values, width)
        self.offer = nn.Linear(values, width)
        self.tell = nn.Linear(values, width)
        self.recency = nn.Parameter(torch.zeros(self.heads, tokens - 1))

    def weights(self, tokens: Tensor) -> Tensor:
        """Attention over the past moments, (batch, heads, tokens − 1), summing to 1."""
        batch, count, _ = tokens.shape
        ask = self.ask(tokens[:, -1]).view(batch, self.heads, 1, -1)
        offer = self.offer(tokens[:, :-1]).view(batch, count - 1, self.heads, -1).transpose(1, 2)
        scores = (ask * offer).sum(-1) / offer.shape[-1] ** 0.5 + self.recency
        return scores.softmax(-1)

    def forward(self, tokens: Tensor) -> Tensor:
        """(batch, tokens, values) to (batch, width)."""
        batch, count, _ = tokens.shape
        told = self.tell(tokens[:, :-1]).view(batch, count - 1, self.heads, -1).transpose(1, 2)
        return (self.weights(tokens)[..., None] * told).sum(2).reshape(batch, -1)


ENCODERS: dict[str, Callable[[int, int, int], nn.Module]] = {
    "gru": GruEncoder,
    "cnn_lstm": CnnLstmEncoder,
    "transformer": TransformerEncoder,
    "attention": AttentionEncoder,
}


# --- parts ----------------------------------------------------------------------------------------


class Scale(nn.Module):
    """Standardise inputs by moments learned from the training block, and bound what never was seen."""

    mean: Tensor
    sd: Tensor

    def __init__(self, features: int, bound: float = 6.0) -> None:
        super().__init__()
        self.bound = bound
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("sd", torch.ones(features))

    def learn(self, sample: Tensor) -> None:
        """Take moments of a sample (…, features); a constant feature becomes 0."""
        flat = sample.reshape(-1, sample.shape[-1])
        self.mean.copy_(flat.mean(0))
        self.sd.copy_(flat.std(0))
        self.sd[self.sd < 1e-4] = 1e4

    def forward(self, values: Tensor) -> Tensor:
        """The same shape, about unit variance, within the bound."""
        return ((values - self.mean) / self.sd).clamp(-self.bound, self.bound)


class PiecewiseLinearEncoding(nn.Module):
    """Piecewise-linear coding: how far a value lies into each of the bins between training quantiles."""

    edges: Tensor

    def __init__(self, features: int, bins: int) -> None:
        super().__init__()
        self.register_buffer("edges", torch.linspace(0, 1, bins + 1).repeat(features, 1))

    def learn(self, sample: Tensor) -> None:
        """Edges at the quantiles of a sample (n, features)."""
        levels = torch.linspace(0, 1, self.edges.shape[1])
        edges = torch.quantile(sample[:100_000], levels, dim=0).T
        self.edges.copy_(torch.cummax(edges + 1e-4 * torch.arange(len(levels)), 1).values)

    def forward(self, values: Tensor) -> Tensor:
        """(batch, features) to (batch, features × bins), each within 0 … 1."""
        low, high = self.edges[:, :-1], self.edges[:, 1:]
        return ((values[..., None] - low) / (high - low)).clamp(0, 1).flatten(1)


def fan(raw: Tensor) -> Tensor:
    """Nine raw outputs (…, 9) to non-decreasing values: the middle one, and softplus steps away from it."""
    middle = raw[..., 4:5]
    step = functional.softplus(raw - 2.0)
    below = middle - step[..., :4].flip(-1).cumsum(-1).flip(-1)
    above = middle + step[..., 5:].cumsum(-1)
    return torch.cat([below, middle, above], -1)


class DayAttention(nn.Module):
    """Each lead asks which past days its own will be like; the weighted analogues of those days answer.

    The last day token is the present; the others are the days of the analogues, in the same order.
    """

    def __init__(self, query: int, values: int, days: int, heads: int = 4, width: int = 32) -> None:
        super().__init__()
        self.heads = heads
        self.ask, self.offer = nn.Linear(query, width), nn.Linear(values, width)
        self.recency = nn.Parameter(torch.linspace(-1, 0, days).repeat(heads, 1))

    def weights(self, query: Tensor, days: Tensor) -> Tensor:
        """(batch, leads, query), (batch, days + 1, values) to (batch, leads, heads, days), summing to 1."""
        ask = self.ask(query).unflatten(-1, (self.heads, -1))
        offer = self.offer(days[:, :-1]).unflatten(-1, (self.heads, -1))
        scores = torch.einsum("blhd,bthd->blht", ask, offer) / ask.shape[-1] ** 0.5
        return (scores + self.recency).softmax(-1)

    def forward(self, query: Tensor, days: Tensor, analogues: Tensor) -> Tensor:
        """The matched analogue of every head, (batch, leads, heads), from analogues (batch, leads, days)."""
        return torch.einsum("blht,blt->blh", self.weights(query, days), analogues)


# --- networks -------------------------------------------------------------------------------------


class ShortHorizonNetwork(nn.Module):
    """Leads within the next hour, all at once: the present in minutes beside what the encoder found.

    The forecast is a weighted sum of recent levels whose weights depend on the state: a kettle just switched
    on asks for the last minute, a cycling oven for the last half hour. The rest is correction.
    """

    def __init__(
        self,
        encoder: str,
        tokens: tuple[int, int],
        present: int,
        keys: int,
        plain: int,
        leads: int,
        width: int = 32,
        hidden: int = 128,
    ) -> None:
        super().__init__()
        self.leads, self.keys, self.plain = leads, keys, plain
        self.scale, self.token_scale = Scale(present), Scale(tokens[1])
        self.bins = PiecewiseLinearEncoding(keys, 12)
        self.encoder = ENCODERS[encoder](*tokens, width)
        self.enter = nn.Sequential(
            nn.Linear(present + 12 * keys + width, hidden), nn.SiLU(), nn.LayerNorm(hidden)
        )
        self.deepen = nn.Sequential(nn.Linear(hidden, hidden), nn.SiLU(), nn.LayerNorm(hidden))
        self.head = nn.Linear(hidden, leads * OUTPUTS)
        self.weigh = nn.Linear(hidden, leads * plain)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.weigh.weight)
        nn.init.constant_(self.weigh.bias, 1 / plain)

    def forward(self, tokens: Tensor, present: Tensor, plain: Tensor) -> Tensor:
        """(batch, tokens, values), (batch, present), (batch, plain) in kW to (batch, leads, OUTPUTS)."""
        x = self.scale(present)
        seen = self.encoder(self.token_scale(tokens))
        h = self.enter(torch.cat([x, self.bins(present[:, : self.keys]), seen], 1))
        h = h + self.deepen(h)
        raw = self.head(h).view(len(h), self.leads, OUTPUTS)
        weights = self.weigh(h).view(len(h), self.leads, self.plain)
        level = torch.bmm(weights, torch.stack([plain, plain.clamp_min(0).sqrt()], -1))  # (batch, leads, 2)
        roots = fan(raw[..., :LEVELS]) + level[..., 1:]
        return torch.cat([roots, raw[..., LEVELS:] + level[..., :1]], -1)


class LongHorizonNetwork(nn.Module):
    """Any leads of an origin through one small decoder: their analogues and calendar, their own embedding,
    and the origin's context through a narrow, noisy bottleneck.
    """

    def __init__(
        self, encoder: str, tokens: tuple[int, int], levels: int, inputs: int, plain: int, leads: int,
        match_days: int = 0, width: int = 32, hidden: int = 96, context: int = 16, dropout: float = 0.2,
    ) -> None:  # fmt: skip
        super().__init__()
        self.match = DayAttention(inputs + context, tokens[1], match_days) if match_days else None
        matched = self.match.heads if self.match else 0
        self.scale, self.token_scale = Scale(inputs), Scale(tokens[1])
        self.level_scale, self.plain_scale = Scale(levels), Scale(plain, bound=20.0)
        self.encoder = ENCODERS[encoder](*tokens, width)
        self.squeeze = nn.Sequential(nn.Dropout(dropout), nn.Linear(width + levels, context), nn.Tanh())
        self.embed = nn.Embedding(leads, 8)
        self.enter = nn.Sequential(
            nn.Linear(inputs + matched + context + 8, hidden), nn.SiLU(), nn.LayerNorm(hidden)
        )
        self.deepen = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(hidden, hidden), nn.SiLU(), nn.LayerNorm(hidden)
        )
        self.drop = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, OUTPUTS)
        self.middle, self.mean = nn.Linear(inputs + matched, 1), nn.Linear(plain, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.normal_(self.embed.weight, std=0.1)

    def forward(
        self, tokens: Tensor, levels: Tensor, inputs: Tensor, plain: Tensor, chosen: Tensor, analogues: Tensor
    ) -> Tensor:
        """(batch, tokens, values), (batch, levels), (batch, k, inputs), (batch, k, plain), lead numbers
        (batch, k) and analogues (batch, k, days) to (batch, k, OUTPUTS).
        """
        scaled = self.token_scale(tokens)
        context = self.squeeze(torch.cat([self.encoder(scaled), self.level_scale(levels)], 1))
        if self.training:
            context = context + 0.1 * torch.randn_like(context)
        x = self.scale(inputs)
        spread = context[:, None, :].expand(-1, x.shape[1], -1)
        if self.match is not None:
            x = torch.cat([x, self.match(torch.cat([x, spread], -1), scaled, analogues)], -1)
        h = self.enter(torch.cat([x, spread, self.embed(chosen)], -1))
        h = h + self.deepen(h)
        raw = self.head(self.drop(h))
        roots = fan(raw[..., :LEVELS]) + self.middle(x)
        mean = raw[..., LEVELS:] + self.mean(self.plain_scale(plain))
        return torch.cat([roots, mean], -1)
