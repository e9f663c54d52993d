"""The comparison report of a month: one HTML file that opens anywhere, and the same numbers as JSON."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from smartgrid_pipeline.core.evaluation.audits import mixture
from smartgrid_pipeline.core.evaluation.audits.mape_forensics import (
    CLAIMED_FLAGGED,
    CLAIMED_FRACTION,
    CLAIMED_ROWS,
    Forensics,
)
from smartgrid_pipeline.core.evaluation.promotion import readiness
from smartgrid_pipeline.core.evaluation.promotion.candidate_outcome import CandidateOutcome, headline
from smartgrid_pipeline.core.evaluation.promotion.deployment import SCENARIOS, choose
from smartgrid_pipeline.core.evaluation.report import plots, plots_forecasts, tables
from smartgrid_pipeline.core.evaluation.scoring.comparison import COMPOSITE_TASKS, RESAMPLES, Evaluation
from smartgrid_pipeline.core.evaluation.scoring.metrics import ANALOGUE, FORMULAS, verify
from smartgrid_pipeline.core.evaluation.style import colour, label, svg
from smartgrid_pipeline.core.schema import FORECAST_TASKS, MODEL_NAMES, Finding, Meter, Verdict

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class ReportInputs:
    """Everything that a report shows: plain frames and values. What may be absent has a default.

    ``data`` are facts on the data (hash, rows, window, source). ``span`` are the scores over all months
    scored so far, None in the first. ``champion`` is the champion after the verdict; ``candidate_outcomes``
    hold the reasons. ``shares`` has mixture.SHARE_COLUMNS, ``costs`` deployment.COST_COLUMNS, ``defects``
    meter_data.DEFECT_COLUMNS. ``runs`` maps a model to its tracking run, ``links`` to that run's page.
    ``anomalies`` are facts, shown as given.
    """

    meter: Meter
    month: str
    data: Mapping[str, str]
    scores: Evaluation
    forensics: Forensics
    span: Evaluation | None = None
    challenger: str | None = None
    champion: str | None = None
    verdict: Verdict | None = None
    verdicts: tuple[Verdict, ...] = ()
    candidate_outcomes: tuple[CandidateOutcome, ...] = ()
    shares: pd.DataFrame | None = None
    costs: pd.DataFrame | None = None
    defects: pd.DataFrame | None = None
    anomalies: Mapping[str, str] = field(default_factory=dict)
    curves: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    runs: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    commands: tuple[str, ...] = ()


def figures(inputs: ReportInputs) -> "dict[str, Figure]":
    """Every figure that the inputs allow, by name, in the order of the report."""
    scores, span = inputs.scores, inputs.span or inputs.scores
    lines = _highlighted(inputs)
    card = next((name for name in ("T3", "T4") if name in scores.cards), None)
    drawn = {
        "what_mape": plots.what_mape(inputs.forensics, _lowest_mape(scores))
        if inputs.forensics.rows
        else None,
        "ranking": plots_forecasts.ranking(scores),
        "daily_loss": plots_forecasts.daily_loss(scores, lines),
        "reliability": plots_forecasts.reliability_diagram(scores, lines),
        "coverage": plots_forecasts.coverage(scores, span, lines, card) if card else None,
        "day_forecasts": plots_forecasts.day_forecasts(scores, lines[0], card) if card else None,
        "expert_shares": plots.expert_shares(inputs.shares) if inputs.shares is not None else None,
        "deployment": None if inputs.costs is None else plots.deployment(inputs.costs, scores.composite),
        "training_curves": plots.training_curves(inputs.curves) if inputs.curves else None,
    }
    return {name: figure for name, figure in drawn.items() if figure is not None}


def render(inputs: ReportInputs, drawn: "Mapping[str, Figure] | None" = None) -> str:
    """The report as one self-contained HTML page; ``drawn`` are its figures, when already made.

    Raises DataError when a metrics table fails ``metrics.verify``.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    for scores in filter(None, (inputs.scores, inputs.span)):
        verify(scores.metrics)
    folder = FileSystemLoader(Path(__file__).parent)
    environment = Environment(
        loader=folder, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    images = {
        name: "data:image/svg+xml;base64," + base64.b64encode(svg(figure).encode()).decode()
        for name, figure in (figures(inputs) if drawn is None else drawn).items()
    }
    return environment.get_template("report.html.j2").render(_view(inputs), images=images)


def summary_json(inputs: ReportInputs) -> dict[str, Any]:
    """The report's numbers as plain data: ``cards.<card>.models.<name>``, ``n_scored`` and ``tests``.

    Undefined numbers are None. ``all_months`` has the same shape over every month scored, None in the first.
    """
    return {
        "meter": inputs.meter.meter_id,
        "month": inputs.month,
        "data": dict(inputs.data),
        "challenger": inputs.challenger,
        "champion": inputs.champion,
        "verdict": inputs.verdict.to_dict() if inputs.verdict else None,
        "candidates": [
            {name: _plain(value) for name, value in line.to_dict().items()}
            for line in inputs.candidate_outcomes
        ],
        "why_not_the_best": headline(inputs.candidate_outcomes),
        "cards": _cards_json(inputs.scores, inputs.runs),
        "composite": {model: float(value) for model, value in inputs.scores.composite.items()},
        "all_months": None if inputs.span is None else {"cards": _cards_json(inputs.span, inputs.runs)},
        "forensics": inputs.forensics.to_dict(),
    }


def _cards_json(scores: Evaluation, runs: Mapping[str, str]) -> dict[str, Any]:
    cards: dict[str, Any] = {}
    for card in scores.cards:
        rows = scores.metrics[scores.metrics["card"] == card].set_index("model")
        numbers = rows.drop(columns=["card", "mape_floor_percent"])
        tests = scores.tests[scores.tests["card"] == card].drop(columns="card")
        cards[card] = {
            "n_scored": int(rows["n_scored"].max()),
            "models": {
                str(model): {name: _plain(value) for name, value in values.items()}
                | {"mlflow_run_id": runs.get(str(model))}
                for model, values in numbers.to_dict("index").items()
            },
            "tests": [
                {name: _plain(value) for name, value in test.items()}
                | {"statistic": _plain(test["dm_statistic"])}
                for test in tests.to_dict("records")
            ],
        }
    return cards


def _plain(value: object) -> str | int | float | None:
    """A value as JSON can hold it; None for a number that is not finite."""
    if isinstance(value, str):
        return value
    number = float(value)  # type: ignore[arg-type]
    if not np.isfinite(number):
        return None
    return int(number) if isinstance(value, (int, np.integer)) else number


def _highlighted(inputs: ReportInputs) -> list[str]:
    """Up to four models to draw; the challenger, champion or best model first."""
    best = readiness.best_model(inputs.scores, inputs.scores.cards[0], "crps_kw")
    leader = inputs.challenger or inputs.champion or (best[0] if best else None)
    wanted = [leader, mixture.MIXTURE, "lightgbm", ANALOGUE]
    present = [model for model in wanted if model is not None and model in inputs.scores.models]
    return list(dict.fromkeys(present or inputs.scores.models[:1]))


def _lowest_mape(scores: Evaluation) -> dict[str, tuple[str, float]]:
    """The lowest MAPE of any model on each deciding task, with the model's name."""
    rows = scores.metrics[scores.metrics["card"].isin(COMPOSITE_TASKS)].dropna(subset=["mape_percent"])
    best = rows.loc[rows.groupby("card", sort=False)["mape_percent"].idxmin()]
    titles = {card.name: f"{card.name}, {card.title.split(',')[0]}" for card in FORECAST_TASKS}
    return {
        titles[card]: (model, float(value))
        for card, model, value in zip(best["card"], best["model"], best["mape_percent"], strict=True)
    }


def _view(inputs: ReportInputs) -> dict[str, Any]:
    """The values of the template: text and table cells, computed completely."""
    scores = inputs.scores
    gate_findings: tuple[Finding, ...] = ()
    if inputs.shares is not None:
        gate_findings = (*mixture.share_findings(inputs.shares), mixture.collapse_finding(scores.aligned))
    ready = readiness.check(scores, inputs.challenger, inputs.verdicts, inputs.runs, inputs.costs)
    return {
        "inputs": inputs,
        "label": label,
        "colour": colour,
        "champion": label(inputs.champion) if inputs.champion else "none yet",
        "challenger": label(inputs.challenger) if inputs.challenger else None,
        "why_not_the_best": headline(inputs.candidate_outcomes),
        "candidate_outcomes": tables.candidate_outcomes(inputs.candidate_outcomes),
        "tiles": tables.tiles(scores, inputs.challenger),
        "claims": {
            "fraction": f"{CLAIMED_FRACTION:.5f}", "percent": f"{100 * CLAIMED_FRACTION:.1f}",
            "flagged": f"{CLAIMED_FLAGGED}", "rows": f"{CLAIMED_ROWS:,}",
            "accuracy": f"{100 * (1 - CLAIMED_FLAGGED / CLAIMED_ROWS):.2f}",
        },
        "blocks": [
            {"id": name, "title": words, "overview": tables.overview(each), "cards": tables.cards(each)}
            for name, words, each in _spans(inputs)
            if each is not None
        ],
        "gate_findings": gate_findings,
        "gate_is_even": inputs.shares is not None and mixture.weighs_all_alike(inputs.shares),
        "correlation": tables.correlation(scores),
        "costs": tables.costs(inputs.costs, scores.composite),
        "memory_reasons": tables.memory_reasons(inputs.costs),
        "scenarios": _scenarios(inputs),
        "readiness": ready,
        "ready": sum(finding.passed for finding in ready),
        "defects": tables.defects(inputs.defects),
        "formulas": FORMULAS,
        "resamples": f"{RESAMPLES:,}",
        "models": [
            (label(name), inputs.runs.get(name), inputs.links.get(name)) for name in _run_order(inputs)
        ],
    }  # fmt: skip


def _spans(inputs: ReportInputs) -> list[tuple[str, str, Evaluation | None]]:
    return [("month", inputs.month, inputs.scores), ("span", _span_title(inputs), inputs.span)]


def _span_title(inputs: ReportInputs) -> str:
    months = inputs.span.months if inputs.span else ("",)
    return f"all {len(months)} scored months, {months[0]} … {months[-1]}" if len(months) > 1 else months[0]


def _run_order(inputs: ReportInputs) -> list[str]:
    return list(dict.fromkeys([*MODEL_NAMES, *inputs.scores.models, *inputs.runs]))


def _scenarios(inputs: ReportInputs) -> list[dict[str, Any]]:
    if inputs.costs is None:
        return []
    composite = inputs.scores.composite
    chosen = [(scenario, choose(inputs.costs, composite, scenario)) for scenario in SCENARIOS]
    return [
        {
            "scenario": scenario,
            "model": label(model) if model else "none fits",
            "gain": tables.number(100 * (composite[model] - 1), 1, sign=True) + " %" if model else "–",
        }
        for scenario, model in chosen
    ]
