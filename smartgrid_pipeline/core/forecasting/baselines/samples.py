"""The pairs of origin and lead that the regression of a lead group learns from, and their features."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from smartgrid_pipeline.core.features import tabular as inputs
from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.forecasting.leads import LeadGroup
from smartgrid_pipeline.core.schema import Floats, Meter, Rows, Times

WARM_DAYS = 7
"""Origins of the first days have too little past to learn from."""

MIDNIGHT_SHARE = 0.5
"""Weight of the midnight origins among all: far leads are asked for at midnight more than at other times."""

PREDICT_BLOCK = 65_536
"""Pairs forecast at a time, so that memory stays bounded."""


LOOK_BLOCK = 32_768
"""Pairs looked at a time: their inputs are made beside the whole, not as large as the whole."""


@dataclass(frozen=True)
class Sample:
    """Pairs to learn from, out of a block of ``days``: inputs (n, columns); the others (n,)."""

    inputs: Floats
    observed_kw: Floats
    weights: Floats
    groups: Rows
    days: float

    def thinned(self, rows: int) -> "Sample":
        """Every k-th pair, so that at most ``rows`` are left."""
        return self.at(np.arange(0, len(self.observed_kw), max(1, -(-len(self.observed_kw) // rows))))

    def at(self, rows: Rows) -> "Sample":
        """Some of the pairs."""
        return Sample(
            self.inputs[rows], self.observed_kw[rows], self.weights[rows], self.groups[rows], self.days
        )


SEASONAL = ("day_of_year_", "year_ago_")
"""Parts of the names of columns that tell the time of the year."""


def feature_names(meter: Meter, family: LeadGroup) -> tuple[str, ...]:
    """Columns of ``look``."""
    return (*inputs.origin_names(meter, family.is_short), *inputs.target_names(meter))


def look(history: History, family: LeadGroup, origins: Times, lead_at: Rows) -> Floats:
    """Inputs of pairs of an origin and a lead (its place in ``family.leads``), (pairs, columns) float32.

    What tells the time of the year is NaN for a family that is not seasonal.
    """
    out = np.empty((len(origins), len(feature_names(history.meter, family))), np.float32)
    for begin in range(0, len(origins), LOOK_BLOCK):
        block = slice(begin, begin + LOOK_BLOCK)
        _fill(out[block], history, family, origins[block], lead_at[block])
    if not family.seasonal:
        names = feature_names(history.meter, family)
        out[:, [k for k, name in enumerate(names) if any(part in name for part in SEASONAL)]] = np.nan
    return out


def _fill(out: Floats, history: History, family: LeadGroup, origins: Times, lead_at: Rows) -> None:
    """Write the inputs of some pairs into ``out``."""
    distinct, back = np.unique(origins, return_inverse=True)
    known = inputs.origin_features(history, distinct, family.is_short)
    out[:, : known.shape[1]] = known[back]
    starts = np.array([lead.start_minutes for lead in family.leads])[lead_at]
    widths = np.array([lead.width_minutes for lead in family.leads])[lead_at]
    for width in np.unique(widths):
        mine = widths == width
        out[mine, known.shape[1] :] = inputs.target_features(history, origins[mine], starts[mine], int(width))


def draw(
    history: History,
    family: LeadGroup,
    start: np.datetime64,
    end: np.datetime64,
    count: int,
    every: int,
    seed: int,
) -> Sample:
    """At most ``count`` observed pairs with targets in (start, end], origins ``every`` minutes apart."""
    every = max(every, history.meter.working_minutes)
    origins, lead_at = _choose(family, history.origins(start, end, every), count, seed)
    observed = np.full(len(origins), np.nan, np.float32)
    rows = history.rows(origins)
    for at, lead in enumerate(family.leads):
        mine = (lead_at == at) & (origins + np.timedelta64(lead.end_minutes, "m") <= end)
        first = rows[mine] + 1 + lead.start_minutes // history.meter.working_minutes
        observed[mine] = history.interval_means(first, lead.width_minutes, complete=True)
    seen = np.isfinite(observed)
    origins, lead_at = origins[seen], lead_at[seen]
    return Sample(
        look(history, family, origins, lead_at),
        observed[seen],
        _weights(family, origins),
        family.residual_groups(origins, lead_at),
        float((end - start) / np.timedelta64(1, "D")),
    )


def _choose(family: LeadGroup, origins: Times, count: int, seed: int) -> tuple[Times, Rows]:
    """Random pairs in order of time; for a far family those of midnight come first, up to half of them."""
    rng = np.random.default_rng(seed)
    leads = len(family.leads)
    pairs = np.arange(len(origins) * leads)
    wanted = _is_midnight(origins[pairs // leads]) & (not family.is_short)
    first = rng.permutation(pairs[wanted])[: count // 2]
    others = np.setdiff1d(pairs, first, assume_unique=True)
    rest = rng.choice(others, min(count - len(first), len(others)), replace=False)
    chosen = np.sort(np.concatenate([first, rest]))
    return origins[chosen // leads], chosen % leads


def _is_midnight(origins: Times) -> npt.NDArray[np.bool_]:
    return origins == origins.astype("datetime64[D]")


def burn_in_end(start: np.datetime64, end: np.datetime64) -> np.datetime64:
    """When origins begin to be worth learning from: after a week, or an eighth of a short window."""
    return start + min(np.timedelta64(WARM_DAYS * 1440, "m"), (end - start) // 8)


def _weights(family: LeadGroup, origins: Times) -> Floats:
    """1 on average; the midnight origins of a far family share MIDNIGHT_SHARE among them."""
    weights = np.ones(len(origins), np.float32)
    midnight = _is_midnight(origins)
    share = midnight.mean() if len(origins) else 0.0
    if not family.is_short and 0 < share < MIDNIGHT_SHARE:
        weights[midnight] = MIDNIGHT_SHARE / share
        weights[~midnight] = (1 - MIDNIGHT_SHARE) / (1 - share)
    return weights
