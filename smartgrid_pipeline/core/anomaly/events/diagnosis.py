"""What an event most likely is: fault class, channels, size and lost energy, from its rules and monitors."""

from dataclasses import dataclass, replace

import numpy as np

from smartgrid_pipeline.core.anomaly.interval_array import (
    ALL_SUBS,
    ELECTRICAL,
    Array,
    IntervalArray,
)
from smartgrid_pipeline.core.anomaly.physics import loads, supply, voltage_clock
from smartgrid_pipeline.core.anomaly.physics.hourly import HourlyAggregates
from smartgrid_pipeline.core.features.rolling import rolling_sum
from smartgrid_pipeline.core.schema import ACTIVE_POWER, CURRENT, REACTIVE_POWER, VOLTAGE

COPIES = {"copied_day", "copied_reading", "near_copy", "repeated_hour", "dst_copy"}
INCONSISTENT = {
    "too_little_current",
    "far_too_little_current",
    "too_much_current",
    "power_unlike_current",
    "gain",
    "excess",
}
HOUR = np.timedelta64(60, "m")
UNIT_FACTORS = (60.0, 1 / 60, 1000.0, 1 / 1000, 5.0)


@dataclass(frozen=True)
class Evidence:
    """The readings of an event, ``rows`` of ``recorded``; the hourly aggregates around it; and the names of
    the rules and detectors that raised it.
    """

    recorded: IntervalArray
    hourly: HourlyAggregates
    rows: slice
    names: frozenset[str]

    def values(self, channel: str) -> Array:
        """Readings of a channel inside the event."""
        return self.recorded.values[channel][self.rows]

    @property
    def hour(self) -> int:
        """Row of the last complete hour of the event."""
        return self._hour(min(self.rows.stop, len(self.recorded.times)) - 1)

    @property
    def hours_inside(self) -> slice:
        """Rows of the hours of the event."""
        return slice(self._hour(self.rows.start), self.hour + 1)

    def _hour(self, reading: int) -> int:
        row = (self.recorded.times[reading] - self.hourly.first_hour.astype("datetime64[m]")) // HOUR
        return int(np.clip(row, 0, self.hourly.n - 1))


@dataclass(frozen=True)
class Diagnosis:
    """A fault class, its channels, its size in words (may be empty), and the lost energy if known."""

    fault_class: str
    channels: tuple[str, ...]
    size: str = ""
    lost_kwh: float | None = None


def diagnose(evidence: Evidence) -> Diagnosis | None:
    """The most specific diagnosis that rules and monitors allow; None with an alarm of the ensemble alone."""
    names = evidence.names
    if "negative" in names:
        return Diagnosis("sign", _negative_channels(evidence))
    if names & COPIES or ("straight_line" in names and not _one_value(evidence)):
        return Diagnosis("copied", tuple(evidence.recorded.values))
    if "gap" in names:
        return Diagnosis("missing", tuple(evidence.recorded.values))
    if evidence.recorded.has(*ELECTRICAL):
        found = _electrical(evidence)
        if found is not None:
            return found
    if "no_power" in names:
        return Diagnosis("missing", (ACTIVE_POWER,))
    if names & {"freeze", "straight_line", f"stuck_{ACTIVE_POWER}"}:
        return Diagnosis("frozen", tuple(evidence.recorded.values))
    if "too_much_power" in names:
        return Diagnosis("unit", (ACTIVE_POWER,))
    if names & {"subs_above_total", "sub_exchange"}:
        return Diagnosis("sub_meter", _sub_channels(evidence))
    if names & {"never_off", "sub_rest", "base_load_high", "steady_load_high", "base_load_low"}:
        return Diagnosis("load", _loaded_channels(evidence))
    if "sub_silence" in names:
        return Diagnosis("sub_meter", _sub_channels(evidence))
    return None


def _electrical(evidence: Evidence) -> Diagnosis | None:
    """Diagnoses that need power, reactive power, voltage and current."""
    names = evidence.names
    if _swapped(evidence):
        return Diagnosis("phase", (ACTIVE_POWER, REACTIVE_POWER))
    if "voltage_band" in names and np.nanmedian(evidence.values(VOLTAGE)) > 50:
        return Diagnosis("voltage", (VOLTAGE,))
    if "no_power" in names:
        return Diagnosis("missing", (ACTIVE_POWER,))
    stuck = [c for c in ELECTRICAL if any(name.startswith((f"stuck_{c}", f"blind_{c}")) for name in names)]
    if stuck or "freeze" in names:
        return Diagnosis("frozen", tuple(stuck) if len(stuck) == 1 else tuple(evidence.recorded.values))
    if names & INCONSISTENT:
        return _inconsistent(evidence)
    if "subs_above_total" in names:
        return Diagnosis("sub_meter", _sub_channels(evidence))
    if "voltage_level" in names:
        return Diagnosis("voltage", (VOLTAGE,))
    if "voltage_clock" in names:
        return Diagnosis("clock", (VOLTAGE,), f"by about {_clock_minutes(evidence):+.0f} min")
    if "loop_impedance" in names:
        return _bypass(evidence)
    if "phase_angle" in names:
        return Diagnosis("phase", (ACTIVE_POWER, REACTIVE_POWER))
    return None


def _one_value(evidence: Evidence) -> bool:
    """Whether one value makes up most of the event: frozen rather than interpolated."""
    values = evidence.values(VOLTAGE if evidence.recorded.has(VOLTAGE) else ACTIVE_POWER)
    _, counts = np.unique(values[~np.isnan(values)], return_counts=True)
    return bool(counts.max(initial=0) > 0.7 * len(values))


def _swapped(evidence: Evidence) -> bool:
    """Whether reactive power exceeds active power while both together still explain the current."""
    active, reactive = evidence.values(ACTIVE_POWER), evidence.values(REACTIVE_POWER)
    more = reactive > active
    if np.nanmean(more) < 0.1:
        return False
    return bool(np.nanmedian(np.abs(evidence.recorded.excess_kva[evidence.rows][more])) < 0.06)


def _inconsistent(evidence: Evidence) -> Diagnosis:
    """Why power and current disagree: a wrong unit, a wrong voltage, or else a gain error or tampering."""
    apparent = np.hypot(evidence.values(ACTIVE_POWER), evidence.values(REACTIVE_POWER))
    measured = evidence.values(VOLTAGE) * evidence.values(CURRENT) / 1000
    high = measured > 0.5
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.nanmedian((apparent / measured)[high]) if high.any() else np.nan
    if any(abs(np.log(max(ratio, 1e-9) / factor)) < 0.1 for factor in UNIT_FACTORS):
        return Diagnosis(
            "unit", (ACTIVE_POWER,), f"recorded power is {ratio:.3g} times what voltage and current give"
        )
    if _voltage_moved(evidence, ratio):
        return Diagnosis("voltage", (VOLTAGE,))
    lost = float(np.nansum(measured - apparent)) * evidence.recorded.meter.step_minutes / 60
    size = f"recorded power is {ratio:.2f} times what voltage and current give" if np.isfinite(ratio) else ""
    return Diagnosis("inconsistent", (ACTIVE_POWER,), size, abs(lost))


def _voltage_moved(evidence: Evidence, ratio: float) -> bool:
    """Whether the voltage has moved by just what explains this ratio of recorded to measured power."""
    reference = supply.voltage_reference(evidence.hourly)[evidence.hour]
    moved = float(np.nanmean(evidence.values(VOLTAGE))) - reference
    gain = np.exp(float(evidence.hourly.learned["gain"]))
    explaining = float(evidence.hourly.learned["volt"]) * (1 / max(ratio, 1e-3) - gain)
    return 2 < abs(explaining) < 11 and abs(moved - explaining) < 3


def _bypass(evidence: Evidence) -> Diagnosis:
    """A load beside the meter: the share still measured, and the energy that was not, from the loop ratio."""
    ratio = float(supply.loop_ratio(evidence.hourly)[evidence.hour])
    share = 1 / ratio if ratio > 0 else np.nan
    hours = evidence.recorded.meter.step_minutes / 60
    lost = float(np.nansum(evidence.values(ACTIVE_POWER))) * hours * max(ratio - 1, 0.0)
    return Diagnosis("bypass", (CURRENT,), f"about {100 * share:.0f} % of the load is measured", lost)


def _clock_minutes(evidence: Evidence) -> float:
    """How many minutes later (+) or earlier (−) the recorded readings come than the clock should show."""
    recent = replace(evidence.hourly, from_row=max(0, evidence.hour - 1))
    shifts, scores = voltage_clock.shift_scores(recent, 3)
    return float(shifts[int(np.argmax(np.nan_to_num(scores[evidence.hour])))])


def _negative_channels(evidence: Evidence) -> tuple[str, ...]:
    """Channels with a negative reading in the event."""
    negative = [c for c in evidence.recorded.values if np.nanmin(evidence.values(c)) < 0]
    return tuple(negative) or (ACTIVE_POWER,)


def _sub_channels(evidence: Evidence) -> tuple[str, ...]:
    """The sub-meters at fault: the pair exchanged, the silent one, or the one with the highest mean."""
    inside = evidence.hours_inside
    if "sub_exchange" in evidence.names:
        gains = {
            pair: rolling_sum(gain, 6)[inside].max()
            for pair, gain in loads.exchange_gains(evidence.hourly).items()
        }
        a, b = max(gains, key=lambda pair: gains[pair])
        return ALL_SUBS[a], ALL_SUBS[b]
    if "sub_silence" in evidence.names:
        ratios = loads.silence_ratios(evidence.hourly)
        silent = [
            max(np.nan_to_num(v[inside], nan=-9.0).max() for name, v in ratios.items() if sub in name)
            for sub in ALL_SUBS
        ]
        return (ALL_SUBS[int(np.argmax(silent))],)
    means = [float(np.nanmean(evidence.values(sub))) for sub in ALL_SUBS]
    return (ALL_SUBS[int(np.argmax(means))],)


def _loaded_channels(evidence: Evidence) -> tuple[str, ...]:
    """The sub-meter that carries a load that stays on, else the total."""
    if "sub_rest" in evidence.names:
        surprisal = loads.rare_dwell(evidence.hourly)
        highest = [rolling_sum(nats, 4)[evidence.hours_inside].max() for nats in surprisal]
        return (ALL_SUBS[int(np.argmax(highest))],)
    if "never_off" in evidence.names and evidence.recorded.has(*ALL_SUBS):
        lows = [float(np.nanquantile(evidence.values(sub), 0.1)) for sub in ALL_SUBS]
        return (ALL_SUBS[int(np.argmax(lows))],)
    return (ACTIVE_POWER,)
