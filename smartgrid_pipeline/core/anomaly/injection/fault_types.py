"""What each fault type, and each change of normal use, does to the readings inside its window.

The thefts are the attacks h2 to h6 of Jokar et al. 2016, Electricity theft detection in AMI using customers'
consumption patterns, IEEE Trans. Smart Grid 7.
"""

from collections.abc import Callable

import numpy as np

from smartgrid_pipeline.core.anomaly.injection.window import Window
from smartgrid_pipeline.core.anomaly.interval_array import ALL_SUBS, Array
from smartgrid_pipeline.core.anomaly.rules.rules import RESOLUTION
from smartgrid_pipeline.core.schema import ACTIVE_POWER, CURRENT, REACTIVE_POWER, SUB_METERS, VOLTAGE

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
    """No consumption in a window of every day (attack h2)."""
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
    above = w.values[ACTIVE_POWER] - base
    calm = above[above < 0.15]  # what runs by itself goes on; it fills the minutes of what nobody starts
    filled = np.where(above < 0.15, above, w.rng.choice(calm, w.n))
    w.add_load(base + filled - w.values[ACTIVE_POWER])


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
