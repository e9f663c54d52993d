"""The fallback chain: the best forecast that the readings at hand allow, and which tier it came from.

There is a forecast at every origin: after a restart without readings, for a meter that lost channels, for a
new home. Best tier first: the champion; the champion with the absent channels unobserved; the past days of
this home; the default profile at the level of this home; the default profile.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from smartgrid_pipeline.core.features import feature_table
from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.forecasting.analog_ensemble.model import AnalogEnsemble
from smartgrid_pipeline.core.forecasting.default_profile import estimate_level, profile_forecast
from smartgrid_pipeline.core.forecasting.forecaster import (
    Forecast,
    Forecaster,
    Split,
    TrainingBudget,
    sort_and_clip,
)
from smartgrid_pipeline.core.meter_data import WITHIN_CHANNELS
from smartgrid_pipeline.core.schema import DataError, Floats, LeadInterval, Meter, ModelError, Rows, Times

TIERS = ("champion", "champion_without_channels", "past_days", "typical_home_of_this_level", "typical_home")
"""Best first; each is used where those before it cannot be."""

PAST_DAYS = TIERS.index("past_days")

CHAMPION_DAYS, CHAMPION_WINDOW_DAYS = 7.0, 28
"""The champion needs this many observed days within its window: its features are lags and levels."""

PAST_DAYS_MINIMUM = 1.0
"""Past days are used from the first whole observed day on."""

PRIOR_DAYS = 4.0
"""Observed days at which past days count half, and the default profile half."""

CHECK_DAYS, CHECK_ORIGINS = 14, 17
"""Without its channels the champion forecasts a lead only where, from so many origins of the last days, it
was closer than the past days: a regression on voltage and current has no number without them, only a wrong
one.
"""

SILENT_DAYS = 1
"""A channel of which nothing was observed for so long, though power was, counts as missing."""

CHECK_HISTORY_DAYS = 60
"""History that the past days of the check are taken from."""


@dataclass(frozen=True)
class FallbackForecast:
    """A forecast and where it came from.

    ``tier`` (origins,) is an index into TIERS; ``reason`` says why it is not the champion's for all origins,
    and is empty when it is.
    """

    forecast: Forecast
    tier: np.ndarray
    reason: str

    def tier_names(self) -> tuple[str, ...]:
        """The tier of each origin by name."""
        return tuple(TIERS[k] for k in self.tier)


def predict_with_fallback(
    champion: Forecaster | None, fitted_on: Meter | None, history: History, origins: Times,
    leads: tuple[LeadInterval, ...],
) -> FallbackForecast:  # fmt: skip
    """Forecast each lead from each origin by the best tier possible; too few readings raise nothing.

    ``fitted_on`` is the champion's meter. Uses only rows available at each origin.
    """
    origins = origins.astype("datetime64[m]")
    n = len(history.starts)
    rows = np.minimum(history.rows(origins), n - 1) if n else np.full(len(origins), -1)
    level_kw, level_weight = estimate_level(history, rows)
    mean, quantiles = profile_forecast(origins, leads, level_kw, level_weight)
    tier = np.where(level_weight > 0, TIERS.index("typical_home_of_this_level"), TIERS.index("typical_home"))
    days = _observed_days(history, rows)
    out = mean, quantiles, tier
    reason = _fill_from_champion(champion, fitted_on, history, origins, leads, days, out)
    at = np.flatnonzero((days >= PAST_DAYS_MINIMUM) & (tier >= PAST_DAYS))
    if len(at):
        _fill_from_past_days(history, origins, leads, days, at, np.arange(len(leads)), out)
        tier[at] = PAST_DAYS
    return FallbackForecast(Forecast(origins, leads, *sort_and_clip(mean, quantiles)), tier, reason)


def _observed_days(history: History, rows: Rows) -> np.ndarray:
    """Observed time in the champion's window before each row, in days, (rows,)."""
    per_day = 1440 // history.meter.working_minutes
    count = np.concatenate([[0], np.cumsum(np.isfinite(history.power_kw))])
    last = np.clip(rows + 1, 0, len(history.starts))
    return (count[last] - count[np.maximum(last - CHAMPION_WINDOW_DAYS * per_day, 0)]) / per_day


def _fill_from_past_days(
    history: History, origins: Times, leads: tuple[LeadInterval, ...], days: np.ndarray, at: Rows,
    lead_at: Rows, out: tuple[Floats, Floats, np.ndarray],
) -> None:  # fmt: skip
    """Move the numbers of some origins and leads from the default profile towards the past days, the
    further the more days were observed.
    """
    mean, quantiles, _ = out
    found = _predict_past_days(history, origins[at], tuple(leads[j] for j in lead_at))
    weight = (days[at] / (days[at] + PRIOR_DAYS)).astype(np.float32)[:, None]
    place = np.ix_(at, lead_at)
    mean[place] += weight * np.nan_to_num(found.mean_kw - mean[place])
    quantiles[place] += weight[..., None] * np.nan_to_num(found.quantiles_kw - quantiles[place])


def _predict_past_days(history: History, origins: Times, leads: tuple[LeadInterval, ...]) -> Forecast:
    """Analog ensemble with its default similarity weights, fitted on the past of each origin alone.

    NaN where that past holds no whole hour.
    """
    parts = []
    for origin in origins:
        past = history.until(origin)
        model = AnalogEnsemble(TrainingBudget(max_steps=0))
        try:
            model.fit(past, Split(past.starts[0], past.end, past.end))
            parts.append(model.predict(past, np.array([origin]), leads))
        except DataError:  # not one whole hour
            nothing = np.full((1, len(leads), 9), np.nan, np.float32)
            parts.append(Forecast(np.array([origin]), leads, nothing[..., 0], nothing))
    return Forecast(
        origins,
        leads,
        np.concatenate([part.mean_kw for part in parts]),
        np.concatenate([part.quantiles_kw for part in parts]),
    )


def _fill_from_champion(
    champion: Forecaster | None, fitted_on: Meter | None, history: History, origins: Times,
    leads: tuple[LeadInterval, ...], days: np.ndarray, out: tuple[Floats, Floats, np.ndarray],
) -> str:  # fmt: skip
    """Write the champion's numbers into ``out`` (mean, quantiles, tier) at the origins where they are finite
    and enough days were observed. Returns the reason why not at all origins, or that channels are missing.
    """
    if champion is None or fitted_on is None:
        return "there is no champion"
    at = np.flatnonzero(days >= CHAMPION_DAYS)
    if not len(at):
        return f"{float(days.max(initial=0)):.1f} observed days, the champion needs {CHAMPION_DAYS:g}"
    absent = _absent_channels(history, origins[at].min(), fitted_on)
    try:
        same = history.meter.channels == fitted_on.channels
        given = history if same else with_channels(history, fitted_on)
        forecast = champion.predict(given, origins[at], leads)
        closer = absent and _is_closer_than_past_days(
            champion, given, history.until(origins[at].min()), leads
        )
    except ModelError as error:
        return str(error)
    good = np.asarray(np.isfinite(forecast.mean_kw).all(1) & np.isfinite(forecast.quantiles_kw).all((1, 2)))
    mean, quantiles, tier = out
    if not absent:
        mean[at[good]], quantiles[at[good]] = forecast.mean_kw[good], forecast.quantiles_kw[good]
        tier[at[good]] = 0
        everywhere = good.all() and len(at) == len(origins)
        return "" if everywhere else "too few readings for the champion at some origins"
    reason = f"channels are missing: {', '.join(absent)}"
    used, others = np.flatnonzero(closer), np.flatnonzero(~np.asarray(closer))
    if not len(used):
        return (
            f"{reason}; without them the champion was not shown to be closer than the past days for any lead"
        )
    place = np.ix_(at[good], used)
    mean[place], quantiles[place] = forecast.mean_kw[good][:, used], forecast.quantiles_kw[good][:, used]
    tier[at[good]] = 1
    if len(others):
        _fill_from_past_days(history, origins, leads, days, at[good], others, out)
        reason += (
            f"; {len(others)} of {len(leads)} leads are the past days', than which it was not closer lately"
        )
    return reason


def _absent_channels(history: History, origin: np.datetime64, fitted_on: Meter) -> list[str]:
    """Channels of the champion's meter that the history lacks, or that were silent for SILENT_DAYS before the
    origin while power was observed; in order of name.
    """
    lacking = set(fitted_on.channels) - set(history.meter.channels)
    lately = history.until(origin).last_days(SILENT_DAYS)
    if np.isfinite(lately.power_kw).any():
        present = set(history.meter.channels) & set(fitted_on.channels)
        lacking |= {name for name in present if not np.isfinite(lately.channel_means(name)).any()}
    return sorted(lacking)


def _is_closer_than_past_days(
    champion: Forecaster, given: History, past: History, leads: tuple[LeadInterval, ...]
) -> npt.NDArray[np.bool_]:
    """Whether the champion's mean had the smaller absolute error in the last CHECK_DAYS of ``past``,
    (leads,).

    ``given`` is the history that the champion reads, ``past`` the meter's own up to the first origin.
    False where no target was observed.
    """
    last = past.end - np.timedelta64(1, "h")
    first = max(past.starts[0] + np.timedelta64(2, "D"), last - np.timedelta64(CHECK_DAYS, "D"))
    if first >= last:
        return np.zeros(len(leads), bool)
    origins = past.origins(first, last, past.meter.working_minutes)
    origins = origins[:: max(1, len(origins) // CHECK_ORIGINS)]  # 14 days in 17 steps: many hours of the day
    target = past.targets(origins, leads)
    errors = [
        np.abs(each.mean_kw - target)
        for each in (
            champion.predict(given.until(past.end), origins, leads),
            _predict_past_days(past.last_days(CHECK_HISTORY_DAYS), origins, leads),
        )
    ]
    both = np.isfinite(errors[0]) & np.isfinite(errors[1])
    champion_error, other_error = (np.where(both, each, 0).sum(0) for each in errors)
    return both.any(0) & (champion_error < other_error)


def with_channels(history: History, meter: Meter) -> History:
    """The history as one of ``meter``, which has more channels: the absent ones count as not observed.

    Raises ModelError when the steps differ, or when the history has channels that ``meter`` lacks.
    """
    own = history.meter
    same_step = (own.step_minutes, own.working_minutes) == (meter.step_minutes, meter.working_minutes)
    if not same_step or not set(own.channels) <= set(meter.channels):
        raise ModelError(
            f"The champion was fitted on {meter.step_minutes}-min readings of {', '.join(meter.channels)}; "
            f"found {own.step_minutes}-min readings of {', '.join(own.channels)}. Train on this meter."
        )
    names, known = feature_table.names(meter), feature_table.names(own)
    table = np.full((len(history.starts), len(names)), np.nan, np.float32)
    for j, name in enumerate(names):
        if name in known:
            table[:, j] = history.features[:, known.index(name)]
    as_named = replace(own, channels=meter.channels, holiday_country=meter.holiday_country)
    shape = (len(history.starts), meter.working_minutes // meter.step_minutes)
    absent = np.full(shape, np.nan, np.float32)
    inside = {channel: absent for channel in WITHIN_CHANNELS if channel in meter.channels}
    within = inside | history.within if history.within else {}
    return replace(history, meter=as_named, features=table, within=within)
