"""Magnitude and duration that each fault type is drawn from, its class, and the layer expected to find it."""

from dataclasses import dataclass

import numpy as np

HOUR, DAY = 60, 1440


@dataclass(frozen=True)
class FaultType:
    """Range of magnitudes (drawn uniformly, or from ``choices``) and durations in minutes (log-uniformly)."""

    magnitude: tuple[float, float]
    minutes: tuple[int, int]
    fault_class: str
    tier: str
    choices: tuple[float, ...] = ()
    either_sign: bool = False

    def draw(self, rng: np.random.Generator) -> tuple[float, np.timedelta64]:
        """One random magnitude and duration."""
        low, high = self.magnitude
        size = float(rng.choice(self.choices)) if self.choices else float(rng.uniform(low, high))
        if self.either_sign and rng.random() < 0.5:
            size = -size
        minutes = np.exp(rng.uniform(np.log(self.minutes[0]), np.log(self.minutes[1])))
        return size, np.timedelta64(round(float(minutes)), "m")


NONE = (0.0, 0.0)
DAYS_3_14 = (3 * DAY, 14 * DAY)

FAULT_TYPES: dict[str, FaultType] = {
    "stuck_all": FaultType(NONE, (30, DAY), "frozen", "rules"),
    "stuck_V": FaultType(NONE, (30, DAY), "frozen", "rules"),
    "stuck_P": FaultType(NONE, (30, DAY), "frozen", "rules"),
    "stuck_I": FaultType(NONE, (30, DAY), "frozen", "rules"),
    "dropout_zero": FaultType(NONE, (15, DAY), "missing", "rules"),
    "zero_P_keep_I": FaultType(NONE, (15, DAY), "missing", "rules"),
    "gap_catch_up": FaultType(NONE, (HOUR, DAY), "missing", "rules"),
    "spike": FaultType((3, 10), (1, 5), "inconsistent", "rules"),
    "negative_spike": FaultType((0.6, 1.6), (1, 5), "sign", "rules"),
    "linear_fill": FaultType(NONE, (6 * HOUR, 2 * DAY), "copied", "rules"),
    "duplicate_day": FaultType(NONE, (20, 5 * DAY), "copied", "rules"),
    "duplicate_day_lsb": FaultType(NONE, (20, 5 * DAY), "copied", "rules"),
    "dst_repeat": FaultType(NONE, (HOUR, HOUR + 1), "copied", "rules"),
    "clock_shift": FaultType((15, 180), DAYS_3_14, "clock", "physics", either_sign=True),
    "gain_step": FaultType((0.02, 0.2), (DAY, 30 * DAY), "inconsistent", "physics", either_sign=True),
    "gain_drift": FaultType((0.02, 0.2), (DAY, 30 * DAY), "inconsistent", "physics", either_sign=True),
    "voltage_bias": FaultType((3, 8), (DAY, 30 * DAY), "voltage", "physics", either_sign=True),
    "noise": FaultType((0.01, 0.1), (DAY, 30 * DAY), "inconsistent", "physics"),
    "tamper_P": FaultType((0.1, 0.8), DAYS_3_14, "inconsistent", "physics"),
    "theft_h2": FaultType(NONE, DAYS_3_14, "missing", "rules"),
    "theft_h3": FaultType(NONE, DAYS_3_14, "inconsistent", "rules"),
    "theft_h4": FaultType(NONE, DAYS_3_14, "inconsistent", "rules"),
    "theft_h5": FaultType(NONE, DAYS_3_14, "frozen", "rules"),
    "theft_h6": FaultType(NONE, DAYS_3_14, "inconsistent", "rules"),
    "bypass": FaultType((0.1, 0.9), DAYS_3_14, "bypass", "physics"),
    "reverse_ct": FaultType(NONE, (HOUR, 7 * DAY), "sign", "rules"),
    "swap_sub": FaultType(NONE, (HOUR, 7 * DAY), "sub_meter", "physics"),
    "swap_PQ": FaultType(NONE, (HOUR, 7 * DAY), "phase", "physics"),
    "unit_error": FaultType(NONE, (HOUR, 7 * DAY), "unit", "rules", choices=(60.0, 1 / 60, 1000.0, 5.0)),
    "sag": FaultType((0.75, 0.895), (5, HOUR), "voltage", "rules"),
    "swell": FaultType((1.105, 1.2), (5, HOUR), "voltage", "rules"),
    "stuck_on": FaultType((0.15, 2.0), (6 * HOUR, 14 * DAY), "load", "ensemble"),
    "heater_stuck": FaultType((0.15, 2.0), (6 * HOUR, 14 * DAY), "load", "ensemble"),
    "no_standby": FaultType((0.15, 2.0), (6 * HOUR, 14 * DAY), "load", "ensemble"),
    "sub_dead": FaultType(NONE, (6 * HOUR, 14 * DAY), "sub_meter", "physics"),
    "sub_gt_total": FaultType((0.15, 2.0), (6 * HOUR, 14 * DAY), "sub_meter", "rules"),
}  # fmt: skip
"""Every fault type by name; log-uniform durations give short events the same weight as long ones."""

BENIGN_TYPES: dict[str, FaultType] = {
    "vacation": FaultType(NONE, DAYS_3_14, "benign", "benign"),
    "party": FaultType((0.5, 2.0), (4 * HOUR, 9 * HOUR), "benign", "benign"),
    "heat_wave": FaultType((0.6, 1.2), (3 * DAY, 10 * DAY), "benign", "benign"),
    "new_appliance": FaultType((0.1, 0.6), DAYS_3_14, "benign", "benign"),
}
"""Changes of normal use that should raise no alarm."""
