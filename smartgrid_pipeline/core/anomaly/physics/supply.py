"""Statistics of the supply: loop impedance, gain, level of the voltage, phase angle."""

import numpy as np

from smartgrid_pipeline.core.anomaly.interval_array import Array
from smartgrid_pipeline.core.anomaly.physics.hours import HourlyAggregates


def loop_impedance(hours: HourlyAggregates) -> dict[str, Array]:
    """Slope of −ΔV on ΔI less its reference, times √ΣΔI²: in proportion to its own uncertainty.

    What bypasses the meter makes it steeper; a gentler slope says nothing of that.
    """
    usual = float(hours.learned["loop_ohm"])

    def slope(width: int) -> tuple[Array, Array]:
        xx = hours.total("loop_xx", width)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(xx > 20 * width / 24, hours.total("loop_xy", width) / xx, np.nan), xx

    reference = hours.reference(slope(24)[0], usual)
    found = {}
    for width in (12, 24, 48, 96, 168):
        value, xx = slope(width)
        found[f"{width}h"] = (value - reference) * np.sqrt(xx)
    return found


def loop_ratio(hours: HourlyAggregates, width: int = 72) -> Array:
    """Loop impedance over its reference: 1/a where a share a of everything is still measured."""
    with np.errstate(invalid="ignore", divide="ignore"):
        slope = hours.total("loop_raw", width) / hours.total("loop_xx", width)
        day = hours.total("loop_raw", 24) / hours.total("loop_xx", 24)
    return slope / hours.reference(day, float(hours.learned["loop_ohm"]))


def gain_deviation(hours: HourlyAggregates, width: int) -> Array:
    """Mean log ratio of V·I to √(P² + Q²) at high load against its reference."""
    usual = float(hours.learned["gain"])
    value = hours.mean("gain", "gain_n", width, 20)
    return value - hours.reference(hours.mean("gain", "gain_n", 24, 60), usual)


def gain(hours: HourlyAggregates) -> dict[str, Array]:
    """Deviation of the gain at high load, shrunk where few readings stand behind it."""
    found = {}
    for width in (3, 12, 24, 72, 168):
        n = hours.total("gain_n", width) * hours.step_minutes
        found[f"{width}h"] = np.abs(gain_deviation(hours, width)) * np.sqrt(n / (n + 40))
    return found


def excess(hours: HourlyAggregates) -> dict[str, Array]:
    """V·I − √(P² + Q²) at any load against its reference: tampering shows at night too."""
    usual = float(hours.learned["excess"])
    reference = hours.reference(hours.mean("excess", "excess_n", 24, 300), usual)
    return {
        f"{width}h": np.abs(hours.mean("excess", "excess_n", width, 30 * width) - reference)
        for width in (1, 6, 24)
    }


def voltage_level(hours: HourlyAggregates) -> dict[str, Array]:
    """Mean voltage over hours against its reference."""
    reference = hours.reference(hours.mean("volt", "volt_n", 24, 600), float(hours.learned["volt"]))
    return {
        f"{width}h": np.abs(hours.mean("volt", "volt_n", width, 30 * width) - reference)
        for width in (12, 24, 72)
    }


def phase(hours: HourlyAggregates) -> dict[str, Array]:
    """Angle between active and reactive energy over hours."""
    found = {}
    for width in (1, 3, 24):
        q, p = hours.total("phase_q", width), hours.total("phase_p", width)
        found[f"{width}h"] = np.where(p + q > 0.5, np.arctan2(q, np.maximum(p, 0.0)), np.nan)
    return found
