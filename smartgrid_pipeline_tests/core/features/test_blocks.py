"""Every feature block: rows taken in one by one, late or corrected, give the numbers of a whole history.

Hypothesis draws the chunks and corrections; histories have gaps and a clock change. ``update`` is run with
``transform`` forbidden.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smartgrid_pipeline.core import meter_data
from smartgrid_pipeline.core.anomaly.ensemble.features import EnsembleFeatures
from smartgrid_pipeline.core.anomaly.interval_array import IntervalArray
from smartgrid_pipeline.core.features.appliances import DutyCycles
from smartgrid_pipeline.core.features.feature_table import IntervalFeatures, Intervals
from smartgrid_pipeline.core.features.history import History, ObservedMeans
from smartgrid_pipeline.core.features.minute_series import MinuteSeries
from smartgrid_pipeline.core.features.submeters import SubmeterLoads
from smartgrid_pipeline.core.features.switch_times import SwitchTimes
from smartgrid_pipeline.core.forecasting.analog_ensemble.similarity import OriginLevels, TargetLevels
from smartgrid_pipeline.core.forecasting.history_frames import history_from_table
from smartgrid_pipeline.core.schema import ACTIVE_POWER, Meter
from smartgrid_pipeline_tests.conftest import HOME, HOUSE, make_readings, make_table

CASES = 200
"""Drawn cases of each block, half of them on each meter."""
LEVEL_KW = 0.7
WIDTH = 60

Arrays = dict[str, np.ndarray]


# --- histories ------------------------------------------------------------------------------------


@cache
def readings_of(meter: Meter) -> Any:
    """Readings over the spring change of 2010, with gaps of all lengths."""
    days, start = (6, "2010-03-25") if meter == HOUSE else (45, "2010-02-25")
    readings = make_readings(days, start, meter, seed=5)
    per_day = 1440 // meter.step_minutes
    rng = np.random.default_rng(1)
    columns = list(meter.channels)
    readings.loc[readings["interval_start_utc"].isna(), columns] = np.nan
    for length in (1, 3, per_day // 20, per_day // 3):
        at = int(rng.integers(per_day, len(readings) - length))
        readings.iloc[at : at + length, [readings.columns.get_loc(name) for name in columns]] = np.nan
    return readings


@cache
def history_of(meter: Meter) -> History:
    return history_from_table(make_table(readings_of(meter), meter), meter)


def corrected(history: History, row: int, length: int, factor: float) -> History:
    """The history with some rows read anew: scaled and filled where missing, or with factor 0 not
    observed.
    """
    rows = slice(row, row + length)
    power, share, features = history.power_kw.copy(), history.observed_share.copy(), history.features.copy()
    within = {name: values.copy() for name, values in history.within.items()}
    if factor:
        power[rows] = np.nan_to_num(power[rows], nan=0.4) * factor
        share[rows] = 1.0
        for values in within.values():
            values[rows] = np.nan_to_num(values[rows], nan=0.1) * factor
    else:
        power[rows], share[rows], features[rows, : len(history.meter.channels)] = np.nan, 0, np.nan
        for values in within.values():
            values[rows] = np.nan
    return replace(history, power_kw=power, observed_share=share, features=features, within=within)


# --- blocks ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """How a block is made and read; ``needs`` are the blocks that must be up to date before it."""

    key: Any
    make: Callable[[History], Any]
    read: Callable[[Any, History], Arrays]
    needs: tuple[str, ...] = ()
    meters: tuple[Meter, ...] = (HOUSE, HOME)


def _rows(history: History) -> np.ndarray:
    return np.arange(len(history.starts))


def _of_series(series: MinuteSeries, history: History) -> Arrays:
    rows = np.arange(series.padding, len(series.power_kw) + 1)
    minutes = series.minutes(rows)
    found = {name: getattr(series, name) for name in ("power_kw", "observed", "channels", "supply", "state")}
    found |= {name: series.mean(name, rows - 3, 3) for name in ("power", "square", "days_7", "days_28")}
    found |= {name: series.mean(name, rows - 3, 3) for name in ("weeks_4", "days_15")}
    return found | {
        "observed_rows": series.observed_rows(rows - 5, 5),
        "day_columns": series.day_columns(minutes),
    }


def _of_means(block: ObservedMeans, history: History) -> Arrays:
    rows = _rows(history)
    return {f"{width}-{complete}": block.mean(rows - width, width, complete=complete)
            for width in (1, 5, 30) for complete in (False, True)}  # fmt: skip


CASES_OF = {
    "ObservedMeans": Case(ObservedMeans, ObservedMeans.transform, _of_means),
    "SwitchTimes": Case(SwitchTimes, SwitchTimes.transform, lambda block, _: {"values": block.values}),
    "DutyCycles": Case(
        DutyCycles, DutyCycles.transform, lambda block, history: {"rows": block.at_rows(_rows(history))}
    ),
    "SubmeterLoads": Case(
        SubmeterLoads,
        SubmeterLoads.transform,
        lambda block, history: {
            "rows": block.at_rows(_rows(history)),
            "targets": block.targets(_rows(history), 60),
        },
    ),
    "MinuteSeries": Case(
        (MinuteSeries, 0, 0, LEVEL_KW),
        lambda history: MinuteSeries.transform(history, LEVEL_KW),
        _of_series,
        ("DutyCycles", "SubmeterLoads"),
    ),
    "OriginLevels": Case(
        OriginLevels, OriginLevels.transform, lambda block, _: {"values": block.values}, ("ObservedMeans",)
    ),
    "TargetLevels": Case(
        (TargetLevels, WIDTH),
        lambda history: TargetLevels.transform(history, WIDTH),
        lambda block, _: {"values": block.values},
        ("ObservedMeans",),
    ),
}  # fmt: skip
BLOCK_TYPES = (
    ObservedMeans,
    SwitchTimes,
    DutyCycles,
    SubmeterLoads,
    MinuteSeries,
    OriginLevels,
    TargetLevels,
)


@contextmanager
def transform_forbidden() -> Iterator[None]:
    """No block may fall back on reading the whole history."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("update called transform")

    with pytest.MonkeyPatch.context() as patch:
        for block_type in (*BLOCK_TYPES, IntervalFeatures, EnsembleFeatures):
            patch.setattr(block_type, "transform", refuse)
        yield


class Live:
    """The block of one case and those it needs, kept up to date."""

    def __init__(self, name: str, history: History) -> None:
        self.cases = [CASES_OF[each] for each in (*CASES_OF[name].needs, name)]
        self.blocks = {case.key: case.make(history) for case in self.cases}

    def update(self, history: History, first: int) -> None:
        history.with_blocks(self.blocks)
        with transform_forbidden():
            for block in self.blocks.values():
                block.update(history, first)


@st.composite
def arrivals(draw: st.DrawFn) -> tuple[float, list[float], list[tuple[float, float, int, float]]]:
    """Where the first chunk ends, where others end (as parts of the rest), and corrections: after which
    chunk, of which row (as a part), how many rows, and how.
    """
    start = draw(st.floats(0.05, 0.95))
    ends = draw(st.lists(st.floats(0, 1), min_size=0, max_size=6))
    corrections = draw(
        st.lists(
            st.tuples(
                st.floats(0, 1),
                st.floats(0, 1),
                st.sampled_from([1, 2, 7, 60]),
                st.sampled_from([0, 0.5, 3.0]),
            ),
            max_size=3,
        )
    )
    return start, sorted(ends), corrections


def plan(n: int, drawn: Any) -> tuple[list[int], dict[int, list[tuple[int, int, float]]]]:
    """Row numbers at which chunks end, the last one n, and the corrections that follow each chunk."""
    start, ends, corrections = drawn
    first = max(1, int(start * n))
    bounds = [first, *(first + int(end * (n - first)) for end in ends), n]
    late: dict[int, list[tuple[int, int, float]]] = {}
    for when, where, length, factor in corrections:
        chunk = int(when * (len(bounds) - 1))
        late.setdefault(chunk, []).append((int(where * (bounds[chunk] - 1)), length, factor))
    return bounds, late


def assert_same(found: Arrays, expected: Arrays) -> None:
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)


@pytest.mark.parametrize("meter", [HOUSE, HOME], ids=["house", "home"])
@pytest.mark.parametrize("name", CASES_OF)
@settings(
    max_examples=CASES // 2, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
@given(drawn=arrivals())
def test_update__in_any_chunks_with_corrections_is_transform(name: str, meter: Meter, drawn: Any) -> None:
    history = history_of(meter)
    bounds, late = plan(len(history.starts), drawn)
    live = Live(name, history.part(0, bounds[0]))
    last = bounds[0]
    for number, bound in enumerate(bounds):
        if number:
            live.update(history.part(0, bound), last)
            last = bound
        for row, length, factor in late.get(number, []):
            history = corrected(history, row, min(length, bound - row), factor)
            live.update(history.part(0, bound), row)
    case = CASES_OF[name]
    whole = replace(history)  # without anything cached
    assert_same(case.read(live.blocks[case.key], history), case.read(case.make(whole), whole))


@pytest.mark.parametrize("meter", [HOUSE, HOME], ids=["house", "home"])
@settings(max_examples=CASES // 2, deadline=None, derandomize=True)
@given(drawn=arrivals())
def test_update__of_interval_features_is_transform(meter: Meter, drawn: Any) -> None:
    frame = meter_data.resample(readings_of(meter), meter)
    starts = frame.index.to_numpy()
    channels = {name: frame[name].to_numpy(np.float64) for name in meter.channels}
    bounds, late = plan(len(starts), drawn)

    def part(rows: int) -> Intervals:
        return Intervals(starts[:rows], {name: values[:rows] for name, values in channels.items()})

    block, last = IntervalFeatures.transform(part(bounds[0]), meter), bounds[0]
    for number, bound in enumerate(bounds):
        with transform_forbidden():
            if number:
                block.update(part(bound), last)
                last = bound
            for row, length, factor in late.get(number, []):
                channels = {name: values.copy() for name, values in channels.items()}
                channels[ACTIVE_POWER][row : min(row + length, bound)] *= factor or np.nan
                block.update(part(bound), row)
    np.testing.assert_array_equal(block.values, IntervalFeatures.transform(part(len(starts)), meter).values)


@pytest.mark.parametrize("meter", [HOUSE, HOME], ids=["house", "home"])
@settings(max_examples=CASES // 2, deadline=None, derandomize=True)
@given(drawn=arrivals())
def test_update__of_ensemble_features_is_transform(meter: Meter, drawn: Any) -> None:
    whole = IntervalArray.from_readings(readings_of(meter), meter)
    bounds, late = plan(len(whole.intervals), drawn)

    def part(rows: int) -> IntervalArray:
        end = rows * whole.per
        return replace(whole, times=whole.times[:end], values={c: v[:end] for c, v in whole.values.items()})

    block, last = EnsembleFeatures.transform(part(bounds[0])), bounds[0]
    for number, bound in enumerate(bounds):
        with transform_forbidden():
            if number:
                block.update(part(bound), last)
                last = bound
            for row, length, factor in late.get(number, []):
                values = {channel: each.copy() for channel, each in whole.values.items()}
                values[ACTIVE_POWER][row * whole.per : min(row + length, bound) * whole.per] *= (
                    factor or np.nan
                )
                whole = replace(whole, values=values)
                block.update(part(bound), row)
    assert_same(block.columns, EnsembleFeatures.transform(whole).columns)


def test_update__refuses_a_gap_between_rows() -> None:
    history = history_of(HOME)
    block = ObservedMeans.transform(history.part(0, 100))
    with pytest.raises(IndexError, match="Cannot write at"):
        block.update(history, 200)
