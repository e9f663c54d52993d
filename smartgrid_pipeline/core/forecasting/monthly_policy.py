"""The monthly policy: what happens to a forecaster at the start of a month.

A refit fits everything from nothing. A recalibration keeps the weights and fits gate, blend weights and
interval corrections on the newest days; it costs seconds. The accuracy benchmark follows ``ONE_FIT``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, Self, TypeVar, runtime_checkable

import numpy as np

from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.forecasting.forecaster import Split
from smartgrid_pipeline.core.schema import ModelError


class MonthlyAction(StrEnum):
    """What to do with a forecaster."""

    KEEP = "keep"
    RECALIBRATE = "recalibrate"
    REFIT = "refit"


@runtime_checkable
class Recalibratable(Protocol):
    """A forecaster that can be recalibrated; any other stays as it is from one refit to the next."""

    def recalibrated(self, history: History, split: Split) -> Self:
        """The same weights, corrected on all days up to the end of the split."""
        ...


F = TypeVar("F")


@dataclass(frozen=True)
class MonthlyPolicy:
    """Refit after ``refit_months`` (never again when None), and whenever code or data of the fit changed."""

    refit_months: int | None = 12

    def action(
        self, fitted_until: np.datetime64 | None, begin: np.datetime64, changed: bool = False
    ) -> MonthlyAction:
        """What to do at ``begin``, the first minute of a month.

        ``fitted_until`` is the end of the split of the last fit, None before the first one; ``changed`` says
        that the code, or the readings of that split, are not the same any more.
        """
        if fitted_until is None or changed:
            return MonthlyAction.REFIT
        months = (begin.astype("datetime64[M]") - fitted_until.astype("datetime64[M]")).astype(int)
        if self.refit_months is not None and months >= self.refit_months:
            return MonthlyAction.REFIT
        return MonthlyAction.RECALIBRATE if begin > fitted_until else MonthlyAction.KEEP

    def apply(
        self,
        forecaster: F,
        history: History,
        fitted_until: np.datetime64 | None,
        begin: np.datetime64,
        refit: Callable[[History, Split], F] | None = None,
        changed: bool = False,
    ) -> F:
        """The forecaster to use from ``begin`` on, from readings before it.

        ``refit`` fits a new one. Raises ModelError when a refit is due and there is none.
        """
        action = self.action(fitted_until, begin, changed)
        if action is MonthlyAction.KEEP:
            return forecaster
        past = history.until(begin)
        split = Split.before(begin, past)
        if action is MonthlyAction.REFIT:
            if refit is None:
                raise ModelError(f"The model has to be fitted again at {begin}: give `refit` to the policy.")
            return refit(past, split)
        return forecaster.recalibrated(past, split) if isinstance(forecaster, Recalibratable) else forecaster


ONE_FIT = MonthlyPolicy(refit_months=None)
"""One fit, recalibrated each month: how the published accuracy is measured."""
