"""The two halves of an expert: the next hour from minutes, and everything further from analogues.

Each half is its own network with its own stopping point, because the next five minutes reward long training
on the present while days ahead overfit within minutes.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from smartgrid_pipeline.core.models import neural_inputs as inputs
from smartgrid_pipeline.core.models.forecaster import Floats
from smartgrid_pipeline.core.models.networks import FarNetwork, NearNetwork
from smartgrid_pipeline.core.models.neural_inputs import DAY, LeadTable, MatchView, TokenView
from smartgrid_pipeline.core.models.past import Past, Rows
from smartgrid_pipeline.core.models.training import Curve, Schedule, forecast_loss, square, train
from smartgrid_pipeline.core.schema import DataError, LeadInterval

View = TokenView | MatchView

NEAR_WEIGHTS = {LeadInterval(0, 5): 0.35, LeadInterval(0, 60): 0.35}
"""Shares of the two leads that have their own card; the other near leads share the rest evenly."""

FAR_DRAWS = {15: 6, 60: 4, DAY: 1, 7 * DAY: 1}
"""How many leads of each width are drawn for an origin."""

FAR_WEIGHTS = {15: 1.0, 60: 1.0, DAY: 1.0, 7 * DAY: 0.5}

SAMPLE = 20_000
"""Origins that moments and spreads are learned from."""

BLOCK = 1_024
"""Origins that are forecast at a time, so that memory stays bounded."""


@dataclass(frozen=True)
class Blocks:
    """Rows of a past: weights are learned from [first, fit_end), stopping is decided on [fit_end, end)."""

    first: int
    fit_end: int
    end: int
    cap: int | None = None


def is_near(lead: LeadInterval) -> bool:
    """Whether a lead ends within the next hour."""
    return lead.end_minutes <= 60


def look(past: Past, rows: Rows, view: View) -> Floats:
    """The tokens of a view."""
    return (
        inputs.matches(past, rows, view) if isinstance(view, MatchView) else inputs.tokens(past, rows, view)
    )


def _tensors(*arrays: Floats) -> tuple[Tensor, ...]:
    return tuple(torch.from_numpy(np.require(array, requirements=["C", "W"])) for array in arrays)


def _spread(targets: Floats) -> Tensor:
    """Standard deviation of each lead's target, (leads,); 1 where there is nothing to go by."""
    sd = np.ones(targets.shape[1], np.float32)
    for j in range(targets.shape[1]):
        seen = targets[np.isfinite(targets[:, j]), j]
        if len(seen) > 10 and seen.std() > 1e-3:
            sd[j] = seen.std()
    return torch.from_numpy(sd)


@dataclass
class NearHorizon:
    """Leads within the next hour, all at once."""

    encoder: str
    view: View
    leads: tuple[LeadInterval, ...]
    schedule: Schedule
    batch: int = 1_024
    network: NearNetwork | None = None
    sizes: dict[str, object] = field(default_factory=dict)

    def build(self, sizes: dict[str, object]) -> NearNetwork:
        """Make the network for input sizes that ``measure`` found."""
        self.sizes = sizes
        self.network = NearNetwork(self.encoder, **sizes)  # type: ignore[arg-type]
        return self.network

    def measure(self, past: Past) -> dict[str, object]:
        """Sizes of the inputs this meter gives."""
        tokens, present, plain = self._see(past, np.array([past.padding + 1]))
        return {
            "tokens": tuple(tokens.shape[1:]), "present": present.shape[1], "plain": plain.shape[1],
            "keys": inputs.key_count(past), "leads": len(self.leads),
        }  # fmt: skip

    def fit(self, past: Past, blocks: Blocks, rng: np.random.Generator) -> list[Curve]:
        """Train on random rows of the earlier block."""
        network = self.build(self.measure(past))
        last = blocks.fit_end - past.steps(60)
        if last - blocks.first < 10:
            raise DataError(
                f"Too little to learn from: found {last - blocks.first} rows before the later block."
            )
        sample = rng.integers(blocks.first, last, min(SAMPLE, blocks.cap or SAMPLE))
        tokens, present, plain = _tensors(*self._see(past, sample))
        network.scale.learn(present)
        network.token_scale.learn(tokens)
        network.plain_scale.learn(plain)
        network.bins.learn(present[:, : network.keys])
        targets = past.targets(sample, self.leads, blocks.fit_end)
        scale = _spread(targets)
        with torch.no_grad():
            middle = np.nanmean(np.sqrt(np.maximum(targets, 0)), 0)
            network.middle.bias.copy_(torch.from_numpy(np.nan_to_num(middle, nan=0.7)))
            network.mean.bias.copy_(torch.from_numpy(np.nan_to_num(np.nanmean(targets, 0), nan=1.0)))
        weight = self._weights()
        later = np.arange(blocks.fit_end, blocks.end, past.steps(10))[: blocks.cap]
        seen_later = [_tensors(*self._see(past, part), past.targets(part, self.leads, blocks.end))
                      for part in np.array_split(later, -(-len(later) // BLOCK))]  # fmt: skip

        def loss(model: nn.Module) -> Tensor:
            rows = rng.integers(blocks.first, last, self.batch)
            *seen, target = _tensors(*self._see(past, rows), past.targets(rows, self.leads, blocks.fit_end))
            return forecast_loss(model(*seen), target, weight, scale)

        def validate(model: nn.Module) -> Tensor:
            parts = [forecast_loss(model(*seen), target, weight, scale) for *seen, target in seen_later]
            return torch.stack(parts).mean()

        return train(network, loss, validate, self.schedule)

    def _weights(self) -> Tensor:
        others = max(1, sum(lead not in NEAR_WEIGHTS for lead in self.leads))
        return torch.tensor([NEAR_WEIGHTS.get(lead, 0.3 / others) for lead in self.leads])

    def _see(self, past: Past, rows: Rows) -> tuple[Floats, Floats, Floats]:
        return look(past, rows, self.view), inputs.present(past, rows), inputs.present_plain(past, rows)

    @torch.no_grad()
    def predict(self, past: Past, rows: Rows, leads: tuple[LeadInterval, ...]) -> tuple[Floats, Floats]:
        """Mean (rows, leads) and quantiles (rows, leads, 9) in kW of some of this half's leads."""
        at = [self.leads.index(lead) for lead in leads]
        outputs = [
            self.network(*_tensors(*self._see(past, rows[begin : begin + BLOCK])))[:, at]  # type: ignore[misc]
            for begin in range(0, len(rows), BLOCK)
        ]
        return _to_kw(outputs, len(leads))


@dataclass
class FarHorizon:
    """Every further lead, one small decoder for all."""

    encoder: str
    view: View
    leads: tuple[LeadInterval, ...]
    schedule: Schedule
    match_days: int = 0
    batch: int = 256
    network: FarNetwork | None = None
    sizes: dict[str, object] = field(default_factory=dict)

    def build(self, sizes: dict[str, object]) -> FarNetwork:
        """Make the network for input sizes that ``measure`` found."""
        self.sizes = sizes
        self.network = FarNetwork(self.encoder, **sizes)  # type: ignore[arg-type]
        return self.network

    def measure(self, past: Past) -> dict[str, object]:
        """Sizes of the inputs this meter gives."""
        table = LeadTable.of(self.leads, past.step_minutes)
        tokens, levels, known, plain, *_ = self._see(
            past, np.array([past.padding + 1]), table, np.zeros((1, 1), int)
        )
        return {
            "tokens": tuple(tokens.shape[1:]), "levels": levels.shape[1], "inputs": known.shape[2],
            "plain": plain.shape[2], "leads": len(self.leads), "match_days": self.match_days,
        }  # fmt: skip

    def fit(self, past: Past, blocks: Blocks, rng: np.random.Generator) -> list[Curve]:
        """Train on random origins of the earlier block, half of them midnights, a few leads of each."""
        network = self.build(self.measure(past))
        table = LeadTable.of(self.leads, past.step_minutes)
        groups = [np.flatnonzero([lead.width_minutes == width for lead in self.leads]) for width in FAR_DRAWS]
        last = blocks.fit_end - past.steps(2 * DAY)
        if last - blocks.first < past.steps(2 * DAY):
            raise DataError(
                f"Too little to learn from: found {last - blocks.first} rows before the later block."
            )

        def draw(count: int) -> tuple[tuple[Tensor, ...], Tensor, Rows]:
            rows = self._origins(past, rng, blocks.first, last, count)
            chosen = np.concatenate(
                [rng.permuted(np.broadcast_to(group, (count, len(group))), axis=1)[:, :number]
                 for group, number in zip(groups, FAR_DRAWS.values(), strict=True)], 1)  # fmt: skip
            target = np.take_along_axis(past.targets(rows, self.leads, blocks.fit_end), chosen, 1)
            *seen, target_kw = _tensors(*self._see(past, rows, table, chosen), target)
            return tuple(seen), target_kw, chosen

        sample = min(SAMPLE // 5, blocks.cap or SAMPLE)
        seen, target, _ = draw(sample)
        network.token_scale.learn(seen[0])
        network.level_scale.learn(seen[1])
        network.scale.learn(seen[2])
        network.plain_scale.learn(seen[3])
        known = torch.isfinite(target)
        with torch.no_grad():
            network.middle.bias.fill_(float(target[known].clamp_min(0).sqrt().mean()) if known.any() else 0.7)
            network.mean.bias.fill_(float(target[known].mean()) if known.any() else 1.0)
        some = self._origins(past, rng, blocks.first, last, min(2_000, blocks.cap or 2_000))
        scale = _spread(past.targets(some, self.leads, blocks.fit_end))
        weight = torch.tensor([FAR_WEIGHTS[lead.width_minutes] for lead in self.leads])
        later = np.arange(blocks.fit_end, blocks.end, past.steps(DAY // 4))
        later = later[: max(1, (blocks.cap or 10**9) // len(self.leads))]
        everything = np.broadcast_to(np.arange(len(self.leads)), (len(later), len(self.leads)))
        *seen_later, target_later = _tensors(
            *self._see(past, later, table, everything), past.targets(later, self.leads, blocks.end)
        )

        def loss(model: nn.Module) -> Tensor:
            seen, target, chosen = draw(self.batch)
            return forecast_loss(model(*seen), target, weight[chosen], scale[chosen])

        def validate(model: nn.Module) -> Tensor:
            return forecast_loss(model(*seen_later), target_later, weight, scale)

        return train(network, loss, validate, self.schedule)

    def _origins(self, past: Past, rng: np.random.Generator, first: int, last: int, count: int) -> Rows:
        """Random origins on whole quarters of an hour (or steps), every other one a midnight."""
        rows = rng.integers(first, last, count)
        quarter, day = past.steps(15), past.steps(DAY)
        rows = past.padding + (rows - past.padding) // quarter * quarter
        midnight = rows - past.minute_of_day((rows - past.padding) * past.step_minutes) // past.step_minutes
        snap = (rng.random(count) < 0.5) & (midnight >= first) & (midnight + day <= last + day)
        return np.where(snap, midnight, rows)

    def _see(self, past: Past, rows: Rows, table: LeadTable, chosen: Rows) -> tuple[Floats, ...]:
        known, plain = inputs.lead_inputs(past, rows, table, chosen)
        analogues = inputs.day_analogues(past, rows, table, chosen, self.match_days)
        return look(past, rows, self.view), inputs.levels(past, rows), known, plain, chosen, analogues  # type: ignore[return-value]

    @torch.no_grad()
    def predict(self, past: Past, rows: Rows, leads: tuple[LeadInterval, ...]) -> tuple[Floats, Floats]:
        """Mean (rows, leads) and quantiles (rows, leads, 9) in kW of some of this half's leads."""
        table = LeadTable.of(self.leads, past.step_minutes)
        at = np.array([self.leads.index(lead) for lead in leads])
        block = max(1, 40_000 // len(leads))
        outputs = []
        for begin in range(0, len(rows), block):
            part = rows[begin : begin + block]
            chosen = np.broadcast_to(at, (len(part), len(at)))
            outputs.append(self.network(*_tensors(*self._see(past, part, table, chosen))))  # type: ignore[misc]
        return _to_kw(outputs, len(leads))


def _to_kw(outputs: list[Tensor], leads: int) -> tuple[Floats, Floats]:
    if not outputs:
        return np.zeros((0, leads), np.float32), np.zeros((0, leads, 9), np.float32)
    output = torch.cat(outputs)
    return output[..., 9].numpy(), square(output[..., :9]).numpy()
