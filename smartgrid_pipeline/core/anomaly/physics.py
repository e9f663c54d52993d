"""Monitors that know electricity: each turns hourly sums into statistics that grow when it is violated."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from smartgrid_pipeline.core.anomaly.hours import (
    Hours,
)
from smartgrid_pipeline.core.anomaly.stream import (
    ALL_SUBS,
    ELECTRICAL,
    Array,
    rolling_min,
    rolling_sum,
)
from smartgrid_pipeline.core.schema import ACTIVE_POWER, CURRENT, REACTIVE_POWER, VOLTAGE


@dataclass(frozen=True)
class Monitor:
    """A physical monitor: ``statistics`` maps a window's name to (hours,), larger is stranger."""

    name: str
    alarm_class: str
    fault_class: str
    channels: tuple[str, ...]
    needs: tuple[str, ...]
    statistics: Callable[[Hours], dict[str, Array]]
    text: str


def _loop_impedance(hours: Hours) -> dict[str, Array]:
    """Slope of −ΔV on ΔI less its reference, times √ΣΔI²: in proportion to its own uncertainty."""
    usual = float(hours.learned["loop_ohm"])

    def slope(width: int) -> tuple[Array, Array]:
        xx = hours.total("loop_xx", width)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(xx > 20 * width / 24, hours.total("loop_xy", width) / xx, np.nan), xx

    reference = hours.reference(slope(24)[0], usual)
    found = {}
    for width in (12, 24, 72, 168):
        value, xx = slope(width)
        found[f"{width}h"] = np.abs(value - reference) * np.sqrt(xx)
    return found


def loop_ratio(hours: Hours, width: int = 72) -> Array:
    """Loop impedance over its reference: 1/a where a share a of everything is still measured."""
    with np.errstate(invalid="ignore", divide="ignore"):
        slope = hours.total("loop_raw", width) / hours.total("loop_xx", width)
        day = hours.total("loop_raw", 24) / hours.total("loop_xx", 24)
    return slope / hours.reference(day, float(hours.learned["loop_ohm"]))


def gain_deviation(hours: Hours, width: int) -> Array:
    """Mean log ratio of V·I to √(P² + Q²) at high load against its reference."""
    usual = float(hours.learned["gain"])
    value = hours.mean("gain", "gain_n", width, 20)
    return value - hours.reference(hours.mean("gain", "gain_n", 24, 60), usual)


def _gain(hours: Hours) -> dict[str, Array]:
    found = {}
    for width in (3, 12, 24, 72, 168):
        n = hours.total("gain_n", width)
        found[f"{width}h"] = np.abs(gain_deviation(hours, width)) * np.sqrt(n / (n + 40))
    return found


def _excess(hours: Hours) -> dict[str, Array]:
    """V·I − √(P² + Q²) at any load against its reference: tampering shows at night too."""
    usual = float(hours.learned["excess"])
    reference = hours.reference(hours.mean("excess", "excess_n", 24, 300), usual)
    return {
        f"{width}h": np.abs(hours.mean("excess", "excess_n", width, 30 * width) - reference)
        for width in (1, 6, 24)
    }


def _voltage_level(hours: Hours) -> dict[str, Array]:
    reference = hours.reference(hours.mean("volt", "volt_n", 24, 600), float(hours.learned["volt"]))
    return {
        f"{width}h": np.abs(hours.mean("volt", "volt_n", width, 30 * width) - reference)
        for width in (12, 24, 72)
    }


def _phase(hours: Hours) -> dict[str, Array]:
    found = {}
    for width in (1, 3, 24):
        q, p = hours.total("phase_q", width), hours.total("phase_p", width)
        found[f"{width}h"] = np.where(p + q > 0.5, np.arctan2(q, np.maximum(p, 0.0)), np.nan)
    return found


PAIRS = ((0, 1), (0, 2), (1, 2))


def exchange_gains(hours: Hours) -> dict[tuple[int, int], Array]:
    """Per hour and pair: log likelihood of the two sub-meters' levels if exchanged, less that as recorded."""
    logs = hours.level_logs()
    levels = [hours.sums[f"levels_{k}"] for k in range(3)]
    own = [(levels[k] * logs[:, k]).sum(1) for k in range(3)]
    return {
        (a, b): (levels[a] * logs[:, b]).sum(1) + (levels[b] * logs[:, a]).sum(1) - own[a] - own[b]
        for a, b in PAIRS
    }


def _swap(hours: Hours) -> dict[str, Array]:
    """How much better two exchanged sub-meters fit their history than the recorded ones do."""
    gains = exchange_gains(hours)
    return {
        f"{width}h": np.max([rolling_sum(gain, width) for gain in gains.values()], axis=0)
        for width in (1, 3, 12, 48)
    }


def strangeness(hours: Hours) -> list[Array]:
    """Per sub-meter and hour: how improbable its levels are by its own history (nats)."""
    logs = hours.level_logs()
    return [-(hours.sums[f"levels_{k}"] * logs[:, k]).sum(1) for k in range(3)]


def _sub_level(hours: Hours) -> dict[str, Array]:
    return {
        f"{sub}_{width}h": rolling_sum(strange, width)
        for sub, strange in zip(ALL_SUBS, strangeness(hours), strict=True)
        for width in (3, 12, 24)
    }


def _silence(hours: Hours) -> dict[str, Array]:
    """Energy the home has used since a sub-meter last moved, over the most it ever used so while learning."""
    return {ALL_SUBS[k]: silent_energy(hours, k) / float(hours.learned["silent_kwh"][k]) for k in range(3)}


def silent_energy(hours: Hours, k: int) -> Array:
    """kWh since sub-meter ``k`` last showed anything, at most 30 days back."""
    energy = np.concatenate([[0.0], np.cumsum(hours.sums["energy"])])
    rows = np.arange(hours.n)
    last = np.maximum.accumulate(np.where(hours.sums[f"levels_{k}"][:, 1:].sum(1) > 0, rows, -1))
    start = np.maximum(np.maximum(last + 1, rows + 1 - 30 * 24), 0)
    return energy[1:] - energy[np.minimum(start, rows + 1)]


def _never_off(hours: Hours) -> dict[str, Array]:
    """Lowest reading of a sub-meter over hours: a heater or machine that never switches off."""
    return {
        f"{sub}_{width}h": np.log(rolling_min(hours.sums[f"{sub}_low"], width) + 0.03)
        for sub in ALL_SUBS
        for width in (3, 6, 12)
    }


def _base(hours: Hours, name: str, direction: float) -> dict[str, Array]:
    def level(width: int) -> Array:
        return np.log(np.maximum(rolling_min(hours.sums[name], width), 0.005))

    reference = hours.reference(level(24), float(hours.learned[name]))
    return {f"{width}h": direction * (level(width) - reference) for width in (6, 12, 24, 48)}


def _base_name(hours: Hours) -> str:
    return "other_low" if "other_low" in hours.sums else "power_low"


def _base_high(hours: Hours) -> dict[str, Array]:
    return _base(hours, _base_name(hours), 1.0)


def _base_low(hours: Hours) -> dict[str, Array]:
    return _base(hours, "power_low", -1.0)


PROFILE_DAYS = 42
FARTHEST_SHIFT_MINUTES = 200


def _daily_profile(day: Array) -> Array:
    """Mean of each slot over the last PROFILE_DAYS days, (days, slots); 0 where fewer than 10 were seen."""
    seen = ~np.isnan(day)
    zero = np.zeros((PROFILE_DAYS, day.shape[1]))
    total = np.concatenate([zero, np.cumsum(np.where(seen, day, 0.0), 0)])
    count = np.concatenate([zero, np.cumsum(seen, 0)])
    n = count[PROFILE_DAYS:] - count[:-PROFILE_DAYS]
    return np.where(n >= 10, (total[PROFILE_DAYS:] - total[:-PROFILE_DAYS]) / np.maximum(n, 1), 0.0)


def shift_scores(hours: Hours, days: int) -> tuple[Array, Array]:
    """Correlation of the last days' supply voltage with its usual daily profile, for each shift of the clock.

    Returns the shifts in minutes, up to FARTHEST_SHIFT_MINUTES either way, and (hours, shifts).
    """
    per = 60 // hours.working_minutes
    slots = 24 * per
    begun = int((hours.first_hour - hours.first_hour.astype("datetime64[D]")).astype(int))
    padded = np.concatenate([np.full(begun * per, np.nan), hours.slots])
    padded = np.concatenate([padded, np.full(-len(padded) % slots, np.nan)])
    profile = _daily_profile(padded.reshape(-1, slots))
    flat = np.concatenate([np.zeros(days * slots), np.nan_to_num(padded)])
    ends = (begun + np.arange(hours.n) + 1) * per  # slots since the first midnight, exclusive
    most = FARTHEST_SHIFT_MINUTES * per // 60
    shifts = np.arange(-most, most + 1)
    out = np.zeros((hours.n, len(shifts)))
    back = np.arange(slots)
    for first in range(hours.from_row, hours.n, 4096):  # bounded memory
        end = ends[first : first + 4096, None]
        newest = end + days * slots - 1 - back
        recent = np.sum([flat[newest - k * slots] for k in range(days)], axis=0)
        fold = np.zeros_like(recent)
        np.put_along_axis(fold, (end - 1 - back) % slots, recent, axis=1)
        row = (end[:, 0] - 1) // slots - days - 1
        usual = np.where(row[:, None] >= 0, profile[np.maximum(row, 0)], 0.0)
        cross = np.fft.irfft(np.fft.rfft(fold) * np.conj(np.fft.rfft(usual)), slots)
        size = np.sqrt((fold**2).sum(1) * (usual**2).sum(1)) + 1e-9
        out[first : first + 4096] = cross[:, shifts] / size[:, None]
    return (shifts * hours.working_minutes).astype(float), out


def _clock(hours: Hours) -> dict[str, Array]:
    found = {}
    for days in (2, 3):
        minutes, scores = shift_scores(hours, days)
        away = np.abs(minutes) >= 10
        found[f"{days}d"] = scores[:, away].max(1) - scores[:, np.abs(minutes) < 10].max(1)
    return found


MONITORS = (
    Monitor("voltage_clock", "meter", "clock", (VOLTAGE,), (VOLTAGE, CURRENT), _clock,
            "the supply voltage's daily pattern comes at another time than usual: the clock is off"),
    Monitor("loop_impedance", "meter", "bypass", (CURRENT,), ELECTRICAL, _loop_impedance,
            "voltage drops by another amount per recorded ampere: part of the load is not measured"),
    Monitor("gain", "meter", "inconsistent", (ACTIVE_POWER,), ELECTRICAL, _gain,
            "recorded power and voltage times current have drifted apart"),
    Monitor("excess", "meter", "inconsistent", (ACTIVE_POWER,), ELECTRICAL, _excess,
            "recorded power no longer explains the current"),
    Monitor("voltage_level", "grid", "voltage", (VOLTAGE,), (VOLTAGE,), _voltage_level,
            "voltage has moved to another level"),
    Monitor("phase_angle", "meter", "phase", (ACTIVE_POWER, REACTIVE_POWER), (REACTIVE_POWER,), _phase,
            "more reactive than active power: the two may be exchanged"),
    Monitor("sub_exchange", "meter", "sub_meter", ALL_SUBS, ALL_SUBS, _swap,
            "two sub-meters look like each other's history"),
    Monitor("sub_level", "meter", "sub_meter", ALL_SUBS, ALL_SUBS, _sub_level,
            "a sub-meter stays at levels its history hardly knows"),
    Monitor("sub_silence", "meter", "sub_meter", ALL_SUBS, ALL_SUBS, _silence,
            "a sub-meter shows nothing while the home uses energy"),
    Monitor("never_off", "behaviour", "load", ALL_SUBS, ALL_SUBS, _never_off,
            "something on a sub-meter never switches off"),
    Monitor("base_load_high", "behaviour", "load", (ACTIVE_POWER,), (), _base_high,
            "the base load is higher than it was: something stays on"),
    Monitor("base_load_low", "behaviour", "load", (ACTIVE_POWER,), (), _base_low,
            "the base load is lower than it ever is"),
)  # fmt: skip
"""Every physical monitor; those whose channels a meter lacks are off."""


def learn(hours: Hours) -> dict[str, Array]:
    """What the monitors fall back on before their references know enough days: medians of the fit."""
    learned: dict[str, npt.ArrayLike] = {}
    for name in ("other_low", "power_low"):
        if name in hours.sums:
            learned[name] = np.nanmedian(np.log(np.maximum(rolling_min(hours.sums[name], 24), 0.005)))
    if "volt" in hours.sums:
        learned["volt"] = np.nanmedian(hours.mean("volt", "volt_n", 24, 600))
    if "gain" in hours.sums:
        gain = hours.mean("gain", "gain_n", 24, 60)
        learned["gain"] = np.nanmedian(gain)
        learned["excess"] = np.nanmedian(hours.mean("excess", "excess_n", 24, 300))
    if "energy" in hours.sums:
        learned["silent_kwh"] = np.array([max(silent_energy(hours, k).max(), 1.0) for k in range(3)])
    return {name: np.asarray(value) for name, value in learned.items()}


def active(channels: tuple[str, ...]) -> tuple[Monitor, ...]:
    """The monitors a meter with these channels has."""
    return tuple(monitor for monitor in MONITORS if set(monitor.needs) <= set(channels))
