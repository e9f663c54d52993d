"""Who answers when little is known: from the champion down to what any home does. Somebody always answers.

A restart without readings, a meter that lost channels, a new home: each is a rung, not a failure.
"""

from dataclasses import dataclass, replace

import numpy as np

from smartgrid_pipeline.core.features import feature_table
from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.features.tabular import Rows
from smartgrid_pipeline.core.forecasting.analog_ensemble.model import AnalogEnsemble
from smartgrid_pipeline.core.forecasting.default_profile import known_level, typical
from smartgrid_pipeline.core.forecasting.forecaster import Forecast, Forecaster, Split, TrainingBudget, finish
from smartgrid_pipeline.core.meter_data import WITHIN_CHANNELS
from smartgrid_pipeline.core.schema import DataError, Floats, LeadInterval, Meter, ModelError, Times

TIERS = ("champion", "champion_without_channels", "past_days", "typical_home_of_this_level", "typical_home")
"""Best first; each answers where those before it cannot."""

PAST_DAYS = TIERS.index("past_days")

CHAMPION_DAYS, CHAMPION_WINDOW_DAYS = 7.0, 28
"""A champion is asked when so many days of the last ones were observed: its inputs are lags and levels."""

FIRST_DAYS = 1.0
"""Past days are asked from the first whole one on."""

BELIEF_DAYS = 4.0
"""With so many past days they weigh as much as the typical home of this level."""


@dataclass(frozen=True)
class Answer:
    """A forecast, who gave it (an index into TIERS per origin), and why it was not the champion."""

    forecast: Forecast
    tier: np.ndarray
    why: str

    def tier_names(self) -> tuple[str, ...]:
        """The tier of each origin by name."""
        return tuple(TIERS[k] for k in self.tier)


def answer(
    champion: Forecaster | None, fitted_on: Meter | None, history: History, origins: Times,
    leads: tuple[LeadInterval, ...],
) -> Answer:  # fmt: skip
    """Forecast each lead from each origin by the best tier that can; never raises for want of readings.

    ``fitted_on`` is the champion's meter. Uses only rows available at each origin.
    """
    origins = origins.astype("datetime64[m]")
    n = len(history.starts)
    rows = np.minimum(history.rows(origins), n - 1) if n else np.full(len(origins), -1)
    level, belief = known_level(history, rows)
    mean, quantiles = typical(origins, leads, level, belief)
    tier = np.where(belief > 0, TIERS.index("typical_home_of_this_level"), TIERS.index("typical_home"))
    days = _observed_days(history, rows)
    why = _ask_champion(champion, fitted_on, history, origins, leads, days, (mean, quantiles, tier))
    place = np.flatnonzero((days >= FIRST_DAYS) & (tier >= PAST_DAYS))
    if len(place):
        found = _past_days(history, origins[place], leads)
        trust = (days[place] / (days[place] + BELIEF_DAYS)).astype(np.float32)[:, None]
        mean[place] += trust * np.nan_to_num(found.mean_kw - mean[place])
        quantiles[place] += trust[..., None] * np.nan_to_num(found.quantiles_kw - quantiles[place])
        tier[place] = PAST_DAYS
    return Answer(Forecast(origins, leads, *finish(mean, quantiles)), tier, why)


def _observed_days(history: History, rows: Rows) -> np.ndarray:
    """Days' worth of readings in the champion's window before each row."""
    per_day = 1440 // history.meter.working_minutes
    count = np.concatenate([[0], np.cumsum(np.isfinite(history.power_kw))])
    last = np.clip(rows + 1, 0, len(history.starts))
    return (count[last] - count[np.maximum(last - CHAMPION_WINDOW_DAYS * per_day, 0)]) / per_day


def _past_days(history: History, origins: Times, leads: tuple[LeadInterval, ...]) -> Forecast:
    """Past days under weights that suit most homes; each origin is scaled by its own past alone."""
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


def _ask_champion(
    champion: Forecaster | None, fitted_on: Meter | None, history: History, origins: Times,
    leads: tuple[LeadInterval, ...], days: np.ndarray, out: tuple[Floats, Floats, np.ndarray],
) -> str:  # fmt: skip
    """Put the champion's numbers in where it knows enough and gives finite ones; say what kept it from it."""
    if champion is None or fitted_on is None:
        return "there is no champion"
    place = np.flatnonzero(days >= CHAMPION_DAYS)
    if not len(place):
        return f"{float(days.max(initial=0)):.1f} observed days, the champion needs {CHAMPION_DAYS:g}"
    whole = history.meter.channels == fitted_on.channels
    try:
        given = history if whole else with_channels(history, fitted_on)
        forecast = champion.predict(given, origins[place], leads)
    except ModelError as error:
        return str(error)
    good = np.asarray(np.isfinite(forecast.mean_kw).all(1) & np.isfinite(forecast.quantiles_kw).all((1, 2)))
    mean, quantiles, tier = out
    mean[place[good]], quantiles[place[good]] = forecast.mean_kw[good], forecast.quantiles_kw[good]
    tier[place[good]] = 0 if whole else 1
    if whole:
        return "" if good.all() and len(place) == len(origins) else "the champion knew too little for some"
    return f"channels are missing: {', '.join(sorted(set(fitted_on.channels) - set(history.meter.channels)))}"


def with_channels(history: History, meter: Meter) -> History:
    """The history as one of a meter with more channels: what it lacks was not observed.

    Raises ModelError when the meters differ in more than that.
    """
    own = history.meter
    same = (own.step_minutes, own.working_minutes) == (meter.step_minutes, meter.working_minutes)
    if not same or not set(own.channels) <= set(meter.channels):
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
