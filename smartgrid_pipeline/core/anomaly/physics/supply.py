"""Statistics of the supply: loop impedance, gain of power against current, voltage level, phase angle."""

import numpy as np

from smartgrid_pipeline.core.anomaly.interval_array import Array
from smartgrid_pipeline.core.anomaly.physics.hourly import HourlyAggregates


def loop_impedance(hourly: HourlyAggregates) -> dict[str, Array]:
    """Slope of −ΔV on ΔI (ohms) less its reference, times √ΣΔI² (A), in volts, (hours,) by window.

    The standard error of the slope is σ / √ΣΔI², with σ the scatter of ΔV about it. As long as σ is steady,
    the statistic scatters alike in calm and in busy hours; it is not divided by σ. A load that bypasses the
    meter makes the slope steeper. Only steeper slopes are anomalous.
    """
    learned = float(hourly.learned["loop_ohm"])

    def slope(width: int) -> tuple[Array, Array]:
        xx = hourly.total("loop_xx", width)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(xx > 20 * width / 24, hourly.total("loop_xy", width) / xx, np.nan), xx

    reference = hourly.reference(slope(24)[0], learned)
    found = {}
    for width in (12, 24, 48, 96, 168):
        value, xx = slope(width)
        found[f"{width}h"] = (value - reference) * np.sqrt(xx)
    return found


def loop_ratio(hourly: HourlyAggregates, width: int = 72) -> Array:
    """Loop impedance of the last ``width`` hours, from changes of voltage that are not cut, over its
    reference, (hours,): 1/a where only a share a of the load is measured.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        slope = hourly.total("loop_raw", width) / hourly.total("loop_xx", width)
        day = hourly.total("loop_raw", 24) / hourly.total("loop_xx", 24)
    return slope / hourly.reference(day, float(hourly.learned["loop_ohm"]))


def gain_deviation(hourly: HourlyAggregates, width: int) -> Array:
    """Mean log ratio of V·I to √(P² + Q²) at high load over ``width`` hours, less its reference, (hours,)."""
    learned = float(hourly.learned["gain"])
    value = hourly.mean("gain", "gain_n", width, 20)
    return value - hourly.reference(hourly.mean("gain", "gain_n", 24, 60), learned)


def gain(hourly: HourlyAggregates) -> dict[str, Array]:
    """Size of the gain deviation at high load, shrunk towards 0 where it rests on few minutes."""
    found = {}
    for width in (3, 12, 24, 72, 168):
        minutes = hourly.total("gain_n", width) * hourly.step_minutes
        found[f"{width}h"] = np.abs(gain_deviation(hourly, width)) * np.sqrt(minutes / (minutes + 40))
    return found


def excess(hourly: HourlyAggregates) -> dict[str, Array]:
    """Size of V·I − √(P² + Q²) at any load, less its reference, kVA: tampering shows at night too."""
    learned = float(hourly.learned["excess"])
    reference = hourly.reference(hourly.mean("excess", "excess_n", 24, 300), learned)
    return {
        f"{width}h": np.abs(hourly.mean("excess", "excess_n", width, 30 * width) - reference)
        for width in (1, 6, 24)
    }


def voltage_reference(hourly: HourlyAggregates) -> Array:
    """Median daily mean voltage of the reference days, V, (hours,)."""
    return hourly.reference(hourly.mean("volt", "volt_n", 24, 600), float(hourly.learned["volt"]))


def voltage_level(hourly: HourlyAggregates) -> dict[str, Array]:
    """Distance of the mean voltage over some hours from its reference, V."""
    reference = voltage_reference(hourly)
    return {
        f"{width}h": np.abs(hourly.mean("volt", "volt_n", width, 30 * width) - reference)
        for width in (12, 24, 72)
    }


def phase(hourly: HourlyAggregates) -> dict[str, Array]:
    """Angle between active and reactive energy over some hours, radians."""
    found = {}
    for width in (1, 3, 24):
        q, p = hourly.total("phase_q", width), hourly.total("phase_p", width)
        found[f"{width}h"] = np.where(p + q > 0.5, np.arctan2(q, np.maximum(p, 0.0)), np.nan)
    return found
