"""Boosted trees for the two short leads that have a card: what trees see in the present, nets may miss.

Any minute is an origin here. Each circuit of the home is forecast by itself, as what a boiler does next
hardly hangs on what the kitchen does; then trees of the whole (its mean, its 10, 50 and 90 % quantile) look
at the circuits' forecasts, too. The mean is halfway between the circuits' sum and that of the whole; the
shape between the quantiles is the experts'. Circuits learn on alternate weeks, so that the whole learns from
forecasts of weeks not learned from. The mixture leans on the trees by a share that its later block decides.
"""

import lzma
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import lightgbm
import numpy as np

from smartgrid_pipeline.core.features.lags import DAY_MINUTES
from smartgrid_pipeline.core.features.minute_series import MinuteSeries
from smartgrid_pipeline.core.features.windows import boosting_features
from smartgrid_pipeline.core.forecasting.forecaster import Split, TrainingBudget
from smartgrid_pipeline.core.forecasting.mixture.boosting_params import (
    FOLD_DAYS,
    FOLDS,
    KNOT_LEVELS,
    LEAD_PARAMS,
    PILOT_ROWS,
    LeadParams,
    Table,
    fit_submeters,
    fit_total,
    select_features,
)
from smartgrid_pipeline.core.learning.lightgbm_text import short_text, slim
from smartgrid_pipeline.core.schema import Floats, LeadInterval, Rows

BLOCK = 8_192

Models = tuple[tuple[Any, ...], ...]
"""FOLDS models for each circuit."""


@dataclass(frozen=True)
class Booster:
    """One lead: the columns it looks at, FOLDS models of each circuit, and those of the whole: a mean, then
    ANCHORS.
    """

    columns: Rows
    circuits: Models
    whole: tuple[Any, ...]

    def ask(self, seen: Floats, latest: Floats) -> tuple[Floats, Floats]:
        """The circuits' sum (rows,) in kW and what is said of the whole (rows, 4) for rows of ``see``;
        ``latest`` (rows, circuits) is what the circuits correct.
        """
        mine = np.ascontiguousarray(seen[:, self.columns])
        folds = [np.mean([_ask(model, mine) for model in fold], 0) for fold in self.circuits]
        circuits = latest + np.stack(folds, -1)
        mine = np.concatenate([mine, _stacked(circuits)], 1)
        return circuits.sum(-1), np.stack([_ask(model, mine) for model in self.whole], -1)


def _ask(model: Any, seen: Floats) -> Floats:
    return model.predict(seen, num_threads=1)


def _stacked(circuits_kw: Floats) -> Floats:
    """What the whole sees of the circuits' forecasts (rows, circuits): each, and their sum."""
    return np.concatenate([circuits_kw, circuits_kw.sum(-1, keepdims=True)], 1, dtype=np.float32)


@dataclass(frozen=True)
class SubmeterBoosting:
    """A booster per lead; leads the meter cannot resolve are absent."""

    boosters: dict[LeadInterval, Booster] = field(default_factory=dict)

    @classmethod
    def fit(
        cls, past: MinuteSeries, split: Split, leads: tuple[LeadInterval, ...], budget: TrainingBudget
    ) -> Self:
        """Learn from random origins before ``split.train_end``."""
        return cls(
            {
                lead: booster
                for number, (lead, plan) in enumerate(LEAD_PARAMS.items())
                if lead in leads and (booster := _fit(past, split, lead, plan, budget, number)) is not None
            }
        )

    def predict(
        self, past: MinuteSeries, rows: Rows, leads: tuple[LeadInterval, ...]
    ) -> tuple[Floats, Floats]:
        """Mean (rows, leads) and ANCHORS (rows, leads, 3) in kW; NaN for leads that are not boosted."""
        out = np.full((len(rows), len(leads), 1 + len(KNOT_LEVELS)), np.nan, np.float32)
        at = {j: self.boosters[lead] for j, lead in enumerate(leads) if lead in self.boosters}
        for begin in range(0, len(rows) if at else 0, BLOCK):
            part = rows[begin : begin + BLOCK]
            seen = boosting_features(past, part)
            for j, booster in at.items():
                circuits_kw, told = booster.ask(seen, _latest(past, part, leads[j]))
                whole = _to_kw(told, past, part, leads[j])
                out[begin : begin + BLOCK, j, 0] = (np.maximum(circuits_kw, 0) + whole[:, 0]) / 2
                out[begin : begin + BLOCK, j, 1:] = np.sort(whole[:, 1:])
        return out[..., 0], out[..., 1:]

    def facts(self) -> dict[str, Any]:
        """For each lead, by its end in minutes, how many circuits it has and which columns of ``see`` it
        looks at.
        """
        return {
            str(lead.end_minutes): {"circuits": len(booster.circuits), "columns": booster.columns.tolist()}
            for lead, booster in self.boosters.items()
        }

    def save(self, directory: Path) -> None:
        """Write the compressed LightGBM texts of each lead; ``facts`` are kept by the caller."""
        for lead, booster in self.boosters.items():
            models = [model for fold in booster.circuits for model in fold] + list(booster.whole)
            whole = PAGE.join(map(short_text, models))
            (directory / _file(lead)).write_bytes(lzma.compress(whole.encode(), preset=6))

    @classmethod
    def load(cls, directory: Path, facts: dict[str, Any]) -> Self:
        """Read what ``save`` wrote. Raises OSError or ValueError when a file is missing or broken."""
        boosters = {}
        for lead in LEAD_PARAMS:
            if found := facts.get(str(lead.end_minutes)):
                models = _models_in(directory / _file(lead))
                folds = [tuple(models[FOLDS * k : FOLDS * (k + 1)]) for k in range(found["circuits"])]
                columns = np.array(found["columns"], np.int64)
                boosters[lead] = Booster(columns, tuple(folds), tuple(models[FOLDS * len(folds) :]))
        return cls(boosters)


def _models_in(path: Path) -> list[Any]:
    try:
        texts = lzma.decompress(path.read_bytes()).decode().split(PAGE)
        return [lightgbm.Booster(model_str=text) for text in texts]
    except (lzma.LZMAError, lightgbm.basic.LightGBMError) as error:
        raise ValueError(f"{path.name} is broken: {error}") from error


PAGE = "\f"


def _fit(
    past: MinuteSeries,
    split: Split,
    lead: LeadInterval,
    plan: LeadParams,
    budget: TrainingBudget,
    number: int,
) -> Booster | None:
    folds = _rows(past, split, lead, plan, budget, number)
    if min(map(len, folds)) < plan.tail.smallest_leaf:
        return None
    parts = [_circuits_kw(past, rows, lead) - _latest(past, rows, lead) for rows in folds]
    few = [rows[: PILOT_ROWS // FOLDS] for rows in folds]
    pilot = np.concatenate([part[: len(rows)] for part, rows in zip(parts, few, strict=True)])
    columns = select_features(boosting_features(past, np.concatenate(few)), pilot, plan, budget)
    few = [rows[: plan.whole_rows // FOLDS] for rows in folds]
    seen = np.empty((sum(map(len, few)), len(columns)), np.float32)
    learned, begin = [], 0
    for rows, part in zip(folds, parts, strict=True):
        mine = _chosen(past, rows, columns)
        learned.append(fit_submeters(Table.of(mine, budget), part, plan))
        end = begin + min(plan.whole_rows // FOLDS, len(rows))
        seen[begin:end], begin = mine[: end - begin], end
        del mine
    told = _out_of_fold(learned, seen, [len(rows) for rows in few])
    rows = np.concatenate(few)
    seen = np.concatenate([seen, _stacked(told + _latest(past, rows, lead))], 1)
    target = _from_kw(_circuits_kw(past, rows, lead).sum(-1), past, rows, lead)
    whole = fit_total(Table.of(seen, budget), target, plan)
    circuits = tuple(tuple(map(slim, models)) for models in zip(*learned, strict=True))
    return Booster(columns, circuits, tuple(map(slim, whole)))


def _rows(
    past: MinuteSeries,
    split: Split,
    lead: LeadInterval,
    plan: LeadParams,
    budget: TrainingBudget,
    number: int,
) -> list[Rows]:
    """Random rows of each fold, no more than a plan asks for, whose target was observed before the end."""
    first, train_end = (int(row) for row in past.rows(np.array([split.start, split.train_end])))
    first += min(past.steps(28 * DAY_MINUTES), (train_end - first) // 4)
    last = train_end - past.steps(lead.end_minutes)
    rows = first + np.random.default_rng([budget.seed, number]).permutation(last - first)
    span = max(1, min(past.steps(FOLD_DAYS * DAY_MINUTES), (last - first) // 8))
    count = min(plan.rows, budget.max_rows or plan.rows) // FOLDS
    folds = [rows[rows // span % FOLDS == fold][:count] for fold in range(FOLDS)]
    return [chosen[np.isfinite(_circuits_kw(past, chosen, lead)).all(1)] for chosen in folds]


def _circuits_kw(past: MinuteSeries, rows: Rows, lead: LeadInterval) -> Floats:
    """What each circuit drew in the lead interval from each row, (rows, circuits)."""
    begins = rows - past.padding + lead.start_minutes // past.step_minutes
    return past.loads.targets(begins, lead.width_minutes)


def _chosen(past: MinuteSeries, rows: Rows, columns: Rows) -> Floats:
    """Some columns of ``see``, made in blocks."""
    seen = np.empty((len(rows), len(columns)), np.float32)
    for begin in range(0, len(rows), BLOCK):
        seen[begin : begin + BLOCK] = boosting_features(past, rows[begin : begin + BLOCK])[:, columns]
    return seen


def _out_of_fold(learned: list[tuple[Any, ...]], seen: Floats, counts: list[int]) -> Floats:
    """What the other folds' trees say of the rows of each fold, which follow each other in ``seen``."""
    told, begin = np.empty((len(seen), len(learned[0])), np.float32), 0
    for fold, count in enumerate(counts):
        others = [models for number, models in enumerate(learned) if number != fold]
        mine = seen[begin : begin + count]
        told[begin : begin + count] = np.mean(
            [np.stack([_ask(model, mine) for model in models], -1) for models in others], 0
        )
        begin += count
    return told


def _from_kw(target_kw: Floats, past: MinuteSeries, rows: Rows, lead: LeadInterval) -> Floats:
    """What the whole learns: for the next minutes how the root of power departs from that of the latest
    reading, further on the power itself. Roots let a night's watts count beside an oven's kilowatts.
    """
    if not LEAD_PARAMS[lead].corrects_latest:
        return target_kw
    return (np.sqrt(np.maximum(target_kw, 0)) - _latest_root(past, rows)).astype(np.float32)


def _to_kw(told: Floats, past: MinuteSeries, rows: Rows, lead: LeadInterval) -> Floats:
    """The inverse of ``_from_kw`` for (rows, columns)."""
    if not LEAD_PARAMS[lead].corrects_latest:
        return told
    return np.maximum(told + _latest_root(past, rows)[:, None], 0) ** 2


def _latest(past: MinuteSeries, rows: Rows, lead: LeadInterval) -> Floats:
    """What the circuits' trees correct, (rows, circuits) kW: their latest readings, or nothing."""
    found = past.loads.latest(np.maximum(rows - 1 - past.padding, 0))
    return found if LEAD_PARAMS[lead].corrects_latest else np.zeros_like(found)


def _latest_root(past: MinuteSeries, rows: Rows) -> Floats:
    return np.sqrt(np.maximum(past.power_kw[rows - 1], 0))


def rescale_to_knots(quantiles_kw: Floats, anchors_kw: Floats) -> Floats:
    """The experts' nine quantiles (…, 9) stretched so that they pass through the ANCHORS (…, 3)."""
    low, middle, high = (quantiles_kw[..., k, None] for k in (0, 4, 8))
    to_low, to_middle, to_high = (anchors_kw[..., k, None] for k in range(3))
    below = (middle - quantiles_kw) / np.maximum(middle - low, 1e-4) * (to_middle - to_low)
    above = (quantiles_kw - middle) / np.maximum(high - middle, 1e-4) * (to_high - to_middle)
    side = np.arange(quantiles_kw.shape[-1]) < 4
    return (to_middle + np.where(side, -below, above)).astype(np.float32)


def _file(lead: LeadInterval) -> str:
    return f"boost_{lead.end_minutes}min.txt.xz"
