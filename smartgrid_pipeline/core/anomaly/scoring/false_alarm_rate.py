"""How the budget of false alarms is split over voices: physics that separates well needs little of it."""

from collections.abc import Iterable

SHARES = {
    "ensemble": 0.36,
    "base_load_high": 0.26,
    "steady_load_high": 0.06,
    "base_load_low": 0.06,
    "sub_silence": 0.08,
    "never_off": 0.06,
    "sub_exchange": 0.05,
    "sub_rest": 0.04,
    "loop_impedance": 0.06,
    "voltage_clock": 0.05,
    "gain": 0.02,
    "flat": 0.01,
}
SMALL_SHARE = 0.005

DRIFT = 1.8
"""Homes change: thresholds alarm about so many times more often in the year after they were set."""


def shares(voices: Iterable[str]) -> dict[str, float]:
    """Each voice's share; what is not named separates so well that a little will do."""
    return {name: SHARES.get(name, SMALL_SHARE) for name in voices}


def spent(budget_per_month: float) -> float:
    """Alarms a month to allow on the calibration years, so that later ones keep the promise."""
    return budget_per_month / DRIFT
