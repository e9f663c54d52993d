"""One direct model per sum and lead: ridge and boosted trees on logarithms, with intervals.

No recursion: each target is the mean power of one interval; inputs are readings that had ended at the origin
and the calendar.
"""

from dataclasses import dataclass

import lightgbm
import numpy as np
import numpy.typing as npt
import pandas as pd

Doubles = npt.NDArray[np.float64]

DAY = 48
RECENT, DAYS = 8, 14
TRIM_KW = 1e-3


@dataclass(frozen=True)
class SumTask:
    """Intervals that begin ``starts`` half-hours after origins ``every`` half-hours apart, ``width`` long."""

    name: str
    starts: tuple[int, ...]
    width: int
    every: int


TASKS = (
    SumTask("next interval (30 min)", (0,), 1, 1),
    SumTask("next hour", (0,), 2, 2),
    SumTask("day ahead, 24 x 1 h", tuple(range(0, 48, 2)), 2, 48),
)

TREES = {
    "objective": "l1", "num_leaves": 31, "learning_rate": 0.06, "min_data_in_leaf": 40,
    "feature_fraction": 0.5, "bagging_fraction": 0.7, "bagging_freq": 1, "lambda_l2": 2.0,
    "max_bin": 127, "num_threads": 1, "deterministic": True, "force_row_wise": True, "verbosity": -1,
    "seed": 0,
}  # fmt: skip
TREE_COUNT = 250
PENALTY = 3.0
INTERVAL = (0.1, 0.9)


@dataclass(frozen=True)
class TestForecasts:
    """Forecasts of a test span: observed, forecast and the 80 % interval, flat, kW."""

    observed: Doubles
    forecast: Doubles
    low: Doubles
    high: Doubles

    def scores(self) -> dict[str, float]:
        """MAPE and WAPE in per cent, coverage and mean relative width of the 80 % interval."""
        error = np.abs(self.forecast - self.observed)
        return {
            "mape_percent": float(100 * np.mean(error / self.observed)),
            "wape_percent": float(100 * error.sum() / self.observed.sum()),
            "coverage_80": float(np.mean((self.observed >= self.low) & (self.observed <= self.high))),
            "width_80_percent": float(100 * np.mean((self.high - self.low) / self.observed)),
        }


def forecast(power: pd.Series, task: SumTask, later: pd.Timestamp, test: pd.Timestamp) -> TestForecasts:
    """Fit on intervals that end before ``later``, take error quantiles from there to ``test``, then forecast
    everything from ``test`` on.
    """
    pairs = _pairs(power, task)
    ends, begins = pairs.ends, pairs.origins
    known = np.isfinite(pairs.target) & np.isfinite(pairs.base)
    train = known & (ends <= np.datetime64(later))
    between = known & (begins >= np.datetime64(later)) & (ends <= np.datetime64(test))
    scored = known & (begins >= np.datetime64(test))
    forecast_log = pairs.base + _fit(pairs, train)(pairs.inputs)
    errors = (pairs.target - forecast_log)[between]
    hour = pairs.hour
    low, high = np.empty(len(forecast_log)), np.empty(len(forecast_log))
    for each in np.unique(hour):
        near = np.minimum((hour[between] - each) % 24, (each - hour[between]) % 24) <= 1
        low[hour == each], high[hour == each] = (
            forecast_log[hour == each] + level for level in np.quantile(errors[near], INTERVAL)
        )
    return TestForecasts(*(np.exp(values[scored]) for values in (pairs.target, forecast_log, low, high)))


@dataclass(frozen=True)
class _Pairs:
    inputs: Doubles
    base: Doubles
    target: Doubles
    hour: npt.NDArray[np.int64]
    origins: npt.NDArray[np.datetime64]
    ends: npt.NDArray[np.datetime64]


def _pairs(power: pd.Series, task: SumTask) -> _Pairs:
    """Inputs and targets as logarithms; the base is the mean of the last reading's (or days') logarithm."""
    values = np.log(np.maximum(power.to_numpy(), TRIM_KW))
    times = power.index.to_numpy()
    step = np.timedelta64(30, "m")
    midnight = int(((times[0].astype("datetime64[D]") + 1) - times[0]) / step) % DAY
    rows = np.arange(midnight + DAYS * 2 * DAY, len(values) - DAY, task.every)
    at = np.repeat(rows, len(task.starts))
    first = at + np.tile(task.starts, len(rows))
    smooth = _rolling(values, task.width)  # row r: mean of the interval that begins at r
    back = -(-(first + task.width - at) // DAY)
    days = np.stack([smooth[first - (back + k) * DAY] for k in range(DAYS)], 1)
    recent = np.stack([values[at - 1 - k] for k in range(RECENT)], 1)
    usual = _rolling(values, 1)
    then = np.stack([[usual[at - 1 - d * DAY] for d in (1, 2, 3, 7)]])[0].T
    levels = np.stack([_mean(values, at, width) for width in (4, 12, DAY, 7 * DAY, 14 * DAY)], 1)
    week = _nanmean(days[:, [6, 13]])
    means = np.stack([_nanmean(days[:, :3]), _nanmean(days[:, :7]), _nanmean(days), week], 1)
    near = len(task.starts) == 1
    base = recent[:, 0] if near else means[:, 1]
    middle = times[first] + step * task.width / 2
    inputs = np.concatenate(
        [days[:, :8] - base[:, None], recent - base[:, None], recent[:, :1] - then, levels - base[:, None],
         means - base[:, None], _same_change(smooth, first, at, values, back), _calendar(middle)], 1,
    )  # fmt: skip
    target = np.log(np.maximum(_plain(power.to_numpy(), task.width)[first], TRIM_KW))
    hour = ((middle - middle.astype("datetime64[D]")) / np.timedelta64(1, "h")).astype(np.int64)
    return _Pairs(inputs, base, target, hour, times[at], times[first] + step * task.width)


def _same_change(
    smooth: Doubles, first: npt.NDArray[np.int64], at: npt.NDArray[np.int64], values: Doubles,
    back: npt.NDArray[np.int64],
) -> Doubles:  # fmt: skip
    """Target interval minus last reading (logarithms) on each of seven earlier days, and their mean."""
    days = np.stack(
        [smooth[first - (back + k) * DAY] - values[at - 1 - (back + k) * DAY] for k in range(7)], 1
    )
    return np.concatenate([days, _nanmean(days)[:, None]], 1)


def _calendar(times: npt.NDArray[np.datetime64]) -> Doubles:
    days = times.astype("datetime64[D]")
    hour = (times - days) / np.timedelta64(24, "h")
    weekday = (days.astype(np.int64) + 3) % 7
    year = (days - days.astype("datetime64[Y]")).astype(float) / 365.25
    waves = [wave(2 * np.pi * k * hour) for k in range(1, 7) for wave in (np.sin, np.cos)]
    free = (weekday >= 5).astype(float)
    return np.column_stack(
        [*waves, *(wave * free for wave in waves[:6]), np.eye(7)[weekday], hour, free,
         np.sin(2 * np.pi * year), np.cos(2 * np.pi * year)]
    )  # fmt: skip


def _fit(pairs: _Pairs, train: npt.NDArray[np.bool_]):  # type: ignore[no-untyped-def]  # noqa: ANN202
    """Half ridge, half trees, of what the base leaves over."""
    x, y = pairs.inputs[train], (pairs.target - pairs.base)[train]
    centre, scale = np.nanmean(x, 0), np.nanstd(x, 0) + 1e-6

    def terms(inputs: Doubles) -> Doubles:
        z = np.nan_to_num((inputs - centre) / scale).clip(-6, 6)
        waves, rest = z[:, -25:-13], z[:, :25]
        mixed = (rest[:, :, None] * waves[:, None, :4]).reshape(len(z), -1)
        return np.concatenate([z, mixed, np.ones((len(z), 1))], 1)

    design = terms(x)
    limits = np.quantile(y, (0.002, 0.998))
    gram = design.T @ design + PENALTY * np.eye(design.shape[1])
    weights = np.linalg.solve(gram, design.T @ y.clip(*limits))
    booster = lightgbm.train(TREES, lightgbm.Dataset(x, y), TREE_COUNT)
    return lambda inputs: (terms(inputs) @ weights + booster.predict(inputs, num_threads=1)) / 2


def _rolling(values: Doubles, width: int) -> Doubles:
    """Mean logarithm of the interval of ``width`` rows that begins at each row."""
    return np.log(np.maximum(_plain(np.exp(values), width), TRIM_KW))


def _plain(values: Doubles, width: int) -> Doubles:
    ahead = [np.concatenate([values[k:], np.full(k, np.nan)]) for k in range(width)]
    return np.mean(ahead, axis=0)


def _mean(values: Doubles, at: npt.NDArray[np.int64], width: int) -> Doubles:
    """Mean of the ``width`` rows before each row as far as they are known."""
    seen = np.isfinite(values)
    total = np.concatenate([[0.0], np.cumsum(np.where(seen, values, 0))])
    count = np.concatenate([[0], np.cumsum(seen)])
    with np.errstate(invalid="ignore", divide="ignore"):
        return (total[at] - total[at - width]) / (count[at] - count[at - width])


def _nanmean(values: Doubles) -> Doubles:
    seen = np.isfinite(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(seen, values, 0).sum(1) / seen.sum(1)
