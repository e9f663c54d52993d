"""Ways to spoil a month of readings, each of which an audit must notice."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from smartgrid_pipeline.core.schema import ACTIVE_POWER
from smartgrid_pipeline_tests.orchestration.conftest import LAST, Place


def negative(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(**{ACTIVE_POWER: rows[ACTIVE_POWER].where(rows.index.hour != 5, -1.5)})


def frozen_day(rows: pd.DataFrame) -> pd.DataFrame:
    power = rows[ACTIVE_POWER].copy()
    power[(rows.index.day == 12)] = 0.742
    return rows.assign(**{ACTIVE_POWER: power})


def thousandfold(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(**{ACTIVE_POWER: rows[ACTIVE_POWER] * 1000})


def shuffled(rows: pd.DataFrame) -> pd.DataFrame:
    order = np.random.default_rng(1).permutation(len(rows))
    return rows.iloc[order]


def halved(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[np.random.default_rng(1).random(len(rows)) < 0.5]


SABOTAGE = [negative, frozen_day, thousandfold, shuffled, halved]


def spoil(place: Place, sabotage: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    readings = pd.read_parquet(place.source)
    last = readings.index.strftime("%Y-%m") == LAST
    before, after = readings[readings.index < f"{LAST}-01"], readings[readings.index >= "2010-05-01"]
    place.write(pd.concat([before, sabotage(readings[last]), after]))
