"""The leakage audit: features and forecasts must not change when everything after their origin is altered.

Three perturbations (missing values, 1e9, noise) and a plain cut of the history must leave them bit-identical.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd

from smartgrid_pipeline.core import meter_data
from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.forecasting.forecaster import Forecast, Forecaster
from smartgrid_pipeline.core.forecasting.history_frames import build_feature_table
from smartgrid_pipeline.core.schema import (
    CHANNELS,
    DataError,
    Finding,
    Floats,
    LeadInterval,
    Meter,
    Times,
    Verdict,
)

SUITE = "leakage"
PERTURBATIONS = ("missing", "1e9", "noise")

CONTEXT_DAYS, FUTURE_DAYS = 15, 8
"""Days before and after a cutoff from which the feature audit rebuilds features; they cover every window."""

BATCH_TOLERANCE_KW = 1e-4
"""Most that a forecast of one origin alone may differ from the same among others: rounding in matrices."""

OWN_TO_NEXT_FLOOR = 0.3
"""RMSE on the own interval below this share of the RMSE on the next interval is too good for a forecast."""


def audit_features(
    readings: pd.DataFrame, meter: Meter, cutoff: np.datetime64 | pd.Timestamp, subject: str = "features"
) -> Verdict:
    """Whether feature rows available at ``cutoff`` stay bit-identical when later readings are altered.

    ``readings`` are masked and on the meter's grid. Raises DataError when there are none before or none after
    the cutoff, since such an audit would prove nothing.
    """
    cutoff = pd.Timestamp(cutoff).to_datetime64().astype("datetime64[m]")
    times = readings.index.to_numpy().astype("datetime64[m]")
    days = np.timedelta64(1440, "m")
    near = readings[(times >= cutoff - CONTEXT_DAYS * days) & (times < cutoff + FUTURE_DAYS * days)]
    after = near.index.to_numpy().astype("datetime64[m]") >= cutoff
    if after.all() or not after.any():
        raise DataError(
            f"Cannot audit features at {cutoff}: found {int((~after).sum())} readings before and "
            f"{int(after.sum())} after it within reach; both are needed. Choose another cutoff."
        )
    expected = _rows_until(near, meter, cutoff)
    perturbed = {perturbation: _perturb_readings(near, after, perturbation) for perturbation in PERTURBATIONS}
    perturbed["cut"] = near[~after]
    return Verdict(
        SUITE,
        subject,
        tuple(
            _features_finding(expected, change, frame, meter, cutoff) for change, frame in perturbed.items()
        ),
    )


def audit_forecaster(
    forecaster: Forecaster, history: History, origins: Times, leads: tuple[LeadInterval, ...]
) -> Verdict:
    """Whether forecasts stay bit-identical when everything after their origin is altered.

    Each origin is forecast alone, from the history with each perturbation after the origin and from the cut
    history. The same origin among others must agree within BATCH_TOLERANCE_KW. A few origins are enough.
    Raises DataError when an origin has no rows after it.
    """
    if not len(origins) or origins.max() >= history.end:
        raise DataError(f"The leakage audit needs origins before {history.end}; found {origins}.")
    together = forecaster.predict(history, origins, leads)
    changed: dict[str, list[str]] = {change: [] for change in (*PERTURBATIONS, "cut")}
    apart = 0.0
    for i, origin in enumerate(origins):
        near = history.until(origin + np.timedelta64(FUTURE_DAYS * 1440, "m"))
        alone = forecaster.predict(near, origins[i : i + 1], leads)
        apart = max(apart, _largest_difference(alone, together, i))
        for change, perturbed in _perturbed_histories(near, origin):
            if not _same_bits(alone, forecaster.predict(perturbed, origins[i : i + 1], leads)):
                changed[change].append(str(origin))
    findings = [
        Finding(
            f"forecasts do not change when all after the origin is {_DONE[change]}",
            not hit,
            f"{len(hit)} of {len(origins)} origins changed" + (f", first {hit[0]}" if hit else ""),
            "0 changed, bit for bit",
        )
        for change, hit in changed.items()
    ]
    findings.append(
        Finding(
            "an origin alone or among others gives one forecast",
            apart <= BATCH_TOLERANCE_KW,
            f"{apart:.1e} kW apart",
            f"at most {BATCH_TOLERANCE_KW:.0e} kW",
        )
    )
    return Verdict(SUITE, forecaster.name, tuple(findings))


def target_shift(forecasts: pd.DataFrame, card: str) -> tuple[Finding, ...]:
    """Compare a task's forecasts with their own interval and with the next one.

    A forecast that fits the next interval better is misaligned. A forecast that is near perfect on its own
    interval and ordinary on the next one contains its target. For tasks of one lead whose intervals adjoin
    (T1, T2). Raises DataError when no two adjoining intervals were observed.
    """
    rows = forecasts[forecasts["card"] == card]
    truth = rows.set_index("interval_start")["observed_kw"]
    following = truth.reindex(rows["interval_end"]).to_numpy(np.float64)
    forecast, own = rows["mean_kw"].to_numpy(np.float64), rows["observed_kw"].to_numpy(np.float64)
    both = np.isfinite(own) & np.isfinite(following)
    if not both.any():
        raise DataError(f"No pair of adjoining observed intervals on {card}; the target cannot be shifted.")
    rmse_own = float(np.sqrt(np.mean((forecast - own)[both] ** 2)))
    rmse_next = float(np.sqrt(np.mean((forecast - following)[both] ** 2)))
    found = f"RMSE {rmse_own:.3f} kW on its own, {rmse_next:.3f} kW on the next"
    return (
        Finding(f"{card} forecasts fit their own interval best", rmse_own < rmse_next, found, "own < next"),
        Finding(
            f"{card} forecasts are not too good to be true",
            rmse_own >= OWN_TO_NEXT_FLOOR * rmse_next,
            found,
            f"own ≥ {OWN_TO_NEXT_FLOOR} × next",
        ),
    )


_DONE = {"missing": "removed", "1e9": "set to 1e9", "noise": "replaced by noise", "cut": "cut off"}


def _replacement_values(perturbation: str, shape: tuple[int, ...]) -> np.ndarray:
    """Values that replace readings, float64; noise is seeded."""
    if perturbation == "noise":
        return np.random.default_rng(0).normal(0, 5, shape)
    return np.full(shape, {"missing": np.nan, "1e9": 1e9}[perturbation])


def _perturb_readings(readings: pd.DataFrame, after: np.ndarray, perturbation: str) -> pd.DataFrame:
    perturbed = readings.copy()
    for channel in [channel for channel in CHANNELS if channel in readings]:
        values = perturbed[channel].to_numpy(np.float64, copy=True)
        values[after] = _replacement_values(perturbation, (int(after.sum()),))
        perturbed[channel] = values
    return perturbed


def _rows_until(readings: pd.DataFrame, meter: Meter, cutoff: np.datetime64) -> pd.DataFrame:
    table = build_feature_table(meter_data.resample(readings, meter), meter)
    ends = table.index.to_numpy().astype("datetime64[m]") + np.timedelta64(meter.working_minutes, "m")
    return table[ends <= cutoff]


def _features_finding(
    expected: pd.DataFrame, change: str, perturbed: pd.DataFrame, meter: Meter, cutoff: np.datetime64
) -> Finding:
    rebuilt = _rows_until(perturbed, meter, cutoff)
    hit = [
        column for column in expected if column not in rebuilt or not expected[column].equals(rebuilt[column])
    ]
    return Finding(
        f"features do not change when all after {cutoff} is {_DONE[change]}",
        not hit and len(expected) > 0,
        f"{len(hit)} of {expected.shape[1]} columns changed in {len(expected)} rows"
        + (f": {hit[:5]}" if hit else ""),
        "0 changed, bit for bit",
    )


def _perturbed_histories(history: History, origin: np.datetime64) -> Iterator[tuple[str, History]]:
    n = int(history.rows(np.array([origin]))[0]) + 1
    for perturbation in PERTURBATIONS:
        share = history.observed_share.copy()
        known = {"missing": 0.0, "1e9": 1.0}.get(perturbation)
        share[n:] = np.random.default_rng(0).random(len(share) - n) if known is None else known
        yield (
            perturbation,
            replace(
                history,
                power_kw=_perturb_array(history.power_kw, n, perturbation),
                observed_share=share,
                features=_perturb_array(history.features, n, perturbation),
                within={
                    name: _perturb_array(values, n, perturbation) for name, values in history.within.items()
                },
            ),
        )
    yield "cut", history.until(origin)


def _perturb_array(values: Floats, n: int, perturbation: str) -> Floats:
    perturbed = values.copy()
    perturbed[n:] = _replacement_values(perturbation, perturbed[n:].shape)
    return perturbed


def _same_bits(a: Forecast, b: Forecast) -> bool:
    return a.mean_kw.tobytes() == b.mean_kw.tobytes() and a.quantiles_kw.tobytes() == b.quantiles_kw.tobytes()


def _largest_difference(alone: Forecast, together: Forecast, i: int) -> float:
    """Largest difference in kW; infinite where only one of two values is a number."""
    pairs = ((alone.mean_kw[0], together.mean_kw[i]), (alone.quantiles_kw[0], together.quantiles_kw[i]))
    difference = max(
        float(np.abs(np.nan_to_num(a, nan=-1e12) - np.nan_to_num(b, nan=-1e12)).max()) for a, b in pairs
    )
    return difference if difference < 1e11 else float("inf")
