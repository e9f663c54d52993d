"""What all candidates of a month share: the history to the month's end, and where training ends."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.forecasting.forecaster import Split, TrainingBudget
from smartgrid_pipeline.core.forecasting.history_frames import history_from_table
from smartgrid_pipeline.core.schema import OBSERVED_SHARE, DataError, Meter
from smartgrid_pipeline.orchestration.code_version import core_sha256
from smartgrid_pipeline.orchestration.months import bounds, in_months, months_of
from smartgrid_pipeline.orchestration.resources import Resources, VerdictFiles

if TYPE_CHECKING:
    from smartgrid_pipeline.registry import TrainingData


@dataclass(frozen=True)
class TrainingContext:
    """The data of one month's training and evaluation.

    ``history`` reaches to the end of the month. ``split`` divides the history before the month into training
    and holdout. ``left_out`` are months inside the training window whose data failed its audit. Their rows
    are missing.
    """

    month: str
    history: History
    split: Split
    data_sha256: str
    left_out: tuple[str, ...]

    @classmethod
    def from_features(cls, table: pd.DataFrame, resources: Resources, month: str) -> "TrainingContext":
        """From the feature table of the month and of everything before.

        Months whose newest audit failed are left out, even where an earlier version of them was published.
        Raises DataError when the history is too short, or when a month in it was never ingested.
        """
        start, end = month_times(month)
        stored = [str(each) for each in np.unique(months_of(table))]
        failed = [verdict.subject for verdict in resources.verdicts.failed_data(stored)]
        table = table[~in_months(table, failed)]
        history = history_from_table(_on_full_grid(table, resources.meter), resources.meter).until(end)
        split = Split.before(start, history.until(start))
        window = np.arange(split.start.astype("datetime64[M]"), np.datetime64(month, "M"))
        left_out = tuple(str(each) for each in np.setdiff1d(window, months_of(table)))
        _require_audited(resources.verdicts, left_out, month)
        return cls(month, history, split, _history_sha256(history), left_out)

    @property
    def training_history(self) -> History:
        """Everything before the month: all that a fit may use."""
        return self.history.until(self.split.end)

    @property
    def training_data(self) -> "TrainingData":
        """Hash, size and window of the data that a candidate of this month was fitted on."""
        from smartgrid_pipeline.registry import TrainingData

        rows = len(self.training_history.starts)
        return TrainingData(self.data_sha256, rows, self.split.start, self.split.end, self.left_out)

    def fingerprint(self, name: str, budget: TrainingBudget) -> str:
        """Hash of all that a training depends on: data, code, budget, model. Equal hashes give equal bits."""
        parts = (name, self.month, self.data_sha256, core_sha256(), repr(budget), repr(self.split))
        return hashlib.sha256("|".join(parts).encode()).hexdigest()[:32]


def month_times(month: str) -> tuple[np.datetime64, np.datetime64]:
    """First minute of a month and of the next, civil clock."""
    start, end = bounds(month)
    return np.datetime64(start, "m"), np.datetime64(end, "m")


def _history_sha256(history: History) -> str:
    digest = hashlib.sha256(repr(history.meter).encode())
    arrays = [history.starts, history.power_kw, history.observed_share, history.features]
    for array in [*arrays, *(history.within[channel] for channel in sorted(history.within))]:
        digest.update(np.ascontiguousarray(array).view(np.uint8).data)
    return digest.hexdigest()


def _require_audited(verdicts: VerdictFiles, left_out: Sequence[str], month: str) -> None:
    """A month may be missing because its audit failed; raises DataError when it was never ingested."""
    audited = {verdict.subject for verdict in verdicts.failed_data(left_out)}
    never = [each for each in left_out if each not in audited]
    if never:
        raise DataError(
            f"{len(never)} months before {month} were never taken in ({', '.join(never[:4])}"
            f"{', …' if len(never) > 4 else ''}). `smartgrid run --month {month}` takes them in first; "
            "in the Dagster UI, launch the job take_in over them."
        )


def _on_full_grid(table: pd.DataFrame, meter: Meter) -> pd.DataFrame:
    """The table on its full grid of working intervals; rows of months left out are there, unobserved."""
    full = table.sort_index().asfreq(f"{meter.working_minutes}min")
    full[OBSERVED_SHARE] = full[OBSERVED_SHARE].fillna(0.0)
    return full
