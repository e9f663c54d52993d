"""How appliances cycle: how long each has been on or off, how long its last runs were, and how strong.

A signal (a sub-meter, or the remainder that the sub-meters leave of the total) above a threshold is on; a run
is a stretch of one state. Only finished runs and the elapsed part of the present one count, so nothing comes
from the future. Meters that read less often than every five minutes blur their appliances: they have no runs.
"""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Self

import numpy as np
import numpy.typing as npt

from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.features.rolling import highest_within, lowest_within
from smartgrid_pipeline.core.meter_data.growing_array import GrowingArray, RunningSum
from smartgrid_pipeline.core.schema import ACTIVE_POWER, SUB_METERS, Doubles, Floats, Meter, Rows

COARSEST_MINUTES = 5
REMAINDER = "remainder"
"""The name of what the sub-meters leave of the total; all the power where there are none."""

THRESHOLDS_KW: dict[str, tuple[float, ...]] = {
    SUB_METERS[0]: (0.03, 0.9),
    SUB_METERS[1]: (0.03, 0.9),
    SUB_METERS[2]: (0.03, 0.9),
    REMAINDER: (0.5, 1.0),
}
"""Small motors (a refrigerator) exceed the lower one, heaters alone the higher one."""

STEPS_KW = (0.12, 0.5)
"""Steps of the remainder between two readings: the last STEP_COUNT of each size are features."""

STEP_COUNT = 4
SPAN_MINUTES = (30, 120, 720)
"""The remainder's lowest and highest reading of these last minutes."""

FINISHED_RUNS = 8
"""Finished runs looked at: four of the present state, four of the other."""

LONGEST_MINUTES = 2880
RUN_COLUMNS = ("elapsed", "mean_kw", "length_1", "length_2", "length_3", "length_4", "mean_1_kw", "mean_2_kw",
               "median_length", "elapsed_relative", "median_other_length", "on")  # fmt: skip


@lru_cache(maxsize=16)
def names(meter: Meter, reading_minutes: int) -> tuple[str, ...]:
    """Names of the columns of ``DutyCycles`` for readings so many minutes apart; none for a coarse meter."""
    if reading_minutes > COARSEST_MINUTES:
        return ()
    signals = [sub for sub in SUB_METERS if sub in meter.channels] + [REMAINDER]
    runs = [f"run_{signal}_{round(1000 * kw)}w_{what}" for signal in signals for kw in THRESHOLDS_KW[signal]
            for what in RUN_COLUMNS]  # fmt: skip
    steps = [f"step_{round(1000 * kw)}w_{k}_{what}" for kw in STEPS_KW for k in range(STEP_COUNT)
             for what in ("ago", "kw")]  # fmt: skip
    spans = [f"{REMAINDER}_{what}_{m}min_kw" for m in SPAN_MINUTES for what in ("lowest", "highest")]
    return (*runs, *steps, f"{REMAINDER}_kw", *spans)


def last_observed(values: Floats, before: int) -> np.float32:
    """The last reading before a position; zero where there is none."""
    for end in range(before, 0, -1440):
        observed = np.flatnonzero(~np.isnan(values[max(0, end - 1440) : end]))
        if len(observed):
            return values[max(0, end - 1440) + observed[-1]]
    return np.float32(0)


def forward_fill(values: Floats, before: np.float32 | float = 0) -> Floats:
    """The last reading held through gaps; ``before`` ahead of the first."""
    at = np.where(np.isnan(values), -1, np.arange(len(values)))
    last = np.maximum.accumulate(at)
    return np.where(last >= 0, values[np.maximum(last, 0)], before).astype(np.float32)


def _log_minutes(minutes: npt.NDArray[np.generic]) -> Floats:
    return np.log1p(np.clip(minutes, 0, LONGEST_MINUTES)).astype(np.float32)


class RunLengths:
    """One signal cut into runs at one threshold: the run of each reading (n,), and where runs start."""

    def __init__(self, threshold_kw: float) -> None:
        self.threshold_kw = threshold_kw
        self._run: GrowingArray[np.int32] = GrowingArray(np.int32)
        self._starts: GrowingArray[np.int64] = GrowingArray(np.int64)
        self._first_is_on = False

    def write(self, first: int, signal_kw: Doubles) -> None:
        """Replace readings ``first`` and later by ``signal_kw``."""
        on = signal_kw > self.threshold_kw
        if not len(on):
            return
        if first == 0:
            self._first_is_on = bool(on[0])
            self._starts.write(0, np.zeros(1, np.int64))
            run, was_on = 0, on[0]
        else:
            run = int(self._run.values[first - 1])
            was_on = (run % 2 == 0) == self._first_is_on
        changed = on != np.concatenate([[was_on], on[:-1]])
        self._run.write(first, run + np.cumsum(changed, dtype=np.int32))
        self._starts.write(run + 1, first + np.flatnonzero(changed))

    def at(self, rows: Rows, sums: Doubles, minutes: int) -> list[Floats]:
        """RUN_COLUMNS at rows, each (rows,): the present run up to the row, and finished ones before it.

        ``sums`` (n + 1,) are running sums of the signal in kW; readings are ``minutes`` apart.
        """
        starts = self._starts.values
        run = self._run.values[rows].astype(np.int64)
        start = starts[run]
        elapsed = rows + 1 - start
        back = run[:, None] - np.arange(FINISHED_RUNS + 1)
        finished = (back >= 0) & (back < run[:, None])  # the length of a run that goes on is not known yet
        back = np.where(finished, back, 0)
        begins = starts[back]
        ends = np.where(finished, starts[np.minimum(back + 1, len(starts) - 1)], begins)
        lengths = (ends - begins).astype(np.float64) * minutes
        means = (sums[ends] - sums[begins])[:, 1:3] / np.maximum(ends - begins, 1)[:, 1:3]
        same = np.median(lengths[:, 2::2], 1)
        other = np.median(lengths[:, 1::2], 1)
        return [
            _log_minutes(elapsed * minutes),
            ((sums[rows + 1] - sums[start]) / elapsed).astype(np.float32),
            *(_log_minutes(lengths[:, k]) for k in (1, 2, 3, 4)),
            *(means[:, k].astype(np.float32) for k in (0, 1)),
            _log_minutes(same),
            np.clip(elapsed * minutes / np.maximum(same, 1), 0, 10).astype(np.float32),
            _log_minutes(other),
            ((run % 2 == 0) == self._first_is_on).astype(np.float32),
        ]


class Steps:
    """Steps of a signal between two readings that exceed a size: where they are, and how large (kW)."""

    def __init__(self, size_kw: float) -> None:
        self.size_kw = size_kw
        self._at: GrowingArray[np.int64] = GrowingArray(np.int64)
        self._change: GrowingArray[np.float32] = GrowingArray(np.float32)

    def write(self, first: int, change_kw: Floats) -> None:
        """Replace readings ``first`` and later by their changes from the reading before."""
        kept = int(np.searchsorted(self._at.values, first))
        found = np.flatnonzero(np.abs(change_kw) > self.size_kw)
        self._at.write(kept, first + found)
        self._change.write(kept, change_kw[found])

    def at(self, rows: Rows, minutes: int) -> list[Floats]:
        """Time since and size of each of the last STEP_COUNT steps before rows, latest first, each
        (rows,).
        """
        at, change = self._at.values, self._change.values
        last = np.searchsorted(at, rows, side="right") - 1
        columns: list[Floats] = []
        for k in range(STEP_COUNT):
            known = last - k >= 0
            which = np.maximum(last - k, 0)
            ago = rows - at[which] if len(at) else rows
            size = change[which] if len(at) else np.zeros(len(rows), np.float32)
            columns.append(_log_minutes(np.where(known, ago * minutes, LONGEST_MINUTES)))
            columns.append(np.where(known, size, 0).astype(np.float32))
        return columns


@dataclass
class Signal:
    """One signal: its running sums in kW, and its runs at each of its thresholds."""

    sums: RunningSum[np.float64]
    runs: tuple[RunLengths, ...]

    @classmethod
    def named(cls, name: str) -> Self:
        """An empty signal with the thresholds of its name."""
        return cls(RunningSum(np.float64), tuple(RunLengths(kw) for kw in THRESHOLDS_KW[name]))


@dataclass
class DutyCycles:
    """The runs of all signals of a meter; features are computed for the rows that are wanted.

    Gaps repeat the last reading.
    """

    meter: Meter
    reading_minutes: int
    readings_per_row: int
    signals: dict[str, Signal] = field(default_factory=dict)
    steps: tuple[Steps, ...] = ()
    remainder_kw: GrowingArray[np.float32] = field(default_factory=lambda: GrowingArray(np.float32))
    spans: tuple[GrowingArray[np.float32], ...] = ()

    @classmethod
    def transform(cls, history: History) -> Self:
        """Of a whole history."""
        block = cls(history.meter, history.reading_minutes, history.readings_per_row)
        if block.columns:
            subs = [sub for sub in SUB_METERS if sub in history.meter.channels]
            block.signals = {name: Signal.named(name) for name in (*subs, REMAINDER)}
            block.steps = tuple(Steps(kw) for kw in STEPS_KW)
            block.spans = tuple(GrowingArray(np.float32) for _ in range(2 * len(SPAN_MINUTES)))
        block.update(history)
        return block

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns; none for a coarse meter."""
        return names(self.meter, self.reading_minutes)

    def update(self, history: History, first: int = 0) -> None:
        """Take in rows ``first`` and later."""
        if not self.columns:
            return
        begin = first * self.readings_per_row
        start = max(0, begin - 1)  # the reading before, for the first step
        signals = self._signals_kw(history, start)
        remainder = signals[REMAINDER]
        change = np.diff(remainder, prepend=remainder[:1]).astype(np.float32)[begin - start :]
        for name, signal in self.signals.items():
            values = signals[name][begin - start :]
            signal.sums.write(begin, values)
            for runs in signal.runs:
                runs.write(begin, values)
        for steps in self.steps:
            steps.write(begin, change)
        self.remainder_kw.write(begin, remainder[begin - start :])
        for number, minutes in enumerate(SPAN_MINUTES):
            width = max(1, minutes // self.reading_minutes)
            for span, extreme in zip(self.spans[2 * number :], (lowest_within, highest_within), strict=False):
                span.write(begin, extreme(self.remainder_kw.values, width, begin))

    def _signals_kw(self, history: History, start: int) -> dict[str, Doubles]:
        """Every signal from reading ``start`` on, gaps held."""
        channels = (ACTIVE_POWER, *(name for name in self.signals if name != REMAINDER))
        held = {}
        for channel in channels:
            values = history.readings(channel)
            held[channel] = forward_fill(values[start:], last_observed(values, start)).astype(np.float64)
        power = held.pop(ACTIVE_POWER)
        remainder = np.maximum(power - sum(held.values(), np.zeros(len(power))), 0)
        return held | {REMAINDER: remainder}

    def at(self, readings: Rows) -> Floats:
        """Columns once these readings have arrived, (readings, columns)."""
        minutes = self.reading_minutes
        columns = [
            column
            for signal in self.signals.values()
            for runs in signal.runs
            for column in runs.at(readings, signal.sums.sums, minutes)
        ]
        columns += [column for steps in self.steps for column in steps.at(readings, minutes)]
        columns += [self.remainder_kw.values[readings], *(span.values[readings] for span in self.spans)]
        return np.stack(columns, -1)

    def at_rows(self, rows: Rows) -> Floats:
        """Columns at the end of working intervals; NaN outside the history."""
        out = np.full((len(rows), len(self.columns)), np.nan, np.float32)
        inside = (rows >= 0) & (rows < len(self.remainder_kw) // self.readings_per_row)
        if inside.any():
            out[inside] = self.at((rows[inside] + 1) * self.readings_per_row - 1)
        return out
