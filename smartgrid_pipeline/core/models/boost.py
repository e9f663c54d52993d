"""Boosted trees for the two short leads that have a card: what trees see in the present, nets may miss.

The mixture leans on them by a share that its later block decides; where they do not help it is nought.
"""

import gzip
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import lightgbm
import numpy as np

from smartgrid_pipeline.core.models import neural_inputs as inputs
from smartgrid_pipeline.core.models.calibration import GROUP_COUNT, Groups
from smartgrid_pipeline.core.models.forecaster import Budget, Floats, Split
from smartgrid_pipeline.core.models.gate import pinball_kw
from smartgrid_pipeline.core.models.past import DAY, Past, Rows
from smartgrid_pipeline.core.schema import LeadInterval

LEADS = (LeadInterval(0, 5), LeadInterval(0, 60))

ROWS, TREES = 160_000, 250
SETTINGS: dict[str, Any] = {
    "objective": "regression",
    "num_leaves": 31,
    "learning_rate": 0.08,
    "feature_fraction": 0.4,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "min_data_in_leaf": 80,
    "lambda_l2": 5.0,
    "max_bin": 127,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}

SHARES = tuple(round(0.1 * k, 1) for k in range(10))

BLOCK = 8_192


@dataclass(frozen=True)
class Boost:
    """One model of the mean per lead that is boosted; leads the meter cannot resolve are absent."""

    models: dict[LeadInterval, Any] = field(default_factory=dict)

    @classmethod
    def fit(cls, past: Past, split: Split, leads: tuple[LeadInterval, ...], budget: Budget) -> Self:
        """Learn from random origins before ``split.fit_end``."""
        first, fit_end = (int(row) for row in past.rows(np.array([split.start, split.fit_end])))
        first += min(past.steps(28 * DAY), (fit_end - first) // 4)
        rng = np.random.default_rng(budget.seed)
        rows = rng.integers(first, fit_end - past.steps(60), min(ROWS, budget.max_rows or ROWS))
        seen = _see(past, rows)
        settings = SETTINGS | {"seed": budget.seed, "num_threads": max(1, budget.threads)}
        models = {}
        for lead in LEADS:
            if lead in leads:
                target = past.targets(rows, (lead,), fit_end)[:, 0]
                known = np.isfinite(target)
                if known.sum() > SETTINGS["min_data_in_leaf"]:
                    data = lightgbm.Dataset(seen[known], target[known], free_raw_data=True)
                    models[lead] = lightgbm.train(settings, data, min(TREES, budget.max_trees or TREES))
        return cls(models)

    def predict(self, past: Past, rows: Rows, leads: tuple[LeadInterval, ...]) -> Floats:
        """Mean (rows, leads) kW; NaN for leads that are not boosted."""
        out = np.full((len(rows), len(leads)), np.nan, np.float32)
        at = {j: self.models[lead] for j, lead in enumerate(leads) if lead in self.models}
        for begin in range(0, len(rows) if at else 0, BLOCK):
            seen = _see(past, rows[begin : begin + BLOCK])
            for j, model in at.items():
                out[begin : begin + BLOCK, j] = model.predict(seen, num_threads=1)
        return out

    def save(self, directory: Path) -> None:
        """Write one compressed LightGBM text per lead."""
        for lead, model in self.models.items():
            text = model.model_to_string().encode()
            (directory / _file(lead)).write_bytes(gzip.compress(text, 9, mtime=0))

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Read what ``save`` wrote."""
        models = {}
        for lead in LEADS:
            if (directory / _file(lead)).exists():
                text = gzip.decompress((directory / _file(lead)).read_bytes()).decode()
                models[lead] = lightgbm.Booster(model_str=text)
        return cls(models)


@dataclass(frozen=True)
class Lean:
    """How far a row of forecasts leans on the trees: a share per calibration group, of mean and quantiles."""

    shares: Floats

    @classmethod
    def fit(
        cls, mean_kw: Floats, quantiles_kw: Floats, boosted_kw: Floats, target_kw: Floats, groups: Groups
    ) -> Self:
        """The shares (of SHARES) that were best on a later block; all arrays are flat, NaN is not boosted."""
        shares = np.zeros((GROUP_COUNT, 2), np.float32)
        for group in np.unique(groups[np.isfinite(boosted_kw)]):
            mine = (groups == group) & np.isfinite(boosted_kw)
            mean, target, away = mean_kw[mine], target_kw[mine], (boosted_kw - mean_kw)[mine]
            squares = [((target - mean - share * away) ** 2).mean() for share in SHARES]
            losses = [
                pinball_kw(quantiles_kw[mine] + share * away[:, None], target).mean() for share in SHARES
            ]
            shares[group] = SHARES[int(np.argmin(squares))], SHARES[int(np.argmin(losses))]
        return cls(shares)

    def apply(
        self, mean_kw: Floats, quantiles_kw: Floats, boosted_kw: Floats, groups: Groups
    ) -> tuple[Floats, Floats]:
        """Mean (…) and quantiles (…, 9) moved towards the trees where there are any."""
        away = np.where(np.isfinite(boosted_kw), boosted_kw - mean_kw, 0).astype(np.float32)
        shares = self.shares[np.broadcast_to(groups, away.shape)]
        return mean_kw + shares[..., 0] * away, quantiles_kw + (shares[..., 1] * away)[..., None]


def _file(lead: LeadInterval) -> str:
    return f"boost_{lead.end_minutes}min.txt.gz"


def _see(past: Past, rows: Rows) -> Floats:
    return np.concatenate([inputs.present(past, rows), inputs.present_plain(past, rows)], 1)
