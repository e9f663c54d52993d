"""Training samples of the regression of a lead group: pairs of origin and lead, and their features."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from smartgrid_pipeline.core.features import tabular
from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.forecasting.leads import LeadGroup
from smartgrid_pipeline.core.schema import Floats, Meter, Rows, Times

BURN_IN_DAYS = 7
"""Origins of the first days are left out: too little was recorded before them."""

MIDNIGHT_SHARE = 0.5
"""Share of the midnight origins in the total weight: long-horizon forecasts are mostly made at midnight."""

PREDICT_BLOCK = 65_536
"""Pairs forecast at a time, so that memory stays bounded."""

FEATURE_BLOCK = 32_768
"""Pairs whose features are built at a time: intermediate arrays stay small beside the result."""

SEASONAL_COLUMNS = ("day_of_year_", "year_ago_")
"""Parts of the names of columns that depend on the time of the year."""


@dataclass(frozen=True)
class Sample:
    """n observed pairs of origin and lead, from a window of ``days`` days.

    ``inputs`` (n, columns) features; ``observed_kw``, ``weights`` and ``groups``, the residual groups, (n,).
    """

    inputs: Floats
    observed_kw: Floats
    weights: Floats
    groups: Rows
    days: float

    def thinned(self, rows: int) -> "Sample":
        """Every k-th pair, so that at most ``rows`` are left."""
        return self.select(np.arange(0, len(self.observed_kw), max(1, -(-len(self.observed_kw) // rows))))

    def select(self, rows: Rows) -> "Sample":
        """The pairs with these row numbers."""
        return Sample(
            self.inputs[rows], self.observed_kw[rows], self.weights[rows], self.groups[rows], self.days
        )


# --- features -------------------------------------------------------------------------------------


def feature_names(meter: Meter, group: LeadGroup) -> tuple[str, ...]:
    """Columns of ``build_features``."""
    return (*tabular.origin_names(meter, group.is_short), *tabular.target_names(meter))


def build_features(history: History, group: LeadGroup, origins: Times, lead_at: Rows) -> Floats:
    """Features of pairs of an origin and a lead, (pairs, columns) float32.

    ``lead_at`` (pairs,) are indices into ``group.leads``. SEASONAL_COLUMNS are NaN unless the group is
    seasonal.
    """
    names = feature_names(history.meter, group)
    out = np.empty((len(origins), len(names)), np.float32)
    for begin in range(0, len(origins), FEATURE_BLOCK):
        block = slice(begin, begin + FEATURE_BLOCK)
        _fill(out[block], history, group, origins[block], lead_at[block])
    if not group.seasonal:
        out[:, [k for k, name in enumerate(names) if any(part in name for part in SEASONAL_COLUMNS)]] = np.nan
    return out


def _fill(out: Floats, history: History, group: LeadGroup, origins: Times, lead_at: Rows) -> None:
    """Write the features of some pairs into ``out``."""
    distinct, back = np.unique(origins, return_inverse=True)
    at_origin = tabular.origin_features(history, distinct, group.is_short)
    out[:, : at_origin.shape[1]] = at_origin[back]
    starts = np.array([lead.start_minutes for lead in group.leads])[lead_at]
    widths = np.array([lead.width_minutes for lead in group.leads])[lead_at]
    for width in np.unique(widths):
        rows = widths == width
        out[rows, at_origin.shape[1] :] = tabular.target_features(
            history, origins[rows], starts[rows], int(width)
        )


# --- pairs ----------------------------------------------------------------------------------------


def sample_pairs(
    history: History,
    group: LeadGroup,
    start: np.datetime64,
    end: np.datetime64,
    count: int,
    every_minutes: int,
    seed: int,
) -> Sample:
    """At most ``count`` observed pairs with origin and target in [start, end].

    Origins are ``every_minutes`` apart, or as far as the meter's working interval where that is more.
    """
    every_minutes = max(every_minutes, history.meter.working_minutes)
    origins, lead_at = _choose_pairs(group, history.origins(start, end, every_minutes), count, seed)
    observed = np.full(len(origins), np.nan, np.float32)
    rows = history.rows(origins)
    for number, lead in enumerate(group.leads):
        chosen = (lead_at == number) & (origins + np.timedelta64(lead.end_minutes, "m") <= end)
        first = rows[chosen] + 1 + lead.start_minutes // history.meter.working_minutes
        observed[chosen] = history.interval_means(first, lead.width_minutes, complete=True)
    known = np.isfinite(observed)
    origins, lead_at = origins[known], lead_at[known]
    return Sample(
        build_features(history, group, origins, lead_at),
        observed[known],
        _weights(group, origins),
        group.residual_groups(origins, lead_at),
        float((end - start) / np.timedelta64(1, "D")),
    )


def _choose_pairs(group: LeadGroup, origins: Times, count: int, seed: int) -> tuple[Times, Rows]:
    """Random pairs in order of time; of a long-horizon group up to half of them at midnight."""
    rng = np.random.default_rng(seed)
    leads = len(group.leads)
    pairs = np.arange(len(origins) * leads)
    preferred = _is_midnight(origins[pairs // leads]) & (not group.is_short)
    first = rng.permutation(pairs[preferred])[: count // 2]
    others = np.setdiff1d(pairs, first, assume_unique=True)
    rest = rng.choice(others, min(count - len(first), len(others)), replace=False)
    chosen = np.sort(np.concatenate([first, rest]))
    return origins[chosen // leads], chosen % leads


def _is_midnight(origins: Times) -> npt.NDArray[np.bool_]:
    return origins == origins.astype("datetime64[D]")


def burn_in_end(start: np.datetime64, end: np.datetime64) -> np.datetime64:
    """First origin to train on: BURN_IN_DAYS after the start, or an eighth of a short window."""
    return start + min(np.timedelta64(BURN_IN_DAYS * 1440, "m"), (end - start) // 8)


def _weights(group: LeadGroup, origins: Times) -> Floats:
    """Weights (origins,) of mean 1; the midnight origins of a long-horizon group share MIDNIGHT_SHARE."""
    weights = np.ones(len(origins), np.float32)
    midnight = _is_midnight(origins)
    share = midnight.mean() if len(origins) else 0.0
    if not group.is_short and 0 < share < MIDNIGHT_SHARE:
        weights[midnight] = MIDNIGHT_SHARE / share
        weights[~midnight] = (1 - MIDNIGHT_SHARE) / (1 - share)
    return weights
