"""What a raised event most likely is: its fault class, size and energy at stake, from all voices heard."""

from dataclasses import dataclass

import numpy as np

from smartgrid_pipeline.core.anomaly.interval_array import (
    ALL_SUBS,
    ELECTRICAL,
    Array,
    IntervalArray,
    rolling_sum,
)
from smartgrid_pipeline.core.anomaly.physics import loads, supply, voltage_clock
from smartgrid_pipeline.core.anomaly.physics.hours import HourlyAggregates
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
    """The readings of an event and what was known around it; ``rows`` are single readings."""

    stream: IntervalArray
    hours: HourlyAggregates
    rows: slice
    kinds: frozenset[str]

    def values(self, channel: str) -> Array:
        """A channel's readings inside the event."""
        return self.stream.values[channel][self.rows]

    @property
    def hour(self) -> int:
        """Row of the last complete hour of the event."""
        return self._hour(min(self.rows.stop, len(self.stream.times)) - 1)

    @property
    def hours_inside(self) -> slice:
        """Rows of the hours of the event."""
        return slice(self._hour(self.rows.start), self.hour + 1)

    def _hour(self, reading: int) -> int:
        row = (self.stream.times[reading] - self.hours.first_hour.astype("datetime64[m]")) // HOUR
        return int(np.clip(row, 0, self.hours.n - 1))


@dataclass(frozen=True)
class Diagnosis:
    """A fault class, the channels it is about, and words on its size (empty when it has none)."""

    fault_class: str
    channels: tuple[str, ...]
    size: str = ""
    lost_kwh: float | None = None


def diagnose(evidence: Evidence) -> Diagnosis | None:
    """The most specific reading of the voices; None where only the ensemble spoke."""
    kinds = evidence.kinds
    if "negative" in kinds:
        return Diagnosis("sign", _negative_channels(evidence))
    if kinds & COPIES or ("straight_line" in kinds and not _one_value(evidence)):
        return Diagnosis("copied", tuple(evidence.stream.values))
    if "gap" in kinds:
        return Diagnosis("missing", tuple(evidence.stream.values))
    if evidence.stream.has(*ELECTRICAL):
        found = _electrical(evidence)
        if found is not None:
            return found
    if "no_power" in kinds:
        return Diagnosis("missing", (ACTIVE_POWER,))
    if kinds & {"freeze", "straight_line", f"stuck_{ACTIVE_POWER}"}:
        return Diagnosis("frozen", tuple(evidence.stream.values))
    if "too_much_power" in kinds:
        return Diagnosis("unit", (ACTIVE_POWER,))
    if kinds & {"subs_above_total", "sub_exchange"}:
        return Diagnosis("sub_meter", _sub_channels(evidence))
    if kinds & {"never_off", "sub_rest", "base_load_high", "steady_load_high", "base_load_low"}:
        return Diagnosis("load", _loaded_channels(evidence))
    if "sub_silence" in kinds:
        return Diagnosis("sub_meter", _sub_channels(evidence))
    return None


def _electrical(evidence: Evidence) -> Diagnosis | None:
    kinds = evidence.kinds
    if _swapped(evidence):
        return Diagnosis("phase", (ACTIVE_POWER, REACTIVE_POWER))
    if "voltage_band" in kinds and np.nanmedian(evidence.values(VOLTAGE)) > 50:
        return Diagnosis("voltage", (VOLTAGE,))
    if "no_power" in kinds:
        return Diagnosis("missing", (ACTIVE_POWER,))
    stuck = [c for c in ELECTRICAL if any(kind.startswith((f"stuck_{c}", f"blind_{c}")) for kind in kinds)]
    if stuck or "freeze" in kinds:
        return Diagnosis("frozen", tuple(stuck) if len(stuck) == 1 else tuple(evidence.stream.values))
    if kinds & INCONSISTENT:
        return _inconsistent(evidence)
    if "subs_above_total" in kinds:
        return Diagnosis("sub_meter", _sub_channels(evidence))
    if "voltage_level" in kinds:
        return Diagnosis("voltage", (VOLTAGE,))
    if "voltage_clock" in kinds:
        return Diagnosis("clock", (VOLTAGE,), f"by about {_clock_minutes(evidence):+.0f} min")
    if "loop_impedance" in kinds:
        return _bypass(evidence)
    if "phase_angle" in kinds:
        return Diagnosis("phase", (ACTIVE_POWER, REACTIVE_POWER))
    return None


def _one_value(evidence: Evidence) -> bool:
    """One reading makes up most of the event: it stands still, it is not drawn."""
    values = evidence.values(VOLTAGE if evidence.stream.has(VOLTAGE) else ACTIVE_POWER)
    _, counts = np.unique(values[~np.isnan(values)], return_counts=True)
    return bool(counts.max(initial=0) > 0.7 * len(values))


def _swapped(evidence: Evidence) -> bool:
    """Reactive above active power while both together still explain the current."""
    active, reactive = evidence.values(ACTIVE_POWER), evidence.values(REACTIVE_POWER)
    more = reactive > active
    if np.nanmean(more) < 0.1:
        return False
    return bool(np.nanmedian(np.abs(evidence.stream.excess_kva[evidence.rows][more])) < 0.06)


def _inconsistent(evidence: Evidence) -> Diagnosis:
    """Power and current disagree: by a unit, because the voltage is off, or by a gain or tampering."""
    apparent = np.hypot(evidence.values(ACTIVE_POWER), evidence.values(REACTIVE_POWER))
    measured = evidence.values(VOLTAGE) * evidence.values(CURRENT) / 1000
    high = measured > 0.5
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.nanmedian((apparent / measured)[high]) if high.any() else np.nan
    if any(abs(np.log(max(ratio, 1e-9) / factor)) < 0.1 for factor in UNIT_FACTORS):
        return Diagnosis(
            "unit", (ACTIVE_POWER,), f"recorded power is {ratio:.3g} times what the current says"
        )
    if _voltage_moved(evidence, ratio):
        return Diagnosis("voltage", (VOLTAGE,))
    lost = float(np.nansum(measured - apparent)) * evidence.stream.meter.step_minutes / 60
    size = f"recorded power is {ratio:.2f} times what voltage and current say" if np.isfinite(ratio) else ""
    return Diagnosis("inconsistent", (ACTIVE_POWER,), size, abs(lost))


def _voltage_moved(evidence: Evidence, ratio: float) -> bool:
    """The voltage is off by just what the inconsistency asks for."""
    usual = float(evidence.hours.learned["volt"])
    reference = evidence.hours.reference(evidence.hours.mean("volt", "volt_n", 24, 600), usual)[evidence.hour]
    moved = float(np.nanmean(evidence.values(VOLTAGE))) - reference
    asked = usual * (1 / max(ratio, 1e-3) - np.exp(float(evidence.hours.learned["gain"])))
    return 2 < abs(asked) < 11 and abs(moved - asked) < 3


def _bypass(evidence: Evidence) -> Diagnosis:
    ratio = float(supply.loop_ratio(evidence.hours)[evidence.hour])
    share = 1 / ratio if ratio > 0 else np.nan
    hours = evidence.stream.meter.step_minutes / 60
    lost = float(np.nansum(evidence.values(ACTIVE_POWER))) * hours * max(ratio - 1, 0.0)
    return Diagnosis("bypass", (CURRENT,), f"about {100 * share:.0f} % of the load is measured", lost)


def _clock_minutes(evidence: Evidence) -> float:
    """By how much the clock is off: recorded readings come so much later (+) than they used to."""
    from dataclasses import replace

    known = replace(evidence.hours, from_row=max(0, evidence.hour - 1))
    shifts, scores = voltage_clock.shift_scores(known, 3)
    return float(shifts[int(np.argmax(np.nan_to_num(scores[evidence.hour])))])


def _negative_channels(evidence: Evidence) -> tuple[str, ...]:
    negative = [c for c in evidence.stream.values if np.nanmin(evidence.values(c)) < 0]
    return tuple(negative) or (ACTIVE_POWER,)


def _sub_channels(evidence: Evidence) -> tuple[str, ...]:
    """The sub-meters that stand out most: pairs exchanged, one silent, or one above its share."""
    inside = evidence.hours_inside
    if "sub_exchange" in evidence.kinds:
        gains = {
            pair: rolling_sum(gain, 6)[inside].max()
            for pair, gain in loads.exchange_gains(evidence.hours).items()
        }
        a, b = max(gains, key=lambda pair: gains[pair])
        return ALL_SUBS[a], ALL_SUBS[b]
    if "sub_silence" in evidence.kinds:
        ratios = loads.silence(evidence.hours)
        silent = [
            max(np.nan_to_num(v[inside], nan=-9.0).max() for name, v in ratios.items() if sub in name)
            for sub in ALL_SUBS
        ]
        return (ALL_SUBS[int(np.argmax(silent))],)
    means = [float(np.nanmean(evidence.values(sub))) for sub in ALL_SUBS]
    return (ALL_SUBS[int(np.argmax(means))],)


def _loaded_channels(evidence: Evidence) -> tuple[str, ...]:
    if "sub_rest" in evidence.kinds:
        strange = loads.rest_strangeness(evidence.hours)
        most = [rolling_sum(each, 4)[evidence.hours_inside].max() for each in strange]
        return (ALL_SUBS[int(np.argmax(most))],)
    if "never_off" in evidence.kinds and evidence.stream.has(*ALL_SUBS):
        lows = [float(np.nanquantile(evidence.values(sub), 0.1)) for sub in ALL_SUBS]
        return (ALL_SUBS[int(np.argmax(lows))],)
    return (ACTIVE_POWER,)
