"""Statistics of sub-meters and of loads that stay on or go missing."""

import numpy as np
import numpy.typing as npt

from smartgrid_pipeline.core.anomaly.interval_array import (
    ALL_SUBS,
    Array,
    rolling_max,
    rolling_min,
    rolling_sum,
)
from smartgrid_pipeline.core.anomaly.physics import submeter_levels
from smartgrid_pipeline.core.anomaly.physics.hours import HourlyAggregates

PAIRS = ((0, 1), (0, 2), (1, 2))
LONGEST_SILENCE_HOURS = 8 * 24


def exchange_gains(hours: HourlyAggregates) -> dict[tuple[int, int], Array]:
    """Per hour and pair: how much more likely the two sub-meters' moves are if exchanged (bounded nats)."""
    gains = submeter_levels.preferences(hours) * present(hours)[:, None, None]
    return {(a, b): gains[:, a, b] + gains[:, b, a] for a, b in PAIRS}


def exchange(hours: HourlyAggregates) -> dict[str, Array]:
    """How much better two exchanged sub-meters fit their history than the recorded ones do."""
    gains = exchange_gains(hours)
    return {
        f"{width}h": np.max([rolling_sum(gain, width) for gain in gains.values()], axis=0)
        for width in (1, 3, 6, 12, 48)
    }


def rest_strangeness(hours: HourlyAggregates) -> list[Array]:
    """Per sub-meter and hour: how much rarer than KNOWN_NATS the level is that it never left downwards."""
    at_home = present(hours)
    return [np.maximum(nats - KNOWN_NATS, 0.0) * at_home for nats in submeter_levels.rest_surprises(hours)]


KNOWN_NATS = 5.0
"""A level seen in one of 150 hours is known: to rest on it for long is what ``never_off`` is about."""


def rest(hours: HourlyAggregates) -> dict[str, Array]:
    """Rarity of the levels on which each sub-meter rested over some hours."""
    return {
        f"{sub}_{width}h": rolling_sum(strange, width)
        for sub, strange in zip(ALL_SUBS, rest_strangeness(hours), strict=True)
        for width in (4, 8, 24)
    }


def silence(hours: HourlyAggregates) -> dict[str, Array]:
    """How seldom a sub-meter showed anything, and how much the home has used since it did, against the
    extremes of the reference days.
    """
    found = {}
    for k, sub in enumerate(ALL_SUBS):
        for width in (6, 12, 24, 72):
            shown = shown_share(hours, k, width)
            least = -hours.reference_most(-shown, 0.0)
            found[f"{sub}_{width}h"] = np.maximum(np.log((least + RARELY) / (shown + RARELY)), NOT_RARE)
        used = silent_energy(hours, k)
        most = hours.reference_most(used, float(hours.learned["silent_kwh"][k]))
        beyond = np.where(used > LITTLE_KWH, np.log((np.maximum(used, 0.0) + 0.5) / (most + 0.5)), NOT_RARE)
        found[f"{sub}_kwh"] = np.maximum(beyond, NOT_RARE)
    return found


NOT_RARE = 0.0
"""What stays within the extremes of the reference days says nothing."""

LITTLE_KWH = 1.0
"""So little may be used while a sub-meter that otherwise never rests shows nothing."""


RARELY = 0.003
"""A sub-meter that shows something in a smaller share of its readings is as good as silent."""


def shown_share(hours: HourlyAggregates, k: int, width: int) -> Array:
    """Share of the readings in which sub-meter ``k`` showed anything, over the last hours with somebody at
    home; NaN where these are under half.
    """
    at_home = present(hours)
    heard = rolling_sum(hours.sums[f"heard_{k}"] * at_home, width)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = rolling_sum(hours.sums[f"shown_{k}"] * at_home, width) / heard
    return np.where((heard * hours.step_minutes >= 30 * width) & (at_home == 1), share, np.nan)


def _last_shown(hours: HourlyAggregates, k: int) -> Array:
    rows = np.arange(hours.n)
    last = np.maximum.accumulate(np.where(hours.sums[f"shown_{k}"] > 0, rows, -1))
    return np.maximum(np.maximum(last + 1, rows + 1 - LONGEST_SILENCE_HOURS), 0)


def silent_energy(hours: HourlyAggregates, k: int) -> Array:
    """kWh since sub-meter ``k`` last showed anything, at most eight days back."""
    energy = np.concatenate([[0.0], np.cumsum(hours.sums["energy"])])
    return energy[1:] - energy[np.minimum(_last_shown(hours, k), np.arange(1, hours.n + 1))]


def never_off(hours: HourlyAggregates) -> dict[str, Array]:
    """Lowest reading of a sub-meter over hours: a heater or machine that never switches off."""
    return {
        f"{sub}_{width}h": np.log(rolling_min(hours.sums[f"{sub}_low"], width) + 0.03)
        for sub in ALL_SUBS
        for width in (3, 6, 12, 24)
    }


FLOOR_KW = 0.1
"""Added before logarithms: below it a base load is as good as none."""


def floor(hours: HourlyAggregates, name: str, width: int) -> Array:
    """Log of the lowest reading over some hours, kW."""
    return np.log(np.maximum(rolling_min(hours.sums[name], width), 0.0) + FLOOR_KW)


HABIT_DAYS = 21
"""A base load that has lasted for most of these is the home's new habit, not an alarm."""


def _floors(
    hours: HourlyAggregates, name: str, direction: float, widths: tuple[int, ...]
) -> dict[str, Array]:
    reference = hours.reference(floor(hours, name, 24), float(hours.learned[name]), HABIT_DAYS)
    return {f"{width}h": direction * (floor(hours, name, width) - reference) for width in widths}


def base_name(hours: HourlyAggregates) -> str:
    """What a home uses beside its sub-meters, where there are any."""
    return "other_base" if "other_base" in hours.sums else "power_base"


def base_high(hours: HourlyAggregates) -> dict[str, Array]:
    """Lowest load over hours against that of the reference days: something stays on, longer than a party."""
    return _floors(hours, base_name(hours), 1.0, (10, 14, 24, 48))


def steady_high(hours: HourlyAggregates) -> dict[str, Array]:
    """A higher base load that hardly moves from hour to hour: shorter than a party, but too even for one."""
    name = base_name(hours)
    found = {}
    for width in (6, 8):
        low, high = rolling_min(hours.sums[name], width), rolling_max(hours.sums[name], width)
        even = high - low <= EVEN_KW
        found[f"{width}h"] = np.where(even, _floors(hours, name, 1.0, (width,))[f"{width}h"], -1.0)
    return found


EVEN_KW = 0.05
"""Guests, however many, use more than this more or less from hour to hour."""


def base_low(hours: HourlyAggregates) -> dict[str, Array]:
    """The same downwards: what always ran is gone."""
    return _floors(hours, "power_base", -1.0, (6, 12, 24, 48))


SMALLEST_RANGE_KW = 0.001
EMPTY_HOURS = 8
EMPTY_KW = 0.4


def empty(hours: HourlyAggregates) -> npt.NDArray[np.bool_]:
    """Hours at whose end nobody seems to have been at home for long: nothing but the base load for
    EMPTY_HOURS. What an empty home does not use proves nothing.
    """
    usual = np.exp(hours.reference(floor(hours, "power_base", 24), float(hours.learned["power_base"])))
    with np.errstate(invalid="ignore"):
        return rolling_max(hours.sums["power_high"], EMPTY_HOURS) < 2 * (usual - FLOOR_KW) + EMPTY_KW


def present(hours: HourlyAggregates) -> Array:
    """1 in hours with somebody at home, else 0."""
    return (~empty(hours)).astype(float)


def power_range(hours: HourlyAggregates, width: int) -> Array:
    """Highest less lowest reading of power over some hours, NaN where any of them is missing."""
    high, low = rolling_max(hours.sums["power_high"], width), rolling_min(hours.sums["power_low"], width)
    full = rolling_sum((~np.isnan(hours.sums["power_low"])).astype(float), width) == width
    return np.where(full, high - low, np.nan)


def flat(hours: HourlyAggregates) -> dict[str, Array]:
    """How much less power has moved over hours, near zero or not, than it does in a very quiet hour."""
    quiet = float(hours.learned["quiet_range_kw"])
    return {
        f"{width}h": np.log((quiet + SMALLEST_RANGE_KW) / (np.minimum(moved, quiet) + SMALLEST_RANGE_KW))
        for width in (3, 6, 12, 24)
        for moved in [power_range(hours, width)]
    }
