"""The last resort of a forecaster: what the meter usually shows at that time of the day."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.forecasting.forecaster import Split
from smartgrid_pipeline.core.schema import QUANTILES, DataError, Floats, LeadInterval, Times

HOURS = 24
"""Row of a climatology that holds daily means, after one for each hour of the day."""


@dataclass(frozen=True)
class Climatology:
    """The last resort: by hour of the day the mean and quantiles of hourly power; one row for days.

    ``kw`` (25, 10): 24 hours and the day; the mean and QUANTILES.
    """

    kw: Floats

    @classmethod
    def fit(cls, history: History, split: Split) -> Self:
        """Learn from the whole window. Raises DataError when nothing in it was observed."""
        origins = history.origins(split.start, split.end, 60)
        hour = history.targets(origins, (LeadInterval(0, 60),), split.end)[:, 0]
        day = history.targets(origins, (LeadInterval(0, 1440),), split.end)[:, 0]
        if not np.isfinite(hour).any():
            raise DataError(
                f"No whole hour was observed between {split.start} and {split.end}; give other readings."
            )
        clock = (origins - origins.astype("datetime64[D]")).astype(int) // 60
        everything = _describe(hour)
        rows = [_describe(hour[clock == h], everything) for h in range(HOURS)]
        return cls(np.stack([*rows, _describe(day, everything)]).astype(np.float32))

    @classmethod
    def unknown(cls) -> Self:
        """What an unfitted model holds."""
        return cls(np.zeros((HOURS + 1, 1 + len(QUANTILES)), np.float32))

    def of(self, origins: Times, leads: tuple[LeadInterval, ...]) -> Floats:
        """Mean and quantiles of each lead at each origin, (origins, leads, 10) kW."""
        middle = np.array([(lead.start_minutes + lead.end_minutes) // 2 for lead in leads])
        minute = (origins - origins.astype("datetime64[D]")).astype(int)[:, None] + middle
        wide = np.array([lead.width_minutes > 60 for lead in leads])
        return self.kw[np.where(wide, HOURS, minute // 60 % HOURS)]


def _describe(values: Floats, otherwise: npt.NDArray[np.float64] | None = None) -> npt.NDArray[np.float64]:
    seen = values[np.isfinite(values)].astype(np.float64)
    if not len(seen) and otherwise is not None:
        return otherwise
    return np.concatenate([[seen.mean()], np.quantile(seen, QUANTILES)])
