"""Forecasters made of one regression per family of leads: everything but the regression itself."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # it has no stubs

from smartgrid_pipeline.core.features import tabular as inputs
from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.forecasting.baselines import samples
from smartgrid_pipeline.core.forecasting.baselines.samples import Sample
from smartgrid_pipeline.core.forecasting.climatology import Climatology
from smartgrid_pipeline.core.forecasting.forecaster import FULL, Forecast, Split, TrainingBudget, finish
from smartgrid_pipeline.core.forecasting.leads import LeadGroup, lead_groups
from smartgrid_pipeline.core.forecasting.past_days import past_days
from smartgrid_pipeline.core.learning import storage
from smartgrid_pipeline.core.learning.storage import Arrays
from smartgrid_pipeline.core.schema import ACTIVE_POWER, QUANTILES, Floats, LeadInterval, Meter, Times

Columns = npt.NDArray[np.int64]

FEWEST_ROWS = 50
"""A family with fewer pairs to learn from is left to the climatology."""

SEASON_DAYS = 540
"""A season that was seen only once looks like a trend: with fewer days to learn from, regressions do not see
the time of the year, and far forecasts lean on the past days themselves.
"""

LEAST_TRUST, PAST_DAYS = 0.5, 28
"""Weight of a far regression, against the past days, when there is hardly anything to learn from."""

LATER_ROWS = 30_000
"""Pairs of the later block that calibrate a family."""


class LeadGroupModel(Protocol):
    """A fitted regression of one family."""

    def predict(self, inputs: Floats, groups: samples.Rows) -> tuple[Floats, Floats]:
        """Mean (rows,) and quantiles (rows, 9) in kW of rows of ``samples.look`` and their groups."""
        ...

    def to_arrays(self, prefix: str) -> Arrays:
        """Plain arrays for an npz file."""
        ...


@dataclass(frozen=True)
class TargetOffset:
    """What a regression corrects: the latest reading for the next minutes, nothing for further leads."""

    column: int
    otherwise_kw: float

    @classmethod
    def of(cls, family: LeadGroup, meter: Meter, learn: Sample) -> Self:
        """The base of a family; where the latest reading is missing the mean of the sample stands in."""
        names = samples.feature_names(meter, family)
        latest = f"{ACTIVE_POWER}_reading_0"
        if family.name != "next_5min":
            return cls(-1, 0.0)
        return cls(names.index(latest if latest in names else ACTIVE_POWER), float(learn.observed_kw.mean()))

    def __call__(self, inputs: Floats) -> Floats:
        """Power (kW) that is corrected, (rows,)."""
        if self.column < 0:
            return np.zeros(len(inputs), np.float32)
        return np.nan_to_num(inputs[:, self.column], nan=self.otherwise_kw)

    def to_arrays(self, prefix: str) -> Arrays:
        """Plain arrays for an npz file."""
        return {f"{prefix}.base": np.array([self.column, self.otherwise_kw])}

    @classmethod
    def from_arrays(cls, arrays: Arrays, prefix: str) -> Self:
        """The inverse of ``to_arrays``."""
        column, otherwise_kw = arrays[f"{prefix}.base"]
        return cls(int(column), float(otherwise_kw))


class PerLeadGroupForecaster:
    """A Forecaster whose subclass says how one family is fitted, with what, and how it is read back."""

    name: str
    rows: ClassVar[dict[str, int]]
    origin_minutes: ClassVar[dict[str, int]]

    def __init__(self, budget: TrainingBudget = FULL) -> None:
        self.budget = budget
        self._fitted_on: dict[str, Any] = {}
        self._climatology = Climatology.unknown()
        self._models: dict[str, LeadGroupModel] = {}
        self._curves: list[dict[str, Any]] = []
        self._sizes: dict[str, int] = {}
        self._days = 0.0

    # --- learning ---------------------------------------------------------------------------------

    def fit(self, history: History, split: Split) -> None:
        """Fit each family on the earlier block and calibrate it on the later one."""
        self._climatology = Climatology.fit(history, split)
        self._models, self._curves, self._sizes = {}, [], {}
        first = samples.burn_in_end(split.start, split.train_end)
        self._days = float((split.train_end - first) / np.timedelta64(1, "D"))
        with threadpool_limits(self.budget.threads):  # more threads than asked for add other bits
            self._fit_families(history, split, first)
        self._fitted_on = storage.fitted_on(history.meter) | {"inputs": inputs.names_hash(history.meter)}

    def _fit_families(self, history: History, split: Split, first: np.datetime64) -> None:
        for number, family in enumerate(self._families(history.meter)):
            seed = 1000 * self.budget.seed + number
            count, every = self._capped(self.rows[family.name]), self.origin_minutes[family.name]
            learn = samples.draw(history, family, first, split.train_end, count, every, seed)
            later = samples.draw(
                history, family, split.train_end, split.end, self._capped(LATER_ROWS), every, seed
            )
            if len(learn.observed_kw) < FEWEST_ROWS:
                continue
            self._sizes[family.name] = len(learn.observed_kw)
            self._models[family.name] = self._fit_family(family, history.meter, learn, later, seed)

    def _families(self, meter: Meter) -> tuple[LeadGroup, ...]:
        """The families this forecaster answers for."""
        return lead_groups(meter, self._days >= SEASON_DAYS)

    def _capped(self, rows: int) -> int:
        return min(rows, self.budget.max_rows or rows)

    def _fit_family(
        self, family: LeadGroup, meter: Meter, learn: Sample, later: Sample, seed: int
    ) -> LeadGroupModel:
        raise NotImplementedError

    @classmethod
    def _read_family(cls, arrays: Arrays, prefix: str) -> LeadGroupModel:
        raise NotImplementedError

    # --- asking -----------------------------------------------------------------------------------

    def predict(self, history: History, origins: Times, leads: tuple[LeadInterval, ...]) -> Forecast:
        """Forecast each lead from each origin, using only rows available at that origin."""
        storage.require_fit(
            self.name, self._fitted_on, history.meter, inputs=inputs.names_hash(history.meter)
        )
        origins = origins.astype("datetime64[m]")
        usual = self._climatology.of(origins, leads)
        mean, quantiles = usual[..., 0].copy(), usual[..., 1:].copy()
        for family in self._families(history.meter):
            wanted = [j for j, lead in enumerate(leads) if lead in family.leads]
            if wanted and family.name in self._models:
                asked = np.array([family.leads.index(leads[j]) for j in wanted])
                mean[:, wanted], quantiles[:, wanted] = self._ask(history, family, origins, asked)
            trust = self._trust(family)
            if wanted and trust < 1:
                days = past_days(history, origins, tuple(leads[j] for j in wanted), PAST_DAYS)
                mean[:, wanted] = _lean(mean[:, wanted], days[0], trust)
                quantiles[:, wanted] = _lean(quantiles[:, wanted], days[1], trust)
        return Forecast(origins, leads, *finish(mean, quantiles))

    def _trust(self, family: LeadGroup) -> float:
        """Weight of the regression of a family against the past days."""
        if family.name not in self._models:
            return 0.0
        return 1.0 if family.is_short else float(np.clip(self._days / SEASON_DAYS, LEAST_TRUST, 1))

    def _ask(
        self, history: History, family: LeadGroup, origins: Times, asked: samples.Rows
    ) -> tuple[Floats, Floats]:
        """Mean (origins, asked) and quantiles (origins, asked, 9) of some leads of one family."""
        mean = np.empty((len(origins), len(asked)), np.float32)
        quantiles = np.empty((len(origins), len(asked), len(QUANTILES)), np.float32)
        size = max(1, samples.PREDICT_BLOCK // len(asked))
        for begin in range(0, len(origins), size):
            block = origins[begin : begin + size]
            pairs, lead_at = np.repeat(block, len(asked)), np.tile(asked, len(block))
            found = self._models[family.name].predict(
                samples.look(history, family, pairs, lead_at), family.residual_groups(pairs, lead_at)
            )
            mean[begin : begin + size] = found[0].reshape(len(block), -1)
            quantiles[begin : begin + size] = found[1].reshape(len(block), len(asked), -1)
        return mean, quantiles

    # --- telling and keeping ----------------------------------------------------------------------

    def parameters(self) -> dict[str, Any]:
        """Flat settings and sizes, for the tracking run."""
        sizes = {f"{family}_rows": count for family, count in self._sizes.items()}
        return {"model": self.name, "seed": self.budget.seed, **sizes}

    def curves(self) -> pd.DataFrame:
        """Training and validation loss per step, where the regression has steps."""
        return pd.DataFrame(self._curves, columns=["step", "family", "training", "validation"])

    def save(self, directory: Path) -> None:
        """Write the fitted model into an existing, empty directory."""
        facts = self._fitted_on and {"fitted_on": self._fitted_on, "budget": asdict(self.budget),
                                     "families": list(self._models), "days": self._days, "sizes": self._sizes,
                                     "curves": self._curves}  # fmt: skip
        arrays = {"climatology_kw": self._climatology.kw}
        for family, model in self._models.items():
            arrays |= model.to_arrays(family)
        storage.write(directory, self.name, facts, arrays)

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Read what ``save`` wrote. Raises ModelError when files are missing or do not fit."""
        with storage.read(directory, cls.name) as (facts, arrays):
            model = cls(TrainingBudget(**facts["budget"]))
            model._fitted_on, model._days = facts["fitted_on"], facts["days"]
            model._sizes, model._curves = facts["sizes"], facts["curves"]
            model._climatology = Climatology(arrays["climatology_kw"])
            model._models = {family: cls._read_family(arrays, family) for family in facts["families"]}
        return model


def _lean(forecast: Floats, days: Floats, trust: float) -> Floats:
    """A forecast drawn towards that of the past days, where these know something."""
    return np.where(np.isfinite(days), trust * forecast + (1 - trust) * days, forecast)
