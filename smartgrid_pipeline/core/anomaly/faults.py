"""Faults put into recorded readings on purpose, one at a time, so that detection can be measured.

``inject`` changes single readings only between start and end, keeps the meter's resolution there and leaves
all others bit-identical. What each kind does, how strongly and for how long: ``catalogue``.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from smartgrid_pipeline.core.anomaly.rules import RESOLUTION
from smartgrid_pipeline.core.anomaly.stream import ALL_SUBS, Array
from smartgrid_pipeline.core.meter_data import step_minutes
from smartgrid_pipeline.core.schema import (
    ACTIVE_POWER,
    CHANNELS,
    CURRENT,
    REACTIVE_POWER,
    SUB_METERS,
    VOLTAGE,
    DataError,
)

LOOP_OHM = 0.25
"""Supply impedance by which a load added or taken away moves the voltage."""


@dataclass(frozen=True)
class Event:
    """A fault that was put in: rows changed are the labels; ``end`` is exclusive."""

    kind: str
    magnitude: float
    start: np.datetime64
    end: np.datetime64
    channels: tuple[str, ...]
    labels: npt.NDArray[np.bool_]


@dataclass
class Window:
    """The readings inside an event, and all of them to copy from; ``at`` are the rows inside."""

    values: dict[str, Array]
    whole: dict[str, Array]
    at: slice
    magnitude: float
    step: int
    minutes_of_day: npt.NDArray[np.int64]
    rng: np.random.Generator

    @property
    def n(self) -> int:
        """Readings inside the event."""
        return self.at.stop - self.at.start

    def copy_from(self, rows: int) -> None:
        """Take every reading from ``rows`` earlier (negative: later)."""
        for channel, whole in self.whole.items():
            source = np.clip(np.arange(self.at.start, self.at.stop) - rows, 0, len(whole) - 1)
            self.values[channel] = whole[source].copy()

    def scale(self, channels: tuple[str, ...], factor: float | Array) -> None:
        """Multiply channels the meter has."""
        for channel in channels:
            if channel in self.values:
                self.values[channel] = self.values[channel] * factor

    def excess_kva(self) -> Array:
        """V·I − √(P² + Q²) before the fault, its rounding taken back to half: rounding anew adds the rest."""
        values = self.values
        excess = values[VOLTAGE] * values[CURRENT] / 1000 - np.hypot(
            values[ACTIVE_POWER], values[REACTIVE_POWER]
        )
        half = RESOLUTION[CURRENT] / 2 * 0.22
        return np.where(np.abs(excess) < 3 * half, np.clip(excess, -half, half), excess)

    def follow_with_current(self, excess_kva: Array) -> None:
        """Set the current so that it explains the power, up to an excess and its rounding."""
        apparent = np.hypot(self.values[ACTIVE_POWER], self.values[REACTIVE_POWER])
        self.values[CURRENT] = np.maximum(1000 * (apparent + excess_kva) / self.values[VOLTAGE], 0.0)

    def add_load(self, active_kw: Array, power_factor: float | None = None) -> None:
        """Add an appliance (kW per reading, negative takes one away) as the supply would show it; without a
        power factor it has that of the home.
        """
        before = self.values[ACTIVE_POWER]
        after = np.maximum(before + active_kw, 0.01)
        if not {REACTIVE_POWER, VOLTAGE, CURRENT} <= set(self.values):
            self.values[ACTIVE_POWER] = after
            return
        reactive, volt, excess = self.values[REACTIVE_POWER], self.values[VOLTAGE], self.excess_kva()
        unchanged, current = active_kw == 0, self.values[CURRENT]
        tangent = reactive / before if power_factor is None else np.tan(np.arccos(power_factor))
        self.values[ACTIVE_POWER] = after
        self.values[REACTIVE_POWER] = np.maximum(reactive + (after - before) * tangent, 0.0)
        apparent = np.hypot(after, self.values[REACTIVE_POWER])
        self.values[VOLTAGE] = volt - LOOP_OHM * 1000 * (apparent - np.hypot(before, reactive)) / volt
        with np.errstate(invalid="ignore", divide="ignore"):
            left = np.minimum(apparent / np.hypot(before, reactive), 1.0)  # what is gone switches no more
        self.follow_with_current(excess * left)
        self.values[CURRENT] = np.where(unchanged, current, self.values[CURRENT])


Fault = Callable[[Window], None]
POWERS = (ACTIVE_POWER, REACTIVE_POWER)
LOAD = (ACTIVE_POWER, REACTIVE_POWER, CURRENT, *SUB_METERS)


def _stuck(*channels: str) -> Fault:
    def apply(w: Window) -> None:
        for channel in channels:
            w.values[channel] = np.full(w.n, w.values[channel][0])

    return apply


def _stuck_all(w: Window) -> None:
    _stuck(*w.values)(w)


def _dropout_zero(w: Window) -> None:
    everything = w.rng.random() < 0.5
    w.scale(tuple(w.values) if everything else (ACTIVE_POWER, CURRENT), 0.0)


def _zero_p_keep_i(w: Window) -> None:
    w.scale((ACTIVE_POWER,), 0.0)


def _gap_catch_up(w: Window) -> None:
    energy = [channel for channel in (*POWERS, *SUB_METERS) if channel in w.values]
    for channel, values in w.values.items():
        zeros = np.zeros(w.n)
        zeros[-1] = values.sum() if channel in energy else values[-1]
        w.values[channel] = zeros


def _spike(w: Window) -> None:
    w.values[ACTIVE_POWER] = w.values[ACTIVE_POWER] * w.magnitude + 1.0


def _negative_spike(w: Window) -> None:
    w.scale((ACTIVE_POWER,), -w.magnitude)


def _linear_fill(w: Window) -> None:
    for channel, whole in w.whole.items():
        first, last = whole[max(w.at.start - 1, 0)], whole[min(w.at.stop, len(whole) - 1)]
        w.values[channel] = first + (last - first) * np.arange(1, w.n + 1) / (w.n + 1)


def _duplicate_day(w: Window) -> None:
    w.copy_from(1440 // w.step)


def _duplicate_day_lsb(w: Window) -> None:
    w.copy_from(1440 // w.step)
    for channel, values in w.values.items():
        moved = values + w.rng.integers(-1, 2, w.n) * RESOLUTION[channel]
        w.values[channel] = np.where(moved < 0, values, moved)


def _dst_repeat(w: Window) -> None:
    w.copy_from(60 // w.step)


def _clock_shift(w: Window) -> None:
    w.copy_from(round(w.magnitude / w.step))


def _gain_step(w: Window) -> None:
    w.scale(POWERS, 1 + w.magnitude)


def _gain_drift(w: Window) -> None:
    w.scale(POWERS, 1 + w.magnitude * np.arange(1, w.n + 1) / w.n)


def _voltage_bias(w: Window) -> None:
    w.values[VOLTAGE] = w.values[VOLTAGE] + w.magnitude


def _noise(w: Window) -> None:
    w.scale((ACTIVE_POWER,), np.maximum(1 + w.magnitude * w.rng.normal(0, 1, w.n), 0.0))


def _tamper_p(w: Window) -> None:
    w.scale((ACTIVE_POWER,), w.magnitude)


def _theft_h2(w: Window) -> None:
    """No consumption in a window of every day (Jokar et al. 2016, attack h2)."""
    first = int(w.rng.integers(0, 1440))
    length = int(w.rng.integers(240, 1200))
    w.scale((ACTIVE_POWER,), ((w.minutes_of_day - first) % 1440 >= length).astype(float))


def _theft_h3(w: Window) -> None:
    """Every reading times its own random share (attack h3)."""
    w.scale((ACTIVE_POWER,), w.rng.uniform(0.1, 0.8, w.n))


def _theft_h4(w: Window) -> None:
    """The mean times a random share per reading (attack h4)."""
    w.values[ACTIVE_POWER] = w.values[ACTIVE_POWER].mean() * w.rng.uniform(0.1, 0.8, w.n)


def _theft_h5(w: Window) -> None:
    """The mean at every reading (attack h5)."""
    w.values[ACTIVE_POWER] = np.full(w.n, w.values[ACTIVE_POWER].mean())


def _theft_h6(w: Window) -> None:
    """Each day's readings in reverse order (attack h6)."""
    day = 1440 // w.step
    parts = [w.values[ACTIVE_POWER][a : a + day][::-1] for a in range(0, w.n, day)]
    w.values[ACTIVE_POWER] = np.concatenate(parts)


def _bypass(w: Window) -> None:
    consistent = {REACTIVE_POWER, VOLTAGE, CURRENT} <= set(w.values)
    excess = w.excess_kva() if consistent else np.zeros(w.n)
    w.scale(LOAD, w.magnitude)
    if consistent:
        w.follow_with_current(w.magnitude * excess)


def _reverse_ct(w: Window) -> None:
    w.scale((ACTIVE_POWER,), -1.0)


def _swap_sub(w: Window) -> None:
    pairs = [(0, 1), (0, 2), (1, 2)]
    differing = [
        (a, b) for a, b in pairs if (w.values[ALL_SUBS[a]] != w.values[ALL_SUBS[b]]).mean() > 0.05
    ] or pairs
    a, b = differing[w.rng.integers(len(differing))]
    w.values[ALL_SUBS[a]], w.values[ALL_SUBS[b]] = w.values[ALL_SUBS[b]], w.values[ALL_SUBS[a]]


def _swap_pq(w: Window) -> None:
    w.values[ACTIVE_POWER], w.values[REACTIVE_POWER] = w.values[REACTIVE_POWER], w.values[ACTIVE_POWER]


def _unit_error(w: Window) -> None:
    w.scale((*POWERS, *SUB_METERS), w.magnitude)


def _sag_swell(w: Window) -> None:
    """Loads follow as constant impedances: P and Q with the square of the voltage, I with the voltage."""
    w.scale((VOLTAGE, CURRENT), w.magnitude)
    w.scale((*POWERS, *SUB_METERS), w.magnitude**2)


def _stuck_on(w: Window) -> None:
    w.add_load(np.full(w.n, w.magnitude), 0.98)


def _heater_stuck(w: Window) -> None:
    heater = w.values[ALL_SUBS[2]]
    added = np.maximum(w.magnitude - heater, 0.0)
    w.values[ALL_SUBS[2]] = heater + added
    w.add_load(added, 1.0)


def _no_standby(w: Window) -> None:
    subs = [w.values[sub] for sub in ALL_SUBS if sub in w.values]
    other = np.maximum(w.values[ACTIVE_POWER] - np.sum(subs, axis=0), 0.0)
    w.add_load(-np.minimum(w.magnitude, 0.9 * other))


def _sub_dead(w: Window) -> None:
    alive = [sub for sub in ALL_SUBS if (w.values[sub] > 0).sum() >= max(5, 0.02 * w.n)] or list(ALL_SUBS)
    w.scale((alive[w.rng.integers(len(alive))],), 0.0)


def _sub_gt_total(w: Window) -> None:
    sub = w.rng.integers(3)
    others = np.sum([w.values[ALL_SUBS[k]] for k in range(3) if k != sub], axis=0)
    w.values[ALL_SUBS[sub]] = w.values[ACTIVE_POWER] - others + w.magnitude


def _vacation(w: Window) -> None:
    """Nobody at home: only what runs by itself, the kitchen and laundry silent but for the fridge."""
    for sub in [sub for sub in ALL_SUBS if sub in w.values]:
        small = np.round(w.values[sub][w.values[sub] <= 0.12], 3)
        idle = np.unique(small, return_counts=True)
        usual = idle[0][int(np.argmax(idle[1]))] if len(small) else 0.0
        w.values[sub] = np.where(w.values[sub] > 0.12, usual, w.values[sub])
    base = float(np.nanquantile(w.values[ACTIVE_POWER], 0.1))
    above = np.maximum(w.values[ACTIVE_POWER] - base, 0.0)
    active = np.minimum(w.values[ACTIVE_POWER], base + 0.06 * np.log1p(above / 0.06))
    w.add_load(active - w.values[ACTIVE_POWER])


def _party(w: Window) -> None:
    slow = np.convolve(w.rng.random(w.n + 60 // w.step), np.ones(60 // w.step) / (60 // w.step), "same")
    w.add_load(w.magnitude * (0.6 + 0.8 * slow[: w.n]), 0.97)


def _heat_wave(w: Window) -> None:
    cooling = _cycles(w, 40, 0.6) * ((w.minutes_of_day >= 720) & (w.minutes_of_day < 1320))
    if ALL_SUBS[2] in w.values:
        w.values[ALL_SUBS[2]] = w.values[ALL_SUBS[2]] + w.magnitude * cooling
    w.add_load(w.magnitude * cooling, 0.95)


def _new_appliance(w: Window) -> None:
    w.add_load(w.magnitude * _cycles(w, int(w.rng.integers(30, 90)), w.rng.uniform(0.2, 0.5)), 0.9)


def _cycles(w: Window, period_minutes: int, duty: float) -> Array:
    phase = np.arange(w.n) * w.step % period_minutes
    return (phase < duty * period_minutes).astype(float)


FAULTS: dict[str, Fault] = {
    "stuck_all": _stuck_all,
    "stuck_V": _stuck(VOLTAGE),
    "stuck_P": _stuck(ACTIVE_POWER),
    "stuck_I": _stuck(CURRENT),
    "dropout_zero": _dropout_zero,
    "zero_P_keep_I": _zero_p_keep_i,
    "gap_catch_up": _gap_catch_up,
    "spike": _spike,
    "negative_spike": _negative_spike,
    "linear_fill": _linear_fill,
    "duplicate_day": _duplicate_day,
    "duplicate_day_lsb": _duplicate_day_lsb,
    "dst_repeat": _dst_repeat,
    "clock_shift": _clock_shift,
    "gain_step": _gain_step,
    "gain_drift": _gain_drift,
    "voltage_bias": _voltage_bias,
    "noise": _noise,
    "tamper_P": _tamper_p,
    "theft_h2": _theft_h2,
    "theft_h3": _theft_h3,
    "theft_h4": _theft_h4,
    "theft_h5": _theft_h5,
    "theft_h6": _theft_h6,
    "bypass": _bypass,
    "reverse_ct": _reverse_ct,
    "swap_sub": _swap_sub,
    "swap_PQ": _swap_pq,
    "unit_error": _unit_error,
    "sag": _sag_swell,
    "swell": _sag_swell,
    "stuck_on": _stuck_on,
    "heater_stuck": _heater_stuck,
    "no_standby": _no_standby,
    "sub_dead": _sub_dead,
    "sub_gt_total": _sub_gt_total,
}
BENIGN: dict[str, Fault] = {
    "vacation": _vacation,
    "party": _party,
    "heat_wave": _heat_wave,
    "new_appliance": _new_appliance,
}


def inject(
    readings: pd.DataFrame,
    kind: str,
    magnitude: float,
    start: np.datetime64,
    duration: np.timedelta64,
    rng: np.random.Generator,
) -> tuple[pd.DataFrame, Event]:
    """Readings with one fault between ``start`` and ``start + duration``, and what was done.

    Missing readings stay missing. Raises DataError on an unknown kind, an event outside the readings, or a
    meter without the channels the kind needs.
    """
    apply = (FAULTS | BENIGN).get(kind)
    if apply is None:
        raise DataError(f"Unknown fault kind {kind!r}: choose one of {sorted(FAULTS | BENIGN)}.")
    step = step_minutes(readings)
    index = readings.index.to_numpy().astype("datetime64[m]")
    first = int((start.astype("datetime64[m]") - index[0]) // np.timedelta64(step, "m"))
    n = max(1, int(duration // np.timedelta64(step, "m")))
    if first < 0 or first + n > len(index):
        raise DataError(f"The event {start} + {duration} lies outside the readings {index[0]} … {index[-1]}.")
    channels = [channel for channel in CHANNELS if channel in readings]
    whole = {channel: readings[channel].to_numpy(np.float64) for channel in channels}
    at = slice(first, first + n)
    minutes = ((index[at] - index[at].astype("datetime64[D]")) // np.timedelta64(1, "m")).astype(np.int64)
    window = Window({c: v[at].copy() for c, v in whole.items()}, whole, at, magnitude, step, minutes, rng)
    try:
        apply(window)
    except KeyError as error:
        raise DataError(f"Fault {kind!r} needs channel {error}, which this meter lacks.") from error
    end = index[first] + np.timedelta64(n * step, "m")
    return _write(readings, window, Event(kind, magnitude, index[first], end, (), np.zeros(0, bool)))


def _write(readings: pd.DataFrame, window: Window, event: Event) -> tuple[pd.DataFrame, Event]:
    changed = readings.copy()
    labels = np.zeros(len(readings), bool)
    touched = []
    for channel, values in window.values.items():
        before = window.whole[channel][window.at]
        resolution = RESOLUTION[channel]
        after = np.where(values == before, before, np.round(values / resolution) * resolution)
        after = np.where(np.isnan(before), np.nan, after)
        differs = ~((after == before) | (np.isnan(after) & np.isnan(before)))
        if differs.any():
            touched.append(channel)
            labels[window.at] |= differs
            column = window.whole[channel].copy()
            column[window.at] = after
            changed[channel] = column
    return changed, Event(event.kind, event.magnitude, event.start, event.end, tuple(touched), labels)
