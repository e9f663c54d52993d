"""How appliances cycle: how long each has been on or off, how long that lasted the last times, how strongly.

A signal (a sub-meter, or what the sub-meters leave over) above a threshold is on; a run is a stretch of one
state. Only finished runs and the elapsed part of the present one are told, so nothing comes from the future.
Meters that read less often than every five minutes blur their appliances: they have no cycles.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.ndimage import maximum_filter1d, minimum_filter1d

from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.schema import ACTIVE_POWER, SUB_METERS, Doubles, Floats, Meter, Rows

COARSEST_MINUTES = 5
REST = "rest"
"""The name of what the sub-meters leave over; all the power where there are none."""

THRESHOLDS_KW: dict[str, tuple[float, ...]] = {
    SUB_METERS[0]: (0.03, 0.9),
    SUB_METERS[1]: (0.03, 0.9),
    SUB_METERS[2]: (0.03, 0.9),
    REST: (0.5, 1.0),
}
"""Above the lower one small motors (a refrigerator) are heard, above the higher one heaters only."""

STEPS_KW = (0.12, 0.5)
"""Steps of the rest between two readings that are remembered: the last STEP_COUNT of each size."""

STEP_COUNT = 4
SPAN_MINUTES = (30, 120, 720)
"""The rest's lowest and highest reading of these last minutes."""

LONGEST_MINUTES = 2880
RUN_COLUMNS = ("elapsed", "mean_kw", "length_1", "length_2", "length_3", "length_4", "mean_1_kw", "mean_2_kw",
               "usual_length", "elapsed_relative", "usual_other_length", "on")  # fmt: skip


@lru_cache(maxsize=16)
def names(meter: Meter, step_minutes: int) -> tuple[str, ...]:
    """Names of the columns of ``DutyCycles.at``, readings ``step_minutes`` apart; none for a coarse meter."""
    if step_minutes > COARSEST_MINUTES:
        return ()
    signals = [sub for sub in SUB_METERS if sub in meter.channels] + [REST]
    runs = [f"cycle_{signal}_{round(1000 * kw)}w_{what}" for signal in signals for kw in THRESHOLDS_KW[signal]
            for what in RUN_COLUMNS]  # fmt: skip
    steps = [f"cycle_step_{round(1000 * kw)}w_{k}_{what}" for kw in STEPS_KW for k in range(STEP_COUNT)
             for what in ("ago", "kw")]  # fmt: skip
    spans = [f"cycle_rest_{what}_{m}min_kw" for m in SPAN_MINUTES for what in ("lowest", "highest")]
    return (*runs, *steps, "cycle_rest_kw", *spans)


def _log_minutes(minutes: npt.NDArray[np.generic]) -> Floats:
    return np.log1p(np.clip(minutes, 0, LONGEST_MINUTES)).astype(np.float32)


@dataclass(frozen=True)
class RunLengths:
    """One signal cut into runs: the number of each row's run (n,), and where runs start (runs + 1,)."""

    number: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int64]
    sums: Doubles
    first_is_on: bool

    @classmethod
    def of(cls, on: npt.NDArray[np.bool_], sums: Doubles) -> "RunLengths":
        """Runs of a state; ``sums`` (n + 1,) are running sums of the signal in kW."""
        changed = np.flatnonzero(on[1:] != on[:-1]) + 1
        number = np.zeros(len(on), np.int32)
        number[changed] = 1
        return cls(np.cumsum(number, dtype=np.int32), np.concatenate([[0], changed, [len(on)]]), sums,
                   bool(len(on) and on[0]))  # fmt: skip

    def at(self, rows: Rows, step_minutes: int) -> list[Floats]:
        """RUN_COLUMNS at rows, each (rows,): the present run up to the row, and finished ones before it."""
        number = self.number[rows].astype(np.int64)
        start = self.starts[number]
        elapsed = rows + 1 - start
        back = number[:, None] - np.arange(9)
        finished = (back >= 0) & (back < number[:, None])  # a run that is not over tells nothing yet
        back = np.where(finished, back, 0)
        begins, ends = self.starts[back], np.where(finished, self.starts[back + 1], self.starts[back])
        lengths = (ends - begins).astype(np.float64) * step_minutes
        means = (self.sums[ends] - self.sums[begins])[:, 1:3] / np.maximum(ends - begins, 1)[:, 1:3]
        usual = np.median(lengths[:, 2:9:2], 1)
        other = np.median(lengths[:, 1:9:2], 1)
        return [
            _log_minutes(elapsed * step_minutes),
            ((self.sums[rows + 1] - self.sums[start]) / elapsed).astype(np.float32),
            *(_log_minutes(lengths[:, k]) for k in (1, 2, 3, 4)),
            *(means[:, k].astype(np.float32) for k in (0, 1)),
            _log_minutes(usual),
            np.clip(elapsed * step_minutes / np.maximum(usual, 1), 0, 10).astype(np.float32),
            _log_minutes(other),
            ((number % 2 == 0) == self.first_is_on).astype(np.float32),
        ]


@dataclass(frozen=True)
class DutyCycles:
    """All signals of a meter, ready to be asked about any row; nothing wide is kept per row."""

    step_minutes: int
    runs: tuple[RunLengths, ...]
    steps: tuple[tuple[Rows, Floats], ...]
    rest_kw: Floats
    spans: tuple[Floats, ...]

    @classmethod
    def of(cls, power_kw: Floats, sub_meters_kw: dict[str, Floats], step_minutes: int) -> "DutyCycles":
        """From gap-free readings (n,) on a regular grid."""
        power = power_kw.astype(np.float64)
        subs = {name: values.astype(np.float64) for name, values in sub_meters_kw.items()}
        rest = np.maximum(power - sum(subs.values(), np.zeros(len(power))), 0)
        runs = []
        for name, values in (*subs.items(), (REST, rest)):
            sums = np.concatenate([[0.0], np.cumsum(values)])
            runs += [RunLengths.of(values > kw, sums) for kw in THRESHOLDS_KW[name]]
        change = np.diff(rest, prepend=rest[:1]).astype(np.float32)
        steps = []
        for kw in STEPS_KW:
            at = np.flatnonzero(np.abs(change) > kw)
            steps.append((at, change[at]))
        rest = rest.astype(np.float32)
        spans = [
            found(rest, width := max(1, minutes // step_minutes), origin=(width - 1) // 2, mode="nearest")
            for minutes in SPAN_MINUTES
            for found in (minimum_filter1d, maximum_filter1d)
        ]
        return cls(step_minutes, tuple(runs), tuple(steps), rest, tuple(spans))

    def at(self, rows: Rows) -> Floats:
        """What is known once these rows have been read, (rows, len(names(meter, step_minutes)))."""
        columns = [column for run in self.runs for column in run.at(rows, self.step_minutes)]
        for at, change in self.steps:
            last = np.searchsorted(at, rows, side="right") - 1
            for k in range(STEP_COUNT):
                known = last - k >= 0
                which = np.maximum(last - k, 0)
                ago = rows - at[which] if len(at) else rows
                columns.append(_log_minutes(np.where(known, ago * self.step_minutes, LONGEST_MINUTES)))
                size = change[which] if len(at) else np.zeros(len(rows), np.float32)
                columns.append(np.where(known, size, 0).astype(np.float32))
        columns += [self.rest_kw[rows], *(span[rows] for span in self.spans)]
        return np.stack(columns, -1)


def of_history(history: History) -> tuple[DutyCycles | None, int]:
    """The cycles of a history and its readings per working interval; gaps repeat the last reading."""
    if "cycles" not in history.derived:
        per = history.readings_per_row
        step = history.meter.working_minutes // per
        found = None
        if step <= COARSEST_MINUTES and len(history.starts):
            subs = [sub for sub in SUB_METERS if sub in history.meter.channels]
            power, *others = (held(history.readings(channel)) for channel in (ACTIVE_POWER, *subs))
            found = DutyCycles.of(power, dict(zip(subs, others, strict=True)), step)
        history.derived["cycles"] = found, per
    return history.derived["cycles"]


def at_rows(history: History, rows: Rows) -> Floats:
    """``DutyCycles.at`` at the end of working intervals; NaN outside the history."""
    found, per = of_history(history)
    width = len(names(history.meter, history.meter.working_minutes // per))
    out = np.full((len(rows), width), np.nan, np.float32)
    inside = (rows >= 0) & (rows < len(history.starts))
    if found is not None and inside.any():
        out[inside] = found.at((rows[inside] + 1) * per - 1)
    return out


def held(values: Floats) -> Floats:
    """The last reading held through gaps; zero before the first."""
    at = np.where(np.isnan(values), -1, np.arange(len(values)))
    last = np.maximum.accumulate(at)
    return np.where(last >= 0, values[np.maximum(last, 0)], 0).astype(np.float32)
