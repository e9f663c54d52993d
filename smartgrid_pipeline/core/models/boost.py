"""Boosted trees for the two short leads that have a card: what trees see in the present, nets may miss.

Any minute is an origin here. Each lead has a mean and three quantiles (10, 50 and 90 %); the shape between
them is the experts'. The mixture leans on them by a share that its later block decides.
"""

import gzip
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import lightgbm
import numpy as np

from smartgrid_pipeline.core.models import neural_inputs as inputs
from smartgrid_pipeline.core.models.forecaster import Budget, Floats, Split
from smartgrid_pipeline.core.models.lightgbm_text import slim, text_of
from smartgrid_pipeline.core.models.past import DAY, Past, Rows
from smartgrid_pipeline.core.schema import LeadInterval


@dataclass(frozen=True)
class Growth:
    """How one model is grown: from how many rows, how many trees of what kind."""

    rows: int
    trees: int
    leaves: int
    rate: float
    smallest_leaf: int
    columns: float
    share: float
    random_cuts: bool = False

    def settings(self, rows: int) -> dict[str, Any]:
        """LightGBM settings; leaves stay small beside a small sample."""
        return {
            "num_leaves": self.leaves,
            "learning_rate": self.rate,
            "min_data_in_leaf": min(self.smallest_leaf, max(5, rows // 50)),
            "feature_fraction": self.columns,
            "bagging_fraction": self.share,
            "extra_trees": self.random_cuts,
        }


@dataclass(frozen=True)
class Plan:
    """How one lead is boosted: means that are averaged, the median, and both tails.

    Absolute errors are judged by the median, so it gets more trees than the tails. The further the lead, the
    more its rows repeat each other, and the larger the leaves.
    """

    columns: int
    means: tuple[Growth, ...]
    median: Growth
    tail: Growth
    corrects_latest_root: bool = False


PLANS = {
    LeadInterval(0, 5): Plan(
        160,
        (Growth(1_000_000, 420, 127, 0.05, 100, 0.4, 0.7),),
        Growth(400_000, 480, 63, 0.1, 100, 0.4, 0.7),
        Growth(250_000, 220, 31, 0.1, 100, 0.4, 0.7),
        corrects_latest_root=True,
    ),
    LeadInterval(0, 60): Plan(
        160,
        (
            Growth(900_000, 520, 31, 0.05, 1_000, 0.2, 0.3),
            Growth(900_000, 600, 31, 0.05, 500, 0.4, 0.3, random_cuts=True),
        ),
        Growth(400_000, 400, 31, 0.1, 500, 0.3, 0.7),
        Growth(250_000, 160, 31, 0.1, 1_000, 0.2, 0.3),
    ),
}

PILOT_ROWS, PILOT_TREES = 60_000, 60
"""A short first model finds the columns worth splitting on."""

ANCHORS = (0.1, 0.5, 0.9)
SHARED_SETTINGS: dict[str, Any] = {
    "bagging_freq": 1,
    "lambda_l2": 5.0,
    "max_bin": 63,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}

BLOCK = 8_192


@dataclass(frozen=True)
class Booster:
    """One lead: the columns it looks at, the models of its mean, and those of its three quantiles."""

    columns: Rows
    models: tuple[Any, ...]

    def ask(self, seen: Floats) -> Floats:
        """Mean and ANCHORS of rows of ``see``, (rows, 4) kW."""
        mine = np.ascontiguousarray(seen[:, self.columns])
        told = np.stack([model.predict(mine, num_threads=1) for model in self.models], -1)
        mean, anchors = told[:, : -len(ANCHORS)].mean(-1, keepdims=True), np.sort(told[:, -len(ANCHORS) :])
        return np.concatenate([mean, anchors], -1).astype(np.float32)


@dataclass(frozen=True)
class Boost:
    """A booster per lead; leads the meter cannot resolve are absent."""

    boosters: dict[LeadInterval, Booster] = field(default_factory=dict)

    @classmethod
    def fit(cls, past: Past, split: Split, leads: tuple[LeadInterval, ...], budget: Budget) -> Self:
        """Learn from random origins before ``split.fit_end``."""
        return cls(
            {
                lead: booster
                for number, (lead, plan) in enumerate(PLANS.items())
                if lead in leads and (booster := _fit(past, split, lead, plan, budget, number)) is not None
            }
        )

    def predict(self, past: Past, rows: Rows, leads: tuple[LeadInterval, ...]) -> tuple[Floats, Floats]:
        """Mean (rows, leads) and ANCHORS (rows, leads, 3) in kW; NaN for leads that are not boosted."""
        out = np.full((len(rows), len(leads), 1 + len(ANCHORS)), np.nan, np.float32)
        at = {j: self.boosters[lead] for j, lead in enumerate(leads) if lead in self.boosters}
        for begin in range(0, len(rows) if at else 0, BLOCK):
            part = rows[begin : begin + BLOCK]
            seen = see(past, part)
            for j, booster in at.items():
                out[begin : begin + BLOCK, j] = _to_kw(booster.ask(seen), past, part, leads[j])
        return out[..., 0], out[..., 1:]

    def save(self, directory: Path) -> None:
        """Write the columns and the compressed LightGBM texts of each lead."""
        for lead, booster in self.boosters.items():
            head = " ".join(map(str, booster.columns.tolist()))
            whole = PAGE.join([head, *(text_of(model) for model in booster.models)])
            (directory / _file(lead)).write_bytes(gzip.compress(whole.encode(), 9, mtime=0))

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Read what ``save`` wrote. Raises ValueError when a file is not one of ours."""
        boosters = {}
        for lead in PLANS:
            if (directory / _file(lead)).exists():
                head, *texts = gzip.decompress((directory / _file(lead)).read_bytes()).decode().split(PAGE)
                columns = np.array(head.split(), np.int64)
                boosters[lead] = Booster(columns, tuple(lightgbm.Booster(model_str=text) for text in texts))
        return cls(boosters)


PAGE = "\f"


def _fit(
    past: Past, split: Split, lead: LeadInterval, plan: Plan, budget: Budget, number: int
) -> Booster | None:
    first, fit_end = (int(row) for row in past.rows(np.array([split.start, split.fit_end])))
    first += min(past.steps(28 * DAY), (fit_end - first) // 4)
    rng = np.random.default_rng([budget.seed, number])
    grown = (*plan.means, plan.median, plan.tail)
    last = fit_end - past.steps(lead.end_minutes)
    count = min(max(growth.rows for growth in grown), budget.max_rows or last, last - first)
    rows = first + rng.permutation(last - first)[:count]
    target = past.targets(rows, (lead,), fit_end)[:, 0]
    rows, target = rows[np.isfinite(target)], target[np.isfinite(target)]
    target = _from_kw(target, past, rows, lead)
    if len(rows) < 2 * plan.tail.smallest_leaf:
        return None
    shared = SHARED_SETTINGS | {"seed": budget.seed, "num_threads": max(1, budget.threads)}

    def grow(seen: Floats, target: Floats, growth: Growth, extra: dict[str, Any]) -> Any:
        data = lightgbm.Dataset(seen[: growth.rows], target[: growth.rows], free_raw_data=True)
        settings = shared | growth.settings(min(growth.rows, len(target))) | extra
        return lightgbm.train(settings, data, min(growth.trees, budget.max_trees or growth.trees))

    plain = {"objective": "regression"}
    pilot_growth = replace(plan.means[0], rows=PILOT_ROWS, trees=PILOT_TREES, rate=0.1, leaves=31)
    pilot = grow(see(past, rows[:PILOT_ROWS]), target, pilot_growth, plain)
    columns = np.sort(np.argsort(-pilot.feature_importance("gain"), kind="stable")[: plan.columns])
    seen = np.empty((len(rows), len(columns)), np.float32)
    for begin in range(0, len(rows), BLOCK):
        seen[begin : begin + BLOCK] = see(past, rows[begin : begin + BLOCK])[:, columns]
    models = [grow(seen, target, growth, plain) for growth in plan.means]
    for level in ANCHORS:
        growth = plan.median if level == 0.5 else plan.tail
        models.append(grow(seen, target, growth, {"objective": "quantile", "alpha": level}))
    return Booster(columns, tuple(slim(model) for model in models))


def _from_kw(target_kw: Floats, past: Past, rows: Rows, lead: LeadInterval) -> Floats:
    """What the trees learn: for the next minutes how the root of power departs from that of the latest
    reading, further on the power itself. Roots let a night's watts count beside an oven's kilowatts.
    """
    if not PLANS[lead].corrects_latest_root:
        return target_kw
    return (np.sqrt(np.maximum(target_kw, 0)) - _latest_root(past, rows)).astype(np.float32)


def _to_kw(told: Floats, past: Past, rows: Rows, lead: LeadInterval) -> Floats:
    """The inverse of ``_from_kw`` for (rows, columns)."""
    if not PLANS[lead].corrects_latest_root:
        return told
    return np.maximum(told + _latest_root(past, rows)[:, None], 0) ** 2


def _latest_root(past: Past, rows: Rows) -> Floats:
    return np.sqrt(np.maximum(past.power_kw[rows - 1], 0))


def shaped(quantiles_kw: Floats, anchors_kw: Floats) -> Floats:
    """The experts' nine quantiles (…, 9) stretched so that they pass through the ANCHORS (…, 3)."""
    low, middle, high = (quantiles_kw[..., k, None] for k in (0, 4, 8))
    to_low, to_middle, to_high = (anchors_kw[..., k, None] for k in range(3))
    below = (middle - quantiles_kw) / np.maximum(middle - low, 1e-4) * (to_middle - to_low)
    above = (quantiles_kw - middle) / np.maximum(high - middle, 1e-4) * (to_high - to_middle)
    side = np.arange(quantiles_kw.shape[-1]) < 4
    return (to_middle + np.where(side, -below, above)).astype(np.float32)


def see(past: Past, rows: Rows) -> Floats:
    """All that trees may look at, (rows, columns)."""
    return np.concatenate([inputs.present(past, rows), inputs.present_plain(past, rows)], 1)


def _file(lead: LeadInterval) -> str:
    return f"boost_{lead.end_minutes}min.txt.gz"
