"""Statistics of sub-meters, and of loads that stay on or are missing."""

import numpy as np

from smartgrid_pipeline.core.anomaly.interval_array import (
    ALL_SUBS,
    Array,
    Flags,
)
from smartgrid_pipeline.core.anomaly.physics import submeter_levels
from smartgrid_pipeline.core.anomaly.physics.hourly import HourlyAggregates
from smartgrid_pipeline.core.features.rolling import rolling_max, rolling_min, rolling_sum

PAIRS = ((0, 1), (0, 2), (1, 2))
MAX_SILENCE_HOURS = 8 * 24

LEARNED_MINUTES = 20 * 1440
"""Weight, in minutes of readings, of the learned counts where reference days are missing."""

DWELL_HOURS = 20 * 24.0
"""The same for dwell levels, in hours."""

MIN_LOG = -9.0
MAX_NATS = 1.5
"""Bound on the evidence of one minute for an exchange of two sub-meters."""

COMMON_NATS = 5.0
"""A dwell level seen in one of 150 hours is common; to stay on it for long is what ``never_off`` finds."""

FLOOR_KW = 0.1
"""Added before logarithms: below it a base load is as good as none."""

HABIT_DAYS = 21
"""A base load that has lasted for most of these days is the home's new normal, not an alarm."""

MIN_USED_KWH = 1.0
"""Energy a home must have used before the silence of a sub-meter means anything."""

SILENT_SHARE = 0.003
"""A sub-meter that is above zero in a smaller share of its readings is as good as silent."""

WITHIN_EXTREMES = 0.0
"""Statistic of what stays within the extremes of the reference days."""

STEADY_KW = 0.05
"""Guests make the base load vary by more than this from hour to hour."""

MIN_RANGE_KW = 0.001
EMPTY_HOURS = 8
EMPTY_KW = 0.4


# --- presence ----------------------------------------------------------------------------------------


def is_vacant(hourly: HourlyAggregates) -> Flags:
    """Whether power stayed near base load for EMPTY_HOURS, (hours,) bool."""
    reference = hourly.reference(log_floor(hourly, "power_base", 24), float(hourly.learned["power_base"]))
    base_kw = np.exp(reference) - FLOOR_KW
    with np.errstate(invalid="ignore"):
        return rolling_max(hourly.sums["power_high"], EMPTY_HOURS) < 2 * base_kw + EMPTY_KW


def occupied(hourly: HourlyAggregates) -> Array:
    """0 in hours in which the home is vacant, else 1, (hours,)."""
    return (~is_vacant(hourly)).astype(float)


# --- levels of sub-meters ---------------------------------------------------------------------------


def _log_probabilities(
    hourly: HourlyAggregates, name: str, learned_mass: float, blur: Array | None = None
) -> Array:
    """Log share of each cell of ``name`` on a sub-meter's own reference days, (days + 1, 3, cells).

    Missing reference days are filled with the learned counts, scaled to ``learned_mass`` in all. Row 0 is
    before the first reference day; ``HourlyAggregates.reference_day() + 1`` is the row of an hour.
    """
    learned = hourly.learned[f"submeter_{name}"]
    learned = learned / np.maximum(learned.sum(1, keepdims=True), 1.0) * learned_mass
    logs = []
    for k in range(3):
        daily = hourly.reference_sums(hourly.sums[f"{name}_{k}"])
        missing = np.clip(1 - daily.sum(1) / learned_mass, 0, 1)
        counts = daily + missing[:, None] * learned[k]
        counts = (counts if blur is None else counts @ blur) + 0.2
        logs.append(np.log(counts / counts.sum(1, keepdims=True)))
    return np.maximum(np.stack(logs, axis=1), MIN_LOG)


def _rows_by_day(hourly: HourlyAggregates, days: int) -> list[tuple[int, slice]]:
    """Hours that share a reference day: its row in ``_log_probabilities``, and the rows of the hours."""
    row = np.clip(hourly.reference_day() + 1, 0, days - 1)
    starts = np.flatnonzero(np.diff(row, prepend=-1))
    ends = np.append(starts[1:], hourly.n)
    return [(int(row[a]), slice(int(a), int(b))) for a, b in zip(starts, ends, strict=True)]


def log_likelihood_ratios(hourly: HourlyAggregates) -> Array:
    """Log likelihood of what sub-meter ``a`` recorded under the history of ``b``, less that under its own;
    nats per hour, (hours, a, b). Each transition is bounded by MAX_NATS a minute.
    """
    logs = _log_probabilities(hourly, "transitions", LEARNED_MINUTES / hourly.step_minutes)
    out = np.zeros((hourly.n, 3, 3))
    for day, rows in _rows_by_day(hourly, len(logs)):
        for a in range(3):
            ratios = np.clip(logs[day] - logs[day, a], -MAX_NATS, MAX_NATS)
            out[rows, a] = hourly.sums[f"transitions_{a}"][rows] @ ratios.T
    return out * hourly.step_minutes


def dwell_surprisal(hourly: HourlyAggregates) -> list[Array]:
    """Surprisal (nats) of the lowest power level each sub-meter stayed at or above in each hour, (hours,).

    −log of the share of that level on the sub-meter's reference days; 0 in hours without readings.
    """
    logs = _log_probabilities(hourly, "dwell", DWELL_HOURS, submeter_levels.BLUR)
    out = np.zeros((3, hourly.n))
    for day, rows in _rows_by_day(hourly, len(logs)):
        for k in range(3):
            out[k, rows] = -(hourly.sums[f"dwell_{k}"][rows] @ logs[day, k])
    return list(out)


def exchange_gains(hourly: HourlyAggregates) -> dict[tuple[int, int], Array]:
    """Per pair of sub-meters: how much likelier their level transitions are if exchanged, nats per hour."""
    gains = log_likelihood_ratios(hourly) * occupied(hourly)[:, None, None]
    return {(a, b): gains[:, a, b] + gains[:, b, a] for a, b in PAIRS}


def exchange(hourly: HourlyAggregates) -> dict[str, Array]:
    """Largest exchange gain of any pair over some hours, nats."""
    gains = exchange_gains(hourly)
    return {
        f"{width}h": np.max([rolling_sum(gain, width) for gain in gains.values()], axis=0)
        for width in (1, 3, 6, 12, 48)
    }


def rare_dwell(hourly: HourlyAggregates) -> list[Array]:
    """Per sub-meter: surprisal of its dwell level beyond COMMON_NATS in hours that are not vacant, nats."""
    at_home = occupied(hourly)
    return [np.maximum(nats - COMMON_NATS, 0.0) * at_home for nats in dwell_surprisal(hourly)]


def dwell(hourly: HourlyAggregates) -> dict[str, Array]:
    """Summed surprisal of the levels each sub-meter stayed on over some hours, nats."""
    return {
        f"{sub}_{width}h": rolling_sum(nats, width)
        for sub, nats in zip(ALL_SUBS, rare_dwell(hourly), strict=True)
        for width in (4, 8, 24)
    }


def silence_ratios(hourly: HourlyAggregates) -> dict[str, Array]:
    """Log ratios of how long a sub-meter has been silent to the extremes of the reference days.

    By the share of readings above zero over some hours, and by the energy that the home has used since the
    sub-meter was last above zero.
    """
    found = {}
    for k, sub in enumerate(ALL_SUBS):
        for width in (6, 12, 24, 72):
            share = active_share(hourly, k, width)
            lowest = -hourly.reference_max(-share, 0.0)
            ratio = np.log((lowest + SILENT_SHARE) / (share + SILENT_SHARE))
            found[f"{sub}_{width}h"] = np.maximum(ratio, WITHIN_EXTREMES)
        used = silent_energy(hourly, k)
        highest = hourly.reference_max(used, float(hourly.learned["silent_kwh"][k]))
        ratio = np.log((np.maximum(used, 0.0) + 0.5) / (highest + 0.5))
        found[f"{sub}_kwh"] = np.maximum(
            np.where(used > MIN_USED_KWH, ratio, WITHIN_EXTREMES), WITHIN_EXTREMES
        )
    return found


def active_share(hourly: HourlyAggregates, k: int, width: int) -> Array:
    """Share of the readings of sub-meter ``k`` above zero, over the last ``width`` hours that are not
    vacant; NaN where fewer than half of these are known, and in vacant hours.
    """
    at_home = occupied(hourly)
    observed = rolling_sum(hourly.sums[f"observed_{k}"] * at_home, width)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = rolling_sum(hourly.sums[f"active_{k}"] * at_home, width) / observed
    return np.where((observed * hourly.step_minutes >= 30 * width) & (at_home == 1), share, np.nan)


def silent_energy(hourly: HourlyAggregates, k: int) -> Array:
    """kWh the home has used since sub-meter ``k`` was last above zero, at most MAX_SILENCE_HOURS back."""
    energy = np.concatenate([[0.0], np.cumsum(hourly.sums["energy"])])
    rows = np.arange(hourly.n)
    last_active = np.maximum.accumulate(np.where(hourly.sums[f"active_{k}"] > 0, rows, -1))
    since = np.maximum(np.maximum(last_active + 1, rows + 1 - MAX_SILENCE_HOURS), 0)
    return energy[1:] - energy[np.minimum(since, rows + 1)]


def never_off(hourly: HourlyAggregates) -> dict[str, Array]:
    """Log of a sub-meter's lowest reading over some hours: high for what never switches off."""
    return {
        f"{sub}_{width}h": np.log(rolling_min(hourly.sums[f"{sub}_low"], width) + 0.03)
        for sub in ALL_SUBS
        for width in (3, 6, 12, 24)
    }


# --- base load ---------------------------------------------------------------------------------------


def log_floor(hourly: HourlyAggregates, name: str, width: int) -> Array:
    """Log of the lowest value (kW) of ``name`` over some hours, (hours,)."""
    return np.log(np.maximum(rolling_min(hourly.sums[name], width), 0.0) + FLOOR_KW)


def _base_change(
    hourly: HourlyAggregates, name: str, direction: float, widths: tuple[int, ...]
) -> dict[str, Array]:
    reference = hourly.reference(log_floor(hourly, name, 24), float(hourly.learned[name]), HABIT_DAYS)
    return {f"{width}h": direction * (log_floor(hourly, name, width) - reference) for width in widths}


def _base_name(hourly: HourlyAggregates) -> str:
    """The load beside the sub-meters where there are any, else the total."""
    return "other_base" if "other_base" in hourly.sums else "power_base"


def base_high(hourly: HourlyAggregates) -> dict[str, Array]:
    """Log ratio of minimum load to its reference, per window, (hours,). Windows exceed the length of usual
    evening peaks.
    """
    return _base_change(hourly, _base_name(hourly), 1.0, (10, 14, 24, 48))


def steady_high(hourly: HourlyAggregates) -> dict[str, Array]:
    """As base_high over shorter windows, where the base load varies by less than STEADY_KW; −1 elsewhere."""
    name = _base_name(hourly)
    found = {}
    for width in (6, 8):
        low, high = rolling_min(hourly.sums[name], width), rolling_max(hourly.sums[name], width)
        change = _base_change(hourly, name, 1.0, (width,))[f"{width}h"]
        found[f"{width}h"] = np.where(high - low <= STEADY_KW, change, -1.0)
    return found


def base_low(hourly: HourlyAggregates) -> dict[str, Array]:
    """Log ratio of the reference to the minimum load, per window; high when a permanent load is missing."""
    return _base_change(hourly, "power_base", -1.0, (6, 12, 24, 48))


def power_range(hourly: HourlyAggregates, width: int) -> Array:
    """Highest less lowest power over ``width`` hours, kW; NaN where an hour among them has no reading."""
    high, low = rolling_max(hourly.sums["power_high"], width), rolling_min(hourly.sums["power_low"], width)
    full = rolling_sum((~np.isnan(hourly.sums["power_low"])).astype(float), width) == width
    return np.where(full, high - low, np.nan)


def flatness(hourly: HourlyAggregates) -> dict[str, Array]:
    """Log ratio of the power range of a very calm hour to that of each window, (hours,); 0 where the window's
    range is larger.
    """
    calm = float(hourly.learned["calm_range_kw"])
    return {
        f"{width}h": np.log((calm + MIN_RANGE_KW) / (np.minimum(moved, calm) + MIN_RANGE_KW))
        for width in (3, 6, 12, 24)
        for moved in [power_range(hourly, width)]
    }
