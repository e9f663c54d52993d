"""Raw values of two small made-up meters, with gaps, faults and a spring clock change.

Nothing of the package is used here.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Raw:
    """Civil interval starts and an array per channel: power, reactive, voltage, current, three sub-meters."""

    starts: pd.DatetimeIndex
    channels: tuple[Array, ...]

    def span(self, begin: str, hours: float) -> Rows:
        """Which rows lie in so many hours from ``begin`` on."""
        first = pd.Timestamp(begin)
        return np.asarray((self.starts >= first) & (self.starts < first + pd.Timedelta(hours=hours)))

    def without(self, rows: Rows) -> "Raw":
        """The same without some rows."""
        return Raw(self.starts[~rows], tuple(values[~rows] for values in self.channels))


def house() -> Raw:
    """Seventy days of a seven-channel meter, one-minute readings, Paris; it skips 2010-03-28 02:00."""
    raw = _made(days=70, start="2010-02-01", step=1, all_channels=True, seed=11)
    power, reactive, voltage, current, *sub_meters = raw.channels
    for begin, hours in (("2010-02-09 13:10", 3.0), ("2010-03-02 00:00", 30.0), ("2010-04-03 17:40", 2.5)):
        for values in raw.channels:
            values[raw.span(begin, hours)] = np.nan
    voltage[raw.span("2010-02-20 06:00", 0.5)] = np.nan
    reactive[raw.span("2010-03-20 06:00", 0.5)] = np.nan
    for values in raw.channels:
        values[raw.span("2010-03-28 02:00", 1)] = values[raw.span("2010-03-28 03:00", 1)]  # the skipped hour
        values[raw.span("2010-03-18 09:00", 6)] = values[raw.span("2010-03-17 09:00", 6)]  # a copied gap
        values[raw.span("2010-04-07 01:00", 5)] = values[raw.span("2010-04-07 01:00", 0.01)]  # frozen
    double = raw.span("2010-03-22 00:00", 40)
    power[double], current[double] = 2 * power[double], 2 * current[double]
    voltage[raw.span("2010-03-31 12:00", 4)] -= 35.0
    sub_meters[2][raw.span("2010-04-05 00:00", 60)] = 0.0
    power[raw.span("2010-04-10 08:00", 20)] *= 0.5
    return raw.without(raw.span("2010-02-15 20:00", 7) | raw.span("2010-04-01 03:00", 1.2))


def home() -> Raw:
    """120 days of a power-only meter, half-hourly readings, Sydney; it has no 2010-10-03 02:00 to 03:00."""
    raw = _made(days=120, start="2010-07-01", step=30, all_channels=False, seed=12)
    (power,) = raw.channels
    for begin, hours in (("2010-07-20 10:00", 4.0), ("2010-08-14 00:00", 50.0), ("2010-10-09 16:00", 3.0)):
        power[raw.span(begin, hours)] = np.nan
    power[raw.span("2010-10-06 00:00", 40)] *= 2.5
    power[raw.span("2010-10-13 06:00", 26)] = 0.432
    power[raw.span("2010-10-18 00:00", 30)] *= -1.0
    power[raw.span("2010-10-23 00:00", 50)] = 0.0
    skipped = raw.span("2010-10-03 02:00", 1)
    return raw.without(skipped | raw.span("2010-08-30 05:00", 9) | raw.span("2010-10-11 12:00", 2))


def _made(days: int, start: str, step: int, all_channels: bool, seed: int) -> Raw:
    """A daily rhythm, appliances, a kettle, a supply with impedance."""
    rng = np.random.default_rng(seed)
    starts = pd.date_range(start, periods=days * 1440 // step, freq=f"{step}min")
    n = len(starts)
    hour = starts.hour.to_numpy() + starts.minute.to_numpy() / 60
    shape = 0.25 + 0.35 * np.exp(-((hour - 8) ** 2) / 3) + 0.7 * np.exp(-((hour - 19.5) ** 2) / 6)
    shape = shape * np.where(starts.day_of_week.to_numpy() >= 5, 1.2, 1.0)
    slow = np.convolve(rng.normal(0, 1, n), np.ones(30) / 30, "same")
    kettle: Any = (rng.random(n) < 0.004 * shape * step).astype(float)
    kettle = np.minimum(np.convolve(kettle, np.ones(max(1, 8 // step)))[:n], 1) * 1.8
    base = np.maximum(shape * (1 + 0.5 * slow), 0.06)
    power = np.round((base + kettle + 0.02 * rng.random(n)) / 0.002) * 0.002
    if not all_channels:
        return Raw(starts, (power,))
    reactive = np.round((0.08 + 0.05 * rng.random(n)) / 0.002) * 0.002
    apparent = np.hypot(power, reactive)
    wander = np.cumsum(rng.normal(0, 0.05, n)) * 0.2
    voltage = np.round(241 + np.clip(wander, -5, 5) + rng.normal(0, 0.2, n) - apparent, 2)
    current = np.round(1000 * apparent / voltage / 0.2) * 0.2
    sub_meters = [np.floor(share * power * 1000 / 60) * 0.06 for share in (0.0, 0.1, 0.3)]
    sub_meters[0][kettle > 0] = 1.5
    return Raw(starts, (power, reactive, voltage, current, *sub_meters))
