"""The readings inside an injected fault, and how loads and currents change them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from smartgrid_pipeline.core.anomaly.interval_array import Array
from smartgrid_pipeline.core.anomaly.rules.rules import RESOLUTION
from smartgrid_pipeline.core.schema import ACTIVE_POWER, CURRENT, REACTIVE_POWER, VOLTAGE

LOOP_OHM = 0.25
"""Supply impedance by which a load added or taken away moves the voltage."""


@dataclass
class Window:
    """Readings inside an event by channel, (n,); ``whole`` are all readings, of which ``at`` are inside.

    ``step`` is in minutes; ``minutes_of_day`` of each reading inside.
    """

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
        """V·I − √(P² + Q²) before the fault, kVA; where small, clipped to half a step of current."""
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
        """Add a load (kW per reading, negative removes one) with its effect on voltage, reactive power and
        current. Without a power factor the load has that of the home.
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
