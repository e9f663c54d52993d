"""A learned kernel over past days: how much each of them says of a target, by age, weekday and likeness."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.features.lags import DAY_MINUTES, latest_ended_day, take
from smartgrid_pipeline.core.features.tabular import Rows
from smartgrid_pipeline.core.forecasting.analog_ensemble.similarity import (
    ORIGIN_NAMES,
    PADS,
    WIDEST_TRACK,
    origin_levels,
    same_day_type,
    target_levels,
)
from smartgrid_pipeline.core.schema import QUANTILES, Floats

AGES = np.concatenate([np.arange(112), np.arange(349, 378)])
"""Days asked, counted from the latest one that has ended: sixteen weeks, and four around a year ago."""

SHIFTS = (-60, -30, 0, 30, 60)
"""A day also speaks by the intervals this many minutes beside the target's, with less weight."""

YEAR_DAYS = 364.0
LEAST = 1e-9
NEVER = -1e9


@dataclass(frozen=True)
class KernelInputs:
    """What the kernel weighs: origins (o), leads (l), past days (k), their shifted intervals (s).

    ``origin_gaps`` (o, k, ORIGIN_NAMES) and ``target_gaps`` (o, l, k, TARGET_NAMES) are squared differences
    in units of the usual spread, NaN where unknown; ``ages`` (k,) days, the same for all; ``same_weekday``
    and ``same_kind`` (o, l, k) are 0 or 1; ``values_kw`` (o, l, k, s) is NaN where nothing was observed or
    the interval has not ended.
    """

    origin_gaps: Tensor
    target_gaps: Tensor
    ages: Tensor
    same_weekday: Tensor
    same_kind: Tensor
    values_kw: Tensor
    shifts: Tensor


def look(history: History, spread: Floats, rows: Rows, starts: Rows, width_minutes: int) -> KernelInputs:
    """Gather it for origins whose latest rows are ``rows`` (o,) and leads that begin ``starts`` (o or 1, l)
    minutes later, all of one width; ``spread`` is that of ``similarity.spreads``.
    """
    levels = target_levels(history, width_minutes)
    minutes = history.meter.working_minutes
    day = DAY_MINUTES // minutes
    ages = latest_ended_day(int(starts.max() + width_minutes)) + AGES
    starts = np.broadcast_to(starts, (len(rows), starts.shape[-1]))
    first = rows[:, None] + 1 + starts // minutes
    before = first[..., None] - ages * day
    own, others = spread[:, : len(ORIGIN_NAMES)], spread[:, len(ORIGIN_NAMES) :]
    origin = _gaps(
        origin_levels(history), rows[:, None], rows[:, None] - ages * day, own[_hours(history, rows + 1)]
    )
    values, shifts = _values(history, before, rows[:, None, None, None], width_minutes)
    middle = history.starts[0] + (first * minutes + width_minutes // 2).astype("timedelta64[m]")
    arrays = (
        origin,
        _target_gaps(history, levels, first, before, starts + width_minutes, others),
        ages.astype(np.float32),
        *same_day_type(history, middle, ages),
        values,
        np.abs(shifts).astype(np.float32),
    )
    return KernelInputs(*(torch.from_numpy(array) for array in arrays))


def _target_gaps(
    history: History,
    levels: Floats,
    first: Rows,
    before: Rows,
    end_minutes: Rows,
    spread: Floats,
) -> Floats:
    """Gaps of TARGET_NAMES between intervals and those of past days, each seen from the day before it."""
    gaps = np.full((*before.shape, len(PADS)), np.nan, np.float32)
    if np.isnan(levels).all():
        return gaps
    scale, day = spread[_hours(history, first)], DAY_MINUTES // history.meter.working_minutes
    for pad in sorted(set(PADS)):
        at = np.flatnonzero(np.array(PADS) == pad)
        known = latest_ended_day(end_minutes + pad)[..., None] * day
        gaps[..., at] = _gaps(levels[:, at], first[..., None] - known, before - known, scale[..., at])
    return gaps


def _values(history: History, before: Rows, rows: Rows, width_minutes: int) -> tuple[Floats, Rows]:
    """Mean power of the matched intervals and of those beside them, as far as they had ended."""
    minutes = history.meter.working_minutes
    shifts = np.array([s for s in SHIFTS if s % minutes == 0 and (s == 0 or width_minutes <= WIDEST_TRACK)])
    shifted = before[..., None] + shifts // minutes
    values = history.interval_means(shifted, width_minutes)
    values[shifted + width_minutes // minutes > rows + 1] = np.nan
    return values, shifts


def _hours(history: History, rows: Rows) -> Rows:
    """Hour of the day at which rows start."""
    start = (history.starts[0] - history.starts[0].astype("datetime64[D]")).astype(np.int64)
    return (start + rows * history.meter.working_minutes) // 60 % 24


def _gaps(values: Floats, here: Rows, there: Rows, scale: Floats) -> Floats:
    """Squared differences of the columns between rows (…, 1) and rows (…, k) in units of a scale (…)."""
    return ((take(values, here) - take(values, there)) / scale[..., None, :]) ** 2


class Kernel(nn.Module):
    """A few dozen weights, most of them logarithms."""

    memory: Tensor
    long_share: Tensor
    long_memory: Tensor
    year_share: Tensor
    year_width: Tensor
    weekday: Tensor
    kind: Tensor
    beside: Tensor
    most: Tensor
    alike: Tensor

    def __init__(self, start: Mapping[str, float | list[float]]) -> None:
        super().__init__()
        for name, value in start.items():
            setattr(self, name, nn.Parameter(torch.tensor(value, dtype=torch.float32)))

    def log_weights(self, seen: KernelInputs) -> Tensor:
        """Of each past day, (o, l, k)."""
        ages = seen.ages
        recent = torch.exp(-ages / self.memory.exp())
        recent = recent + torch.exp(self.long_share - ages / self.long_memory.exp())
        season = torch.exp(self.year_share - ((ages - YEAR_DAYS) / self.year_width.exp()) ** 2)
        habit = self.weekday * seen.same_weekday + self.kind * seen.same_kind
        return torch.log(recent + season + LEAST) + habit - self._unlike(seen)

    def _unlike(self, seen: KernelInputs) -> Tensor:
        """Weighted gaps, (o, l, k); unknown ones count as the known ones do, and none for more than most."""
        weights = self.alike.exp()
        cut = len(ORIGIN_NAMES)
        origin, origin_known = _weighed(seen.origin_gaps, weights[:cut])
        target, target_known = _weighed(seen.target_gaps, weights[cut:])
        known = origin_known[:, None] + target_known
        unlike = (origin[:, None] + target) * weights.sum() / known.clamp_min(1e-6)
        return unlike / (1 + unlike / self.most.exp())

    def forward(self, seen: KernelInputs) -> tuple[Tensor, Tensor]:
        """Weights and values (kW) of all members, (o, l, members); weights sum to 1 where any is known."""
        logs = self.log_weights(seen)[..., None] - self.beside.exp() * seen.shifts / 60
        values = seen.values_kw.flatten(-2)
        known = torch.isfinite(values)
        weights = torch.softmax(torch.where(known, logs.flatten(-2), NEVER), -1)
        highest = torch.where(known, values, 0.0).amax(-1, keepdim=True)
        return weights, torch.where(known, values, highest)  # unknown ones weigh nothing


def _weighed(gaps: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted sum of the gaps that are known, and the weight of those."""
    known = torch.isfinite(gaps)
    return (torch.where(known, gaps, 0.0) * weights).sum(-1), (known * weights).sum(-1)


def energy_score(weights: Tensor, values: Tensor, observed: Tensor) -> Tensor:
    """CRPS of weighted ensembles (…, members), (…): E|X − y| − E|X − X'| / 2, without pairs by sorting."""
    order = torch.argsort(values, -1)
    x, w = torch.gather(values, -1, order), torch.gather(weights, -1, order)
    spread = (w * x * (2 * torch.cumsum(w, -1) - w - 1)).sum(-1)
    return (weights * (values - observed[..., None]).abs()).sum(-1) - spread


def weighted_quantiles(weights: Tensor, values: Tensor) -> Tensor:
    """QUANTILES of weighted ensembles (…, members), (…, 9): linear between members, each at the middle of
    its weight.
    """
    order = torch.argsort(values, -1)
    x, w = torch.gather(values, -1, order), torch.gather(weights, -1, order)
    middle = (torch.cumsum(w, -1) - w / 2).contiguous()
    levels = torch.tensor(QUANTILES, dtype=w.dtype).expand(*w.shape[:-1], -1).contiguous()
    above = torch.searchsorted(middle, levels).clamp(1, w.shape[-1] - 1)
    low, high = torch.gather(middle, -1, above - 1), torch.gather(middle, -1, above)
    share = ((levels - low) / (high - low).clamp_min(1e-9)).clamp(0, 1)
    below_kw, above_kw = torch.gather(x, -1, above - 1), torch.gather(x, -1, above)
    return below_kw + share * (above_kw - below_kw)
