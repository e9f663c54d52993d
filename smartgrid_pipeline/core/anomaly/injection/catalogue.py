"""What each fault kind is drawn from: magnitude, duration, its class, and the layer whose job it is."""

from dataclasses import dataclass

import numpy as np

HOUR, DAY = 60, 1440


@dataclass(frozen=True)
class Kind:
    """Range of magnitudes (drawn uniformly, or from ``choices``) and durations in minutes (log-uniformly)."""

    magnitude: tuple[float, float]
    minutes: tuple[int, int]
    fault_class: str
    tier: str
    choices: tuple[float, ...] = ()
    either_sign: bool = False

    def draw(self, rng: np.random.Generator) -> tuple[float, np.timedelta64]:
        """One magnitude and duration."""
        low, high = self.magnitude
        size = float(rng.choice(self.choices)) if self.choices else float(rng.uniform(low, high))
        if self.either_sign and rng.random() < 0.5:
            size = -size
        minutes = np.exp(rng.uniform(np.log(self.minutes[0]), np.log(self.minutes[1])))
        return size, np.timedelta64(round(float(minutes)), "m")


NONE = (0.0, 0.0)
DAYS_3_14 = (3 * DAY, 14 * DAY)

KINDS: dict[str, Kind] = {
    "stuck_all": Kind(NONE, (30, DAY), "frozen", "rules"),
    "stuck_V": Kind(NONE, (30, DAY), "frozen", "rules"),
    "stuck_P": Kind(NONE, (30, DAY), "frozen", "rules"),
    "stuck_I": Kind(NONE, (30, DAY), "frozen", "rules"),
    "dropout_zero": Kind(NONE, (15, DAY), "missing", "rules"),
    "zero_P_keep_I": Kind(NONE, (15, DAY), "missing", "rules"),
    "gap_catch_up": Kind(NONE, (HOUR, DAY), "missing", "rules"),
    "spike": Kind((3, 10), (1, 5), "inconsistent", "rules"),
    "negative_spike": Kind((0.6, 1.6), (1, 5), "sign", "rules"),
    "linear_fill": Kind(NONE, (6 * HOUR, 2 * DAY), "copied", "rules"),
    "duplicate_day": Kind(NONE, (20, 5 * DAY), "copied", "rules"),
    "duplicate_day_lsb": Kind(NONE, (20, 5 * DAY), "copied", "rules"),
    "dst_repeat": Kind(NONE, (HOUR, HOUR + 1), "copied", "rules"),
    "clock_shift": Kind((15, 180), DAYS_3_14, "clock", "physics", either_sign=True),
    "gain_step": Kind((0.02, 0.2), (DAY, 30 * DAY), "inconsistent", "physics", either_sign=True),
    "gain_drift": Kind((0.02, 0.2), (DAY, 30 * DAY), "inconsistent", "physics", either_sign=True),
    "voltage_bias": Kind((3, 8), (DAY, 30 * DAY), "voltage", "physics", either_sign=True),
    "noise": Kind((0.01, 0.1), (DAY, 30 * DAY), "inconsistent", "physics"),
    "tamper_P": Kind((0.1, 0.8), DAYS_3_14, "inconsistent", "physics"),
    "theft_h2": Kind(NONE, DAYS_3_14, "missing", "rules"),
    "theft_h3": Kind(NONE, DAYS_3_14, "inconsistent", "rules"),
    "theft_h4": Kind(NONE, DAYS_3_14, "inconsistent", "rules"),
    "theft_h5": Kind(NONE, DAYS_3_14, "frozen", "rules"),
    "theft_h6": Kind(NONE, DAYS_3_14, "inconsistent", "rules"),
    "bypass": Kind((0.1, 0.9), DAYS_3_14, "bypass", "physics"),
    "reverse_ct": Kind(NONE, (HOUR, 7 * DAY), "sign", "rules"),
    "swap_sub": Kind(NONE, (HOUR, 7 * DAY), "sub_meter", "physics"),
    "swap_PQ": Kind(NONE, (HOUR, 7 * DAY), "phase", "physics"),
    "unit_error": Kind(NONE, (HOUR, 7 * DAY), "unit", "rules", choices=(60.0, 1 / 60, 1000.0, 5.0)),
    "sag": Kind((0.75, 0.895), (5, HOUR), "voltage", "rules"),
    "swell": Kind((1.105, 1.2), (5, HOUR), "voltage", "rules"),
    "stuck_on": Kind((0.15, 2.0), (6 * HOUR, 14 * DAY), "load", "ensemble"),
    "heater_stuck": Kind((0.15, 2.0), (6 * HOUR, 14 * DAY), "load", "ensemble"),
    "no_standby": Kind((0.15, 2.0), (6 * HOUR, 14 * DAY), "load", "ensemble"),
    "sub_dead": Kind(NONE, (6 * HOUR, 14 * DAY), "sub_meter", "physics"),
    "sub_gt_total": Kind((0.15, 2.0), (6 * HOUR, 14 * DAY), "sub_meter", "rules"),
}  # fmt: skip
"""Every fault kind; log-uniform durations give short events the same weight as long ones."""

BENIGN_KINDS: dict[str, Kind] = {
    "vacation": Kind(NONE, DAYS_3_14, "benign", "benign"),
    "party": Kind((0.5, 2.0), (4 * HOUR, 9 * HOUR), "benign", "benign"),
    "heat_wave": Kind((0.6, 1.2), (3 * DAY, 10 * DAY), "benign", "benign"),
    "new_appliance": Kind((0.1, 0.6), DAYS_3_14, "benign", "benign"),
}
"""What people do that no one should be called for."""
