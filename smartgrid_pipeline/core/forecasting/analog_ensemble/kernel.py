"""A trained kernel that weights past days for a target: by age, day type and similarity."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.features.lags import DAY_MINUTES, latest_ended_day, take
from smartgrid_pipeline.core.forecasting.analog_ensemble.similarity import (
    ORIGIN_NAMES,
    PADS,
    WIDEST_TRACK,
    origin_levels,
    same_day_type,
    target_levels,
)
from smartgrid_pipeline.core.schema import QUANTILES, Floats, Rows

AGES = np.concatenate([np.arange(112), np.arange(349, 378)])
"""Past days used, counted from the latest one that has ended: sixteen weeks, and four around a year ago."""

SHIFTS = (-60, -30, 0, 30, 60)
"""Of a day, the intervals shifted by this many minutes are members, too, with less weight."""

YEAR_DAYS = 364.0
LEAST_WEIGHT, LOG_OF_ZERO = 1e-9, -1e9


@dataclass(frozen=True)
class KernelInputs:
    """What the kernel compares, for o origins, l leads, k past days and s shifts.

    ``origin_distances`` (o, k, ORIGIN_NAMES) and ``target_distances`` (o, l, k, TARGET_NAMES) are squared
    differences of similarity features, in units of their usual spread, NaN where unknown. ``ages`` (k,)
    days are the same for all origins. ``same_weekday`` and ``same_day_type`` (o, l, k) are 0 or 1.
    ``values_kw`` (o, l, k, s) are the members, NaN where nothing was observed or the interval has not
    ended; ``shifts`` (s,) minutes.
    """

    origin_distances: Tensor
    target_distances: Tensor
    ages: Tensor
    same_weekday: Tensor
    same_day_type: Tensor
    values_kw: Tensor
    shifts: Tensor


def kernel_inputs(
    history: History, spread: Floats, rows: Rows, starts: Rows, width_minutes: int
) -> KernelInputs:
    """Inputs for origins whose latest rows are ``rows`` (o,) and leads of one width.

    The leads begin ``starts`` (o or 1, l) minutes after the origin; ``spread`` is that of
    ``similarity.spreads``.
    """
    levels = target_levels(history, width_minutes)
    minutes = history.meter.working_minutes
    day = DAY_MINUTES // minutes
    ages = latest_ended_day(int(starts.max() + width_minutes)) + AGES
    starts = np.broadcast_to(starts, (len(rows), starts.shape[-1]))
    first = rows[:, None] + 1 + starts // minutes
    before = first[..., None] - ages * day
    own, others = spread[:, : len(ORIGIN_NAMES)], spread[:, len(ORIGIN_NAMES) :]
    origin = _distances(
        origin_levels(history), rows[:, None], rows[:, None] - ages * day, own[_hours(history, rows + 1)]
    )
    values, shifts = _values(history, before, rows[:, None, None, None], width_minutes)
    middle = history.starts[0] + (first * minutes + width_minutes // 2).astype("timedelta64[m]")
    arrays = (
        origin,
        _target_distances(history, levels, first, before, starts + width_minutes, others),
        ages.astype(np.float32),
        *same_day_type(history, middle, ages),
        values,
        np.abs(shifts).astype(np.float32),
    )
    return KernelInputs(*(torch.from_numpy(array) for array in arrays))


def _target_distances(
    history: History,
    levels: Floats,
    first: Rows,
    before: Rows,
    end_minutes: Rows,
    spread: Floats,
) -> Floats:
    """Gaps (o, l, k, TARGET_NAMES) between target intervals and those of past days.

    TARGET_NAMES of both are those of the latest interval, day by day, that had ended at the origin.
    """
    distances = np.full((*before.shape, len(PADS)), np.nan, np.float32)
    if np.isnan(levels).all():
        return distances
    scale, day = spread[_hours(history, first)], DAY_MINUTES // history.meter.working_minutes
    for pad in sorted(set(PADS)):
        names = np.flatnonzero(np.array(PADS) == pad)
        back = latest_ended_day(end_minutes + pad)[..., None] * day
        distances[..., names] = _distances(
            levels[:, names], first[..., None] - back, before - back, scale[..., names]
        )
    return distances


def _values(history: History, before: Rows, rows: Rows, width_minutes: int) -> tuple[Floats, Rows]:
    """Mean power (o, l, k, s) of the intervals on past days as far as they had ended, and shifts (s,)."""
    minutes = history.meter.working_minutes
    shifts = np.array([s for s in SHIFTS if s % minutes == 0 and (s == 0 or width_minutes <= WIDEST_TRACK)])
    shifted = before[..., None] + shifts // minutes
    values = history.interval_means(shifted, width_minutes)
    values[shifted + width_minutes // minutes > rows + 1] = np.nan
    return values, shifts


def _hours(history: History, rows: Rows) -> Rows:
    """Hour of the day at which each row starts."""
    start = (history.starts[0] - history.starts[0].astype("datetime64[D]")).astype(np.int64)
    return (start + rows * history.meter.working_minutes) // 60 % 24


def _distances(values: Floats, here: Rows, there: Rows, scale: Floats) -> Floats:
    """Squared differences of the columns between rows (…, 1) and rows (…, k) in units of a scale (…)."""
    return ((take(values, here) - take(values, there)) / scale[..., None, :]) ** 2


class Kernel(nn.Module):
    """Weights of past days from a few dozen parameters, most of them logarithms.

    Age: two exponential decays (``memory``, ``long_memory`` with ``long_share``), and a bump one year ago
    (``year_share``, ``year_width``). Day type: ``weekday`` and ``day_type`` are added to the log weight.
    Similarity: squared distances, weighted by ``feature_weights``, are subtracted, but no more than
    ``largest_distance``. Members shifted in time lose ``shift_decay`` an hour.
    """

    memory: Tensor
    long_share: Tensor
    long_memory: Tensor
    year_share: Tensor
    year_width: Tensor
    weekday: Tensor
    day_type: Tensor
    shift_decay: Tensor
    largest_distance: Tensor
    feature_weights: Tensor

    def __init__(self, start: Mapping[str, float | list[float]]) -> None:
        super().__init__()
        for name, value in start.items():
            setattr(self, name, nn.Parameter(torch.tensor(value, dtype=torch.float32)))

    def log_weights(self, inputs: KernelInputs) -> Tensor:
        """Logarithm of the weight of each past day, (o, l, k), up to a constant."""
        ages = inputs.ages
        recent = torch.exp(-ages / self.memory.exp())
        recent = recent + torch.exp(self.long_share - ages / self.long_memory.exp())
        season = torch.exp(self.year_share - ((ages - YEAR_DAYS) / self.year_width.exp()) ** 2)
        day = self.weekday * inputs.same_weekday + self.day_type * inputs.same_day_type
        return torch.log(recent + season + LEAST_WEIGHT) + day - self._distance(inputs)

    def _distance(self, inputs: KernelInputs) -> Tensor:
        """Weighted sum of distances, (o, l, k), below ``largest_distance``.

        An unknown distance is replaced by the mean of the known ones.
        """
        weights = self.feature_weights.exp()
        cut = len(ORIGIN_NAMES)
        origin, origin_known = _weighted_sum(inputs.origin_distances, weights[:cut])
        target, target_known = _weighted_sum(inputs.target_distances, weights[cut:])
        known = origin_known[:, None] + target_known
        distance = (origin[:, None] + target) * weights.sum() / known.clamp_min(1e-6)
        return distance / (1 + distance / self.largest_distance.exp())

    def forward(self, inputs: KernelInputs) -> tuple[Tensor, Tensor]:
        """Weights and values (kW) of all members, (o, l, k × s); weights sum to 1 where any is known."""
        logs = self.log_weights(inputs)[..., None] - self.shift_decay.exp() * inputs.shifts / 60
        values = inputs.values_kw.flatten(-2)
        known = torch.isfinite(values)
        weights = torch.softmax(torch.where(known, logs.flatten(-2), LOG_OF_ZERO), -1)
        highest = torch.where(known, values, 0.0).amax(-1, keepdim=True)
        return weights, torch.where(known, values, highest)  # members of weight 0, sorted behind the others


def _weighted_sum(distances: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted sum of the known distances, and the sum of their weights."""
    known = torch.isfinite(distances)
    return (torch.where(known, distances, 0.0) * weights).sum(-1), (known * weights).sum(-1)


def energy_score(weights: Tensor, values: Tensor, observed: Tensor) -> Tensor:
    """CRPS of weighted ensembles (…, members), (…): E|X − y| − E|X − X'| / 2.

    See Gneiting & Raftery (2007). The second term takes n log n steps instead of n²: in sorted order it is a
    sum over members.
    """
    order = torch.argsort(values, -1)
    x, w = torch.gather(values, -1, order), torch.gather(weights, -1, order)
    spread = (w * x * (2 * torch.cumsum(w, -1) - w - 1)).sum(-1)
    return (weights * (values - observed[..., None]).abs()).sum(-1) - spread


def weighted_quantiles(weights: Tensor, values: Tensor) -> Tensor:
    """QUANTILES of weighted ensembles (…, members), (…, 9), linear between members.

    A member stands for the level in the middle of its weight: with equal weights, (i − ½) / n (Hyndman & Fan
    1996, type 5).
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
