"""LightGBM for the next 5 and 60 minutes: per sub-meter, then for the total.

Stage 1 forecasts each sub-meter and the remainder that no sub-meter measures. Stage 2 forecasts the total
(mean, and the quantiles of KNOT_LEVELS) and takes stage-1 predictions as features. These are cross-fitted on
alternating weeks, so that stage 2 never learns from in-sample predictions. The mean is the average of the sum
of stage 1 and the mean of stage 2; between the knots the quantile curve has the shape of the experts'.
Any minute is an origin.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.features.lags import DAY_MINUTES
from smartgrid_pipeline.core.features.minute_series import MinuteSeries
from smartgrid_pipeline.core.features.windows import boosting_features
from smartgrid_pipeline.core.forecasting.forecaster import Split, TrainingBudget
from smartgrid_pipeline.core.forecasting.mixture.boosting_params import (
    FOLD_DAYS,
    FOLDS,
    KNOT_LEVELS,
    LEAD_PARAMS,
    PILOT_ROWS,
    BinnedTable,
    LeadParams,
    fit_submeters,
    fit_total,
    select_features,
)
from smartgrid_pipeline.core.forecasting.mixture.holdout import QuantileForecast
from smartgrid_pipeline.core.learning import lightgbm_text, storage
from smartgrid_pipeline.core.schema import Floats, LeadInterval, Rows, Times

BLOCK = 8_192
"""Rows whose features are built at a time, so that memory stays bounded."""


@dataclass(frozen=True)
class LeadModels:
    """The models of one lead.

    ``columns`` of ``boosting_features`` that they use; ``submeters`` FOLDS models for each sub-meter and the
    remainder; ``total`` models of the total: its mean, then each of KNOT_LEVELS.
    """

    columns: Rows
    submeters: tuple[tuple[Any, ...], ...]
    total: tuple[Any, ...]

    def predict(self, features: Floats, latest_kw: Floats) -> tuple[Floats, Floats]:
        """Sum of the sub-meters (rows,) in kW and raw predictions of the total (rows, 4).

        ``latest_kw`` (rows, sub-meters) is what the predictions of the sub-meters are added to.
        """
        chosen = np.ascontiguousarray(features[:, self.columns])
        folds = [np.mean([_predict(model, chosen) for model in fold], 0) for fold in self.submeters]
        submeters_kw = latest_kw + np.stack(folds, -1)
        chosen = np.concatenate([chosen, _stage2_features(submeters_kw)], 1)
        return submeters_kw.sum(-1), np.stack([_predict(model, chosen) for model in self.total], -1)


def _predict(model: Any, features: Floats) -> Floats:
    return model.predict(features, num_threads=1)


def _stage2_features(submeters_kw: Floats) -> Floats:
    """Stage-1 predictions (rows, sub-meters) as features of stage 2: each, and their sum."""
    return np.concatenate([submeters_kw, submeters_kw.sum(-1, keepdims=True)], 1, dtype=np.float32)


@dataclass(frozen=True)
class SubmeterBoosting:
    """Models of the leads that have LEAD_PARAMS; leads that the meter cannot resolve are absent."""

    level_kw: float
    models: dict[LeadInterval, LeadModels] = field(default_factory=dict)

    name = "submeter_boosting"

    @classmethod
    def fit(
        cls,
        history: History,
        split: Split,
        leads: tuple[LeadInterval, ...],
        level_kw: float,
        budget: TrainingBudget,
    ) -> Self:
        """Fit on random origins before ``split.train_end``; ``level_kw`` is the meter's mean power."""
        series = MinuteSeries.of(history, level_kw)
        fitted = {
            lead: _fit(series, split, lead, params, budget, number)
            for number, (lead, params) in enumerate(LEAD_PARAMS.items())
            if lead in leads
        }
        return cls(level_kw, {lead: models for lead, models in fitted.items() if models is not None})

    def covers(self, lead: LeadInterval) -> bool:
        """Whether it has models of this lead."""
        return lead in self.models

    def predict(
        self, history: History, origins: Times, leads: tuple[LeadInterval, ...], expert_quantiles_kw: Floats
    ) -> QuantileForecast:
        """Mean (origins, leads) and quantiles (origins, leads, 9) in kW of leads that it covers.

        The quantiles are the experts' ``expert_quantiles_kw`` (origins, leads, 9), rescaled through the
        knots.
        """
        series = MinuteSeries.reaching(history, origins, self.level_kw)
        mean, knots = self.predict_knots(series, series.rows(origins), leads)
        return mean, rescale_to_knots(expert_quantiles_kw, knots)

    def predict_knots(
        self, series: MinuteSeries, rows: Rows, leads: tuple[LeadInterval, ...]
    ) -> tuple[Floats, Floats]:
        """Mean (rows, leads) and quantiles of KNOT_LEVELS (rows, leads, 3) in kW."""
        out = np.empty((len(rows), len(leads), 1 + len(KNOT_LEVELS)), np.float32)
        for begin in range(0, len(rows), BLOCK):
            part = rows[begin : begin + BLOCK]
            features = boosting_features(series, part)
            for j, lead in enumerate(leads):
                submeters_kw, raw = self.models[lead].predict(features, _latest_kw(series, part, lead))
                total = _to_kw(raw, series, part, lead)
                out[begin : begin + BLOCK, j, 0] = (np.maximum(submeters_kw, 0) + total[:, 0]) / 2
                out[begin : begin + BLOCK, j, 1:] = np.sort(total[:, 1:])
        return out[..., 0], out[..., 1:]

    def save(self, directory: Path) -> None:
        """Write it into an existing, empty directory."""
        counts = {str(lead.end_minutes): len(models.submeters) for lead, models in self.models.items()}
        arrays: storage.Arrays = {}
        for lead, models in self.models.items():
            trees = [model for fold in models.submeters for model in fold] + list(models.total)
            kept: storage.Arrays = {"trees": lightgbm_text.to_array(trees), "columns": models.columns}
            arrays |= storage.add_prefix(str(lead.end_minutes), kept)
        storage.write(directory, self.name, {"level_kw": self.level_kw, "submeters": counts}, arrays)

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Read what ``save`` wrote. Raises ModelError when files are missing or broken."""
        with storage.read(directory, cls.name) as (facts, arrays):
            models = {}
            for lead in LEAD_PARAMS:
                if (count := facts["submeters"].get(str(lead.end_minutes))) is not None:
                    kept = storage.take_prefix(str(lead.end_minutes), arrays)
                    trees = lightgbm_text.from_array(kept["trees"])
                    folds = tuple(trees[FOLDS * k : FOLDS * (k + 1)] for k in range(count))
                    models[lead] = LeadModels(kept["columns"], folds, trees[FOLDS * count :])
            return cls(facts["level_kw"], models)


def rescale_to_knots(quantiles_kw: Floats, knots_kw: Floats) -> Floats:
    """Quantile curves (…, 9) stretched so that they pass through quantiles of KNOT_LEVELS (…, 3)."""
    low, middle, high = (quantiles_kw[..., k, None] for k in (0, 4, 8))
    to_low, to_middle, to_high = (knots_kw[..., k, None] for k in range(3))
    below = (middle - quantiles_kw) / np.maximum(middle - low, 1e-4) * (to_middle - to_low)
    above = (quantiles_kw - middle) / np.maximum(high - middle, 1e-4) * (to_high - to_middle)
    side = np.arange(quantiles_kw.shape[-1]) < 4
    return (to_middle + np.where(side, -below, above)).astype(np.float32)


# --- fitting --------------------------------------------------------------------------------------


def _fit(
    series: MinuteSeries,
    split: Split,
    lead: LeadInterval,
    params: LeadParams,
    budget: TrainingBudget,
    number: int,
) -> LeadModels | None:
    """The models of a lead; None when there are too few rows for one leaf."""
    folds = _draw_rows(series, split, lead, params, budget, number)
    if min(map(len, folds)) < params.tail.smallest_leaf:
        return None
    targets = [_submeters_kw(series, rows, lead) - _latest_kw(series, rows, lead) for rows in folds]
    columns = _select_columns(series, folds, targets, params, budget)
    some = [rows[: params.total_rows // FOLDS] for rows in folds]
    features = np.empty((sum(map(len, some)), len(columns)), np.float32)
    fitted, begin = [], 0
    for rows, target in zip(folds, targets, strict=True):
        own = _chosen_features(series, rows, columns)
        fitted.append(fit_submeters(BinnedTable.of(own, budget), target, params))
        end = begin + min(params.total_rows // FOLDS, len(rows))
        features[begin:end], begin = own[: end - begin], end
        del own
    submeters_kw = _predict_out_of_fold(fitted, features, [len(rows) for rows in some])
    rows = np.concatenate(some)
    stage1 = _stage2_features(submeters_kw + _latest_kw(series, rows, lead))
    features = np.concatenate([features, stage1], 1)
    target = _from_kw(_submeters_kw(series, rows, lead).sum(-1), series, rows, lead)
    total = fit_total(BinnedTable.of(features, budget), target, params)
    submeters = tuple(tuple(map(lightgbm_text.slim, models)) for models in zip(*fitted, strict=True))
    return LeadModels(columns, submeters, tuple(map(lightgbm_text.slim, total)))


def _draw_rows(
    series: MinuteSeries,
    split: Split,
    lead: LeadInterval,
    params: LeadParams,
    budget: TrainingBudget,
    number: int,
) -> list[Rows]:
    """Random rows of each fold whose targets were observed before ``split.train_end``, at most
    ``params.rows``. Folds are alternating weeks.
    """
    first, train_end = (int(row) for row in series.rows(np.array([split.start, split.train_end])))
    first += min(series.steps(28 * DAY_MINUTES), (train_end - first) // 4)
    last = train_end - series.steps(lead.end_minutes)
    rows = first + np.random.default_rng([budget.seed, number]).permutation(last - first)
    span = max(1, min(series.steps(FOLD_DAYS * DAY_MINUTES), (last - first) // 8))
    count = min(params.rows, budget.max_rows or params.rows) // FOLDS
    folds = [rows[rows // span % FOLDS == fold][:count] for fold in range(FOLDS)]
    return [chosen[np.isfinite(_submeters_kw(series, chosen, lead)).all(1)] for chosen in folds]


def _select_columns(
    series: MinuteSeries, folds: list[Rows], targets: list[Floats], params: LeadParams, budget: TrainingBudget
) -> Rows:
    """The columns chosen by a pilot on the first PILOT_ROWS rows."""
    few = [rows[: PILOT_ROWS // FOLDS] for rows in folds]
    pilot = np.concatenate([target[: len(rows)] for target, rows in zip(targets, few, strict=True)])
    return select_features(boosting_features(series, np.concatenate(few)), pilot, params, budget)


def _chosen_features(series: MinuteSeries, rows: Rows, columns: Rows) -> Floats:
    """Some columns of ``boosting_features``, built in blocks."""
    features = np.empty((len(rows), len(columns)), np.float32)
    for begin in range(0, len(rows), BLOCK):
        features[begin : begin + BLOCK] = boosting_features(series, rows[begin : begin + BLOCK])[:, columns]
    return features


def _predict_out_of_fold(fitted: list[tuple[Any, ...]], features: Floats, counts: list[int]) -> Floats:
    """Stage-1 predictions (rows, sub-meters) for the rows of each fold by the models of the other folds.

    ``features`` holds the rows of the folds one after the other, ``counts`` of each.
    """
    predicted, begin = np.empty((len(features), len(fitted[0])), np.float32), 0
    for fold, count in enumerate(counts):
        others = [models for number, models in enumerate(fitted) if number != fold]
        own = features[begin : begin + count]
        predicted[begin : begin + count] = np.mean(
            [np.stack([_predict(model, own) for model in models], -1) for models in others], 0
        )
        begin += count
    return predicted


# --- targets --------------------------------------------------------------------------------------


def _submeters_kw(series: MinuteSeries, rows: Rows, lead: LeadInterval) -> Floats:
    """Mean power of each sub-meter and the remainder in the lead interval, (rows, sub-meters) kW."""
    begins = rows - series.padding + lead.start_minutes // series.step_minutes
    return series.loads.targets(begins, lead.width_minutes)


def _latest_kw(series: MinuteSeries, rows: Rows, lead: LeadInterval) -> Floats:
    """What stage-1 targets are differences to, (rows, sub-meters) kW: the latest readings, or zero."""
    latest = series.loads.latest(np.maximum(rows - 1 - series.padding, 0))
    return latest if LEAD_PARAMS[lead].corrects_latest else np.zeros_like(latest)


def _from_kw(target_kw: Floats, series: MinuteSeries, rows: Rows, lead: LeadInterval) -> Floats:
    """Stage-2 target: √power minus √(latest power) for the next five minutes, the power for the hour.

    Square roots let errors of a few watts at night count beside those of kilowatts while cooking.
    """
    if not LEAD_PARAMS[lead].corrects_latest:
        return target_kw
    return (np.sqrt(np.maximum(target_kw, 0)) - _latest_sqrt(series, rows)).astype(np.float32)


def _to_kw(raw: Floats, series: MinuteSeries, rows: Rows, lead: LeadInterval) -> Floats:
    """The inverse of ``_from_kw`` for (rows, columns)."""
    if not LEAD_PARAMS[lead].corrects_latest:
        return raw
    return np.maximum(raw + _latest_sqrt(series, rows)[:, None], 0) ** 2


def _latest_sqrt(series: MinuteSeries, rows: Rows) -> Floats:
    return np.sqrt(np.maximum(series.power_kw[rows - 1], 0))
