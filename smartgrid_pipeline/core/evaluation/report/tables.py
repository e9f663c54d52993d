"""Tables of the report as rows of cells: text, whether it is the best of its column, and its tone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from smartgrid_pipeline.core.evaluation.audits import mixture
from smartgrid_pipeline.core.evaluation.promotion import readiness
from smartgrid_pipeline.core.evaluation.promotion.candidate_outcome import CandidateOutcome
from smartgrid_pipeline.core.evaluation.scoring.comparison import (
    COMPOSITE_TASKS,
    MIN_BLOCKS,
    RIVALS,
    SIGNIFICANCE,
    Evaluation,
)
from smartgrid_pipeline.core.evaluation.scoring.metrics import ANALOGUE
from smartgrid_pipeline.core.evaluation.style import colour, label
from smartgrid_pipeline.core.schema import EXPERT_NAMES, FORECAST_TASKS, MODEL_NAMES

Tests = dict[tuple[str, str, str], dict[str, Any]]
"""(task, model, rival) → its paired test."""

NOTHING = "–"
SHORT = {"lightgbm": "LightGBM", ANALOGUE: "analogue"}


@dataclass(frozen=True)
class Column:
    """A metric as a table column: scale and digits shown, and which direction is better."""

    metric: str
    heading: str
    unit: str
    digits: int
    better: str  # "low", "high", "near 80" or ""
    scale: float = 1.0
    cards: tuple[str, ...] = ()  # empty: all


COLUMNS = (
    Column("crps_kw", "CRPS", "kW", 3, "low"),
    Column("rmse_kw", "RMSE", "kW", 3, "low"),
    Column("mae_kw", "MAE", "kW", 3, "low"),
    Column("r2", "R²", "", 3, "high"),
    Column("wape_percent", "WAPE", "%", 1, "low"),
    Column("mape_percent", "MAPE", "%", 1, "low"),
    Column("mase", "MASE", "", 2, "low"),
    Column("skill_persistence", "Skill", "% vs persist.", 1, "high", 100),
    Column("coverage_80", "In 80 %", "%", 1, "near 80", 100),
    Column("width_80_kw", "Width", "80 %, kW", 2, ""),
    Column("calibration_error", "Calibr.", "points off", 1, "low", 100),
    Column("cvrmse_percent", "CVRMSE", "%", 1, "low", cards=("T4",)),
    Column("peak_hour_hit_rate", "Peak h", "% hit", 0, "high", 100, ("T3", "T4")),
)
FIRST_COLUMNS = 1
"""Columns before the two comparisons with the rivals."""

MOST_BOLD = 4
"""When more cells than this share the best value, none is marked."""


@dataclass(frozen=True)
class Cell:
    """One table cell; ``tone`` is "good", "bad", "" or "even", ``shade`` a background colour or empty."""

    text: str
    best: bool = False
    tone: str = ""
    shade: str = ""
    hint: str = ""


def number(value: float, digits: int, sign: bool = False) -> str:
    """A number for readers; a dash when there is none."""
    if not np.isfinite(value):
        return NOTHING
    rounded = round(float(value), digits) + 0.0  # no negative zero
    return f"{rounded:{'+' if sign else ''},.{digits}f}".replace("-", "−")


def cards(scores: Evaluation) -> list[dict[str, Any]]:
    """One ranking per task, models in order of CRPS."""
    tests = {(test["card"], test["a"], test["b"]): test for test in scores.tests.to_dict("records")}
    return [_card(scores, card, tests) for card in scores.cards]


def _card(scores: Evaluation, card: str, tests: Tests) -> dict[str, Any]:
    rows = scores.metrics[scores.metrics["card"] == card].sort_values("crps_kw", kind="stable")
    shown = [column for column in COLUMNS if not column.cards or card in column.cards]
    best = {column.metric: _best(rows[column.metric] * column.scale, column) for column in shown}
    ranks = {model: i + 1 for i, model in enumerate(model for model in rows["model"] if model in MODEL_NAMES)}
    body = []
    for row in rows.to_dict("records"):
        cells = [
            Cell(
                text := number(row[column.metric] * column.scale, column.digits), text == best[column.metric]
            )
            for column in shown
        ]
        cells[FIRST_COLUMNS:FIRST_COLUMNS] = [
            _against(tests.get((card, row["model"], rival))) for rival in RIVALS
        ]
        body.append(_line(row["model"], ranks.get(row["model"]), cells))
    headings = [(column.heading, column.unit) for column in shown]
    rivals = [("CRPS", f"% vs {SHORT[rival]}") for rival in RIVALS]
    known = next(each for each in FORECAST_TASKS if each.name == card)
    return {
        "name": card,
        "title": known.title,
        "n": f"{int(rows['n_scored'].max()):,}",
        "origins": f"{int(rows['n_origins'].max()):,}",
        "columns": [*headings[:FIRST_COLUMNS], *rivals, *headings[FIRST_COLUMNS:]],
        "rows": body,
    }


def _best(values: pd.Series, column: Column) -> str:
    """The text of a column's best value, so that equal texts are marked alike; "" when none is marked."""
    finite = values[np.isfinite(values)]
    if finite.empty or not column.better:
        return ""
    pick = {"low": finite.min(), "high": finite.max(), "near 80": finite.iloc[(finite - 80).abs().argmin()]}
    best = number(float(pick[column.better]), column.digits)
    equal = sum(number(float(value), column.digits) == best for value in finite)
    return best if equal <= MOST_BOLD else ""


def _against(test: dict[str, Any] | None) -> Cell:
    """Difference to a rival in per cent of its CRPS, marked when significant."""
    if test is None:
        return Cell(NOTHING)
    text = number(test["mean_difference_percent"], 1, sign=True)
    hint = (
        f"95 %: {test['low_percent']:+.1f} … {test['high_percent']:+.1f} %, p = {test['p']:.4f}, "
        f"{test['n_days']} days in blocks of {test['block_days']}; Diebold–Mariano p = {test['dm_p']:.4f}"
    )
    if test["n_blocks"] < MIN_BLOCKS or test["p"] >= SIGNIFICANCE:
        return Cell(f"{text} ≈", tone="even", hint=hint)
    good = test["mean_difference_percent"] < 0
    return Cell(f"{text} {'✓' if good else '✗'}", tone="good" if good else "bad", hint=hint)


def overview(scores: Evaluation) -> dict[str, Any]:
    """CRPS of every model on every task and the composite, shaded by the ratio to the 28-day analogue."""
    crps = scores.metrics.pivot(index="model", columns="card", values="crps_kw")[list(scores.cards)]
    composite = scores.composite
    base = crps.loc[ANALOGUE] if ANALOGUE in crps.index else None
    order = composite.reindex(crps.index).sort_values(kind="stable", na_position="last").index
    ranks = {model: i + 1 for i, model in enumerate(model for model in order if model in MODEL_NAMES)}
    lowest = {card: number(float(crps[card].min()), 3) for card in crps}
    body = []
    for model in order:
        share = float(composite.get(model, np.nan))
        first = Cell(number(share, 3), bool(len(composite)) and share == composite.min(), shade=_shade(share))
        cells = [first]
        for card in crps:
            value = float(crps.loc[model, card])
            relative = value / float(base[card]) if base is not None else float("nan")
            cells.append(Cell(text := number(value, 3), text == lowest[card], shade=_shade(relative)))
        body.append(_line(str(model), ranks.get(model), cells))
    names = ", ".join(card for card in COMPOSITE_TASKS if card in scores.cards)
    return {
        "columns": [("Composite", "analogue = 1"), *((card, "CRPS, kW") for card in crps)],
        "rows": body,
        "composite_cards": names,
    }


def _line(model: str, rank: int | None, cells: list[Cell]) -> dict[str, Any]:
    return {
        "model": label(model),
        "colour": colour(model),
        "rank": rank or "",
        "reference": model not in MODEL_NAMES,
        "cells": cells,
    }


def _shade(relative: float) -> str:
    """Background of a loss relative to the analogue: blue below 1, orange above; none at
    1 or when unknown.
    """
    if not np.isfinite(relative):
        return ""
    strength = min(abs(float(np.log(max(relative, 1e-6)))) / np.log(2), 1.0)
    base = (0, 114, 178) if relative < 1 else (230, 159, 0)
    return f"rgba({base[0]},{base[1]},{base[2]},{0.34 * strength:.3f})"


@dataclass(frozen=True)
class Tile:
    """A headline number, its meaning, and a detail in small print."""

    figure: str
    meaning: str
    detail: str


def tiles(scores: Evaluation, challenger: str | None) -> list[Tile]:
    """Headline numbers; those that cannot be computed are left out."""
    out, composite = [], scores.composite
    for card, reference, metric, _ in readiness.MARGINS:
        if gain := readiness.gain_percent(scores, card, reference, metric):
            text = number(-gain[1], 1, sign=True) + " %"
            meaning = f"{card} RMSE against {label(reference).lower()}"
            out.append(Tile(text, meaning, f"best of the eight: {label(gain[0])}"))
    if challenger and challenger in composite:
        text = number(100 * (composite[challenger] - 1), 1, sign=True) + " %"
        detail = f"challenger: {label(challenger)}, mean over {_deciding(scores)}"
        out.append(Tile(text, "CRPS against the 28-day analogue", detail))
    if mixture.MIXTURE in composite:
        order = [model for model in composite.index if model in MODEL_NAMES]
        text = f"{order.index(mixture.MIXTURE) + 1} of {len(order)}"
        out.append(Tile(text, "rank of the mixture of experts", "among the eight, by composite CRPS"))
    widest = next((name for name in ("T4", "T3", "T2") if name in scores.cards), None)
    if widest and challenger and np.isfinite(share := scores.value(widest, challenger, "coverage_80")):
        meaning = f"of {widest} inside the 80 % interval"
        out.append(Tile(f"{100 * share:.1f} %", meaning, f"challenger: {label(challenger)}"))
    return out


def _deciding(scores: Evaluation) -> str:
    names = [card for card in COMPOSITE_TASKS if card in scores.cards]
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def correlation(scores: Evaluation) -> list[dict[str, Any]]:
    """Error correlations of the experts on T3, T4 or T2, whichever comes first; empty without experts."""
    card = next((name for name in ("T3", "T4", "T2") if name in scores.cards), None)
    matrix = mixture.error_correlation(scores.aligned, card) if card else pd.DataFrame()
    if len(matrix) < 2:
        return []
    names = [name for name in EXPERT_NAMES if name in matrix]
    return [
        {
            "model": label(a),
            "colour": colour(a),
            "cells": [Cell(number(float(matrix.loc[a, b]), 2)) for b in names],
        }
        for a in names
    ]


def costs(frame: pd.DataFrame | None, composite: pd.Series) -> list[dict[str, Any]]:
    """Cost of each model beside its accuracy, the most accurate first; empty when nothing was measured."""
    if frame is None or frame.empty:
        return []
    order = frame.assign(composite=frame["model"].map(composite)).sort_values("composite", na_position="last")
    digits = {
        "composite": 3,
        "latency_ms": 2,
        "memory_mb": 0,
        "model_memory_mb": 0,
        "size_mb": 2,
        "parameters": 0,
        "fit_seconds": 1,
    }
    lowest = {column: number(float(order[column].min()), n) for column, n in digits.items()}
    best = ("composite", "latency_ms", "memory_mb", "model_memory_mb", "size_mb", "fit_seconds")
    return [
        _line(row["model"], None, [
            Cell(text := number(float(row[column]), n), column in best and text == lowest[column])
            for column, n in digits.items()
        ])
        for row in order.to_dict("records")
    ]  # fmt: skip


def candidate_outcomes(lines: Sequence[CandidateOutcome]) -> list[dict[str, Any]]:
    """Outcome and reason of each candidate, beside the numbers it was chosen by."""
    tones = {"champion": "good", "refused": "bad"}
    return [
        _line(
            line.model,
            line.rank,
            [Cell(number(line.validation_crps, 3)), Cell(number(line.month_crps, 3))],
        )
        | {"outcome": line.outcome, "tone": tones.get(line.outcome, "even"), "why": line.reason}
        for line in lines
    ]


def memory_reasons(frame: pd.DataFrame | None) -> list[str]:
    """Which models' memory was not measured, and why, one line per reason."""
    if frame is None:
        return []
    found = frame[frame["memory_reason"] != ""].groupby("memory_reason", sort=False)["model"]
    return [f"{', '.join(label(name) for name in models)}: {reason}" for reason, models in found]


def defects(frame: pd.DataFrame | None) -> dict[str, Any] | None:
    """Counts by defect type and the longest defects of the month; None without ``frame``."""
    if frame is None:
        return None
    longest = frame.sort_values("minutes", ascending=False, kind="stable").head(12)
    by_type = frame.groupby("kind")["minutes"]
    return {
        "types": [(str(name).replace("_", " "), len(m), f"{int(m.sum()):,}") for name, m in by_type],
        "rows": [
            (
                f"{row['start']:%d %b %H:%M}",
                f"{row['end']:%d %b %H:%M}",
                str(row["kind"]).replace("_", " "),
                f"{row['minutes']:,}",
            )
            for row in longest.to_dict("records")
        ],
        "more": max(0, len(frame) - len(longest)),
    }
