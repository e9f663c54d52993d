"""Paired tests of two forecasts on the same rows, valid under dependence in time.

Two tests on daily losses: a circular block bootstrap (Politis & Romano 1992), which resamples whole blocks of
days with the ends joined, and the test of Diebold & Mariano (1995) with the small-sample correction of
Harvey, Leybourne & Newbold (1997). The bootstrap decides; the other is reported beside it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from smartgrid_pipeline.core.evaluation.scoring.metrics import ANALOGUE, Aligned, align, row_loss, table_of
from smartgrid_pipeline.core.schema import FORECAST_TASKS, DataError, Doubles

COMPOSITE_TASKS = ("T1", "T2", "T3", "T4")
"""Tasks that decide a promotion, as far as a meter can resolve them."""

SIGNIFICANCE = 0.05
MIN_BLOCKS = 5
"""With fewer blocks of days than this a bootstrap is too narrow."""

RIVALS = ("lightgbm", ANALOGUE)
"""Models that every other model is tested against."""

RESAMPLES = 4_000
SEED = 20_101_126


@dataclass(frozen=True)
class PairedTest:
    """The loss of ``a`` minus that of ``b`` on the same rows, in per cent of the loss of ``b``.

    Negative: ``a`` is better. ``low_percent`` and ``high_percent`` are the 95 % interval of the difference
    and ``p`` is two-sided, both from the circular block bootstrap over days, in blocks of ``block_days`` of
    which ``n_blocks`` fill the span. ``dm_statistic`` and ``dm_p`` are those of Diebold & Mariano.
    """

    card: str
    loss: str
    mean_difference_percent: float
    low_percent: float
    high_percent: float
    p: float
    n_days: int
    block_days: int
    n_blocks: int
    dm_statistic: float
    dm_p: float
    method: str = "circular moving-block bootstrap over days"

    @property
    def better(self) -> bool:
        """Whether the loss of ``a`` is significantly lower; never with fewer than MIN_BLOCKS blocks."""
        return self.mean_difference_percent < 0 and self.p < SIGNIFICANCE and self.n_blocks >= MIN_BLOCKS

    def to_dict(self) -> dict[str, Any]:
        """Plain data for result files."""
        return asdict(self)


@dataclass(frozen=True)
class Evaluation:
    """Several models scored over one span.

    ``aligned`` their forecasts on common rows; ``metrics`` the table of ``metrics.table``; ``tests`` one row
    of PairedTest per task (``card``), model ``a`` and rival ``b``.
    """

    aligned: Aligned
    metrics: pd.DataFrame
    tests: pd.DataFrame

    @property
    def cards(self) -> tuple[str, ...]:
        """Names of the tasks scored, in their order."""
        return tuple(self.aligned)

    @property
    def models(self) -> tuple[str, ...]:
        """The models scored on any task, in their order."""
        return tuple(dict.fromkeys(model for frames in self.aligned.values() for model in frames))

    @property
    def months(self) -> tuple[str, ...]:
        """The civil months of the scored origins, in order."""
        firsts = [next(iter(frames.values()))["origin"] for frames in self.aligned.values()]
        return tuple(sorted({month for origins in firsts for month in origins.dt.strftime("%Y-%m").unique()}))

    def value(self, card: str, model: str, metric: str) -> float:
        """One number of the metrics table; NaN when the model has no row of the task ``card``."""
        rows = self.metrics[(self.metrics["card"] == card) & (self.metrics["model"] == model)]
        return float(rows[metric].iloc[0]) if len(rows) else float("nan")

    @property
    def composite(self) -> pd.Series:
        """Composite of each model, best first: mean over COMPOSITE_TASKS of its CRPS divided by that of the
        28-day analogue. Models that lack a task are absent; empty without the analogue.
        """
        crps = self.metrics.pivot(index="card", columns="model", values="crps_kw")
        crps = crps.loc[[card for card in COMPOSITE_TASKS if card in crps.index]]
        if ANALOGUE not in crps or crps.empty:
            return pd.Series(dtype=float)
        return crps.div(crps[ANALOGUE], axis=0).dropna(axis=1).mean().sort_values(kind="stable")


def evaluate(
    forecasts_by_model: Mapping[str, pd.DataFrame], mase_scales_kw: Mapping[str, float] | None = None
) -> Evaluation:
    """Score every model on the rows that all share, and test each against RIVALS on the CRPS of each task."""
    aligned = align(forecasts_by_model)
    rows = []
    for card, frames in aligned.items():
        losses = {model: _daily_loss(frame, "crps") for model, frame in frames.items() if len(frame)}
        rows += [
            {"a": model, "b": rival, **_test(losses[model], losses[rival], card, "crps").to_dict()}
            for rival in RIVALS
            for model in losses
            if rival in losses and model != rival
        ]
    columns = ["a", "b", *PairedTest.__dataclass_fields__]
    return Evaluation(aligned, table_of(aligned, mase_scales_kw), pd.DataFrame(rows, columns=columns))


def paired(a: pd.DataFrame, b: pd.DataFrame, card: str, loss: str = "crps") -> PairedTest:
    """Test forecasts ``a`` against ``b`` on the task ``card``; ``loss`` is "crps", "squared" or "absolute".

    Raises DataError when they share no scored row of the task.
    """
    frames = align({"a": a[a["card"] == card], "b": b[b["card"] == card]}).get(card, {})
    if len(frames) < 2 or frames["a"].empty:
        raise DataError(f"The two forecasts share no scored row of {card}; score both on the same origins.")
    return _test(_daily_loss(frames["a"], loss), _daily_loss(frames["b"], loss), card, loss)


def paired_over_seeds(
    a: Sequence[pd.DataFrame], b: Sequence[pd.DataFrame], card: str, loss: str = "crps"
) -> PairedTest:
    """``paired`` for models fitted with several seeds: the loss of a day is the mean over the model's seeds.

    All tables must be aligned (see ``metrics.align``).
    """
    means = [np.mean([_daily_loss(frame, loss) for frame in frames], axis=0) for frames in (a, b)]
    return _test(means[0], means[1], card, loss)


def paired_composite(a: pd.DataFrame, b: pd.DataFrame, reference: pd.DataFrame) -> PairedTest:
    """Test ``a`` against ``b`` on the composite loss (``composite_loss``) over rows common to all three."""
    losses = composite_loss({"a": a, "b": b}, reference)
    return _test(losses["a"].to_numpy(), losses["b"].to_numpy(), "composite", "crps")


def composite_loss(forecasts_by_model: Mapping[str, pd.DataFrame], reference: pd.DataFrame) -> pd.DataFrame:
    """Composite loss of each model (columns) on each day (index), without unit; the analogue's mean is 1.

    For every task of COMPOSITE_TASKS present: the day's mean CRPS divided by the 28-day analogue's mean CRPS
    of the task; then the mean over tasks. Days without a scored row of every task are left out. Raises
    DataError when no day is left, or when a model lacks a task.
    """
    models = tuple(forecasts_by_model)
    aligned = align({**forecasts_by_model, ANALOGUE: reference})
    return composite_loss_of(aligned, models)


def composite_loss_of(aligned: Aligned, models: Sequence[str]) -> pd.DataFrame:
    """``composite_loss`` of forecasts already aligned, the 28-day analogue among them."""
    parts: dict[str, list[pd.Series]] = {model: [] for model in models}
    cards = [card for card in COMPOSITE_TASKS if card in aligned]
    for card in cards:
        frames = aligned[card]
        if absent := sorted({*models, ANALOGUE} - set(frames)):
            raise DataError(f"No forecast on {card} from {absent}; every model must forecast every card.")
        scale = float(row_loss(frames[ANALOGUE], "crps").mean()) if len(frames[ANALOGUE]) else np.nan
        for model in models:
            loss = pd.Series(row_loss(frames[model], "crps") / scale)
            parts[model].append(loss.groupby(frames[model]["origin"].dt.normalize()).mean())
    joined = {
        model: pd.concat(series, axis=1).dropna().mean(axis=1) for model, series in parts.items() if series
    }
    losses = pd.DataFrame(joined)
    if losses.empty:
        raise DataError(f"No day has a scored forecast on every one of the cards {cards or COMPOSITE_TASKS}.")
    return losses


def _daily_loss(frame: pd.DataFrame, loss: str) -> Doubles:
    """Sum of the loss over the rows of each day of origin, (n_days,)."""
    days = frame["origin"].dt.normalize().to_numpy()
    return pd.Series(row_loss(frame, loss)).groupby(days).sum().to_numpy(np.float64)


def _test(a: Doubles, b: Doubles, card: str, loss: str) -> PairedTest:
    """Both tests on daily losses (sums or means) of two models, (n_days,)."""
    n = len(a)
    block = _block_days(card, n)
    difference = 100 * (a.sum() - b.sum()) / b.sum() if b.sum() > 0 else 0.0
    drawn = _resampled_percent(a, b, block)
    low, high = np.quantile(drawn, [0.025, 0.975])
    tail = min(np.count_nonzero(drawn <= 0), np.count_nonzero(drawn >= 0))
    p = min(1.0, 2 * float(tail + 1) / (RESAMPLES + 1))
    statistic, dm_p = diebold_mariano(a, b, block)
    blocks = -(-n // block)
    return PairedTest(
        card, loss, float(difference), float(low), float(high), p, n, block, blocks, statistic, dm_p
    )


def _block_days(card: str, n_days: int) -> int:
    """Block length in days: the cube root of the number of days, at least the longest lead of the task.

    A month gives 4 days, a year 8. Weekly targets from daily origins overlap, so their blocks span a week.
    """
    leads = [known.leads[-1].end_minutes for known in FORECAST_TASKS if known.name == card]
    longest = -(-max(leads, default=1440) // 1440)
    return int(min(n_days, max(np.ceil(round(n_days ** (1 / 3), 9)), longest)))


def _resampled_percent(a: Doubles, b: Doubles, block: int) -> Doubles:
    """Bootstrap draws of the difference in total loss, in per cent of the loss of ``b``, (RESAMPLES,)."""
    counts = _day_counts(len(a), block)
    above, below = counts @ a, counts @ b
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(below > 0, 100 * (above - below) / below, 0.0)


@lru_cache(maxsize=8)
def _day_counts(n: int, block: int) -> Doubles:
    """How often each draw holds each of ``n`` days, (RESAMPLES, n): whole blocks of days, the ends joined."""
    rng = np.random.default_rng(SEED)
    firsts = rng.integers(0, n, (RESAMPLES, -(-n // block)))
    days = ((firsts[:, :, None] + np.arange(block)) % n).reshape(RESAMPLES, -1)[:, :n]
    flat = days + n * np.arange(RESAMPLES)[:, None]
    return np.bincount(flat.ravel(), minlength=RESAMPLES * n).reshape(RESAMPLES, n).astype(np.float64)


def diebold_mariano(a: Doubles, b: Doubles, lags: int) -> tuple[float, float]:
    """Statistic and two-sided p-value of Diebold & Mariano (1995) for two loss series of one length.

    The variance is that of Newey & West (1987) with ``lags`` Bartlett weights. The statistic is corrected by
    Harvey, Leybourne & Newbold (1997) and compared with Student's t with n − 1 degrees of freedom. Negative:
    ``a`` is better.
    """
    from scipy import stats

    d = a - b
    n = len(d)
    centred = d - d.mean()
    lags = min(lags, n - 1)
    variance = centred @ centred / n
    for k in range(1, lags):
        variance += 2 * (1 - k / lags) * (centred[k:] @ centred[:-k]) / n
    if n < 2 or not variance > 0:
        same = bool(np.isclose(d.mean(), 0)) if n else True
        return (0.0, 1.0) if same else (float(np.sign(d.mean()) * np.inf), 0.0 if n > 1 else 1.0)
    correction = np.sqrt(max(n + 1 - 2 * lags + lags * (lags - 1) / n, 1) / n)
    statistic = float(d.mean() / np.sqrt(variance / n) * correction)
    return statistic, float(2 * stats.t.sf(abs(statistic), n - 1))
