"""Frames between assets: one Parquet file per asset and month.

Dagster's own ``UPathIOManager`` writes one file per output. It does not split the frame of a run over many
months into one file per month, which is what this IO manager is for.
"""

from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd

from smartgrid_pipeline.core.schema import DataError
from smartgrid_pipeline.orchestration.files import write_atomically
from smartgrid_pipeline.orchestration.months import load_months, months_of
from smartgrid_pipeline.orchestration.partitions import month_of


class MonthlyParquet(dg.ConfigurableIOManager):
    """Stores each month of an asset in ``<directory>/<asset>/<month>.parquet``.

    The frame of several partitions is split by the month of its index, or of its column ``start``, ``origin``
    or ``month``. Loading joins the stored months in order; months that were never materialised are left out.
    """

    directory: str

    def path(self, asset: str, month: str) -> Path:
        """The file of one month of an asset."""
        return Path(self.directory) / asset / f"{month}.parquet"

    def handle_output(self, context: dg.OutputContext, obj: pd.DataFrame) -> None:
        """Write each month to its file; a month without rows becomes an empty frame."""
        keys = context.asset_partition_keys
        months = None if len(keys) == 1 else months_of(obj)
        for key in keys:
            part = obj if months is None else obj[months == np.datetime64(month_of(key), "M")]
            path = self.path(context.asset_key.to_user_string(), month_of(key))
            write_atomically(path, part.to_parquet(compression="zstd"))

    def load_input(self, context: dg.InputContext) -> pd.DataFrame:
        """Join the requested months in order. Raises DataError when none of them is stored."""
        asset = context.asset_key.to_user_string()
        keys = sorted(context.asset_partition_keys)
        frame = load_months(Path(self.directory), asset, [month_of(key) for key in keys])
        if frame is None:
            raise DataError(
                f"{asset} has no stored month among {keys[0]} … {keys[-1]}: materialise it first, "
                "or read its check to see why it was not published."
            )
        return frame
