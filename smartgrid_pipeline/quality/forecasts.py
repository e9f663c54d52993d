"""Audit of a table of scored forecasts of any model."""

import numpy as np
import pandas as pd

from smartgrid_pipeline.core.schema import (
    FORECAST_COLUMNS,
    QUANTILE_COLUMNS,
    Finding,
    Meter,
    Verdict,
    tasks_for,
)
from smartgrid_pipeline.quality import expectations
from smartgrid_pipeline.quality.readings import LIMIT_KW

KEY = ["card", "origin", "interval_start", "interval_end"]

SCORED_ROWS = 20
"""Scored intervals that a task needs; fewer are too few to compare models by."""

LONGEST_TASK = "T5_week"
"""Its intervals mostly end after the month they start in, so a month may score none of them."""


def audit_forecasts(
    forecasts: pd.DataFrame, meter: Meter, subject: str, limit_kw: float = LIMIT_KW
) -> Verdict:
    """Verdict on forecasts (FORECAST_COLUMNS, one row per task, origin and lead
    interval): may they be scored?
    """
    suite = expectations.Suite(FORECAST_COLUMNS)
    suite.add("ExpectCompoundColumnsToBeUnique", {"column_list": KEY}, "forecasts come once", "no key twice")
    for column in ("mean_kw", *QUANTILE_COLUMNS):
        suite.known(column, 1.0)
        suite.between(column, -1e-6, limit_kw, "kW")
    findings = expectations.check(forecasts.reset_index(drop=True), suite)
    if forecasts.empty or not set(FORECAST_COLUMNS) <= set(forecasts.columns):
        return Verdict("forecasts", subject, tuple(findings))
    findings += [_ordered(forecasts), _spread(forecasts), _later(forecasts)]
    findings += [*_tasks(forecasts, meter)]
    return Verdict("forecasts", subject, tuple(findings))


def _ordered(forecasts: pd.DataFrame) -> Finding:
    quantiles = forecasts[list(QUANTILE_COLUMNS)].to_numpy(np.float64)
    crossed = int((np.diff(quantiles, axis=1) < -1e-6).any(axis=1).sum())
    return Finding(
        "quantiles are ordered", crossed == 0, f"{crossed} of {len(forecasts)} rows cross", "none crosses"
    )


def _spread(forecasts: pd.DataFrame) -> Finding:
    """Whether quantiles have width; identical quantiles are a point forecast."""
    width = (forecasts[QUANTILE_COLUMNS[-1]] - forecasts[QUANTILE_COLUMNS[0]]).to_numpy(np.float64)
    share = float((width > 0).mean())
    return Finding(
        "quantiles have width", share >= 0.9, f"{100 * share:.1f} % of the rows", "at least 90 % of the rows"
    )


def _later(forecasts: pd.DataFrame) -> Finding:
    """Whether every interval lies after its origin."""
    early = (forecasts["interval_start"] < forecasts["origin"]).to_numpy()
    empty = (forecasts["interval_end"] <= forecasts["interval_start"]).to_numpy()
    return Finding(
        "intervals lie after their origin",
        not (early | empty).any(),
        f"{int(early.sum())} begin before it, {int(empty.sum())} have no length",
        "none",
    )


def _tasks(forecasts: pd.DataFrame, meter: Meter) -> list[Finding]:
    """Whether every task of the meter is there, with all its lead intervals and enough scored rows."""
    minute = pd.Timedelta(minutes=1)
    findings = []
    for task in tasks_for(meter.working_minutes):
        rows = forecasts[forecasts["card"] == task.name]
        starts = ((rows["interval_start"] - rows["origin"]) / minute).round().astype(int)
        ends = ((rows["interval_end"] - rows["origin"]) / minute).round().astype(int)
        leads = set(zip(starts, ends, strict=True))
        wanted = {(lead.start_minutes, lead.end_minutes) for lead in task.leads}
        scored = int(np.isfinite(rows["observed_kw"].to_numpy(np.float64)).sum())
        findings.append(
            Finding(
                f"{task.name} is forecast and scored",
                wanted <= leads and scored >= SCORED_ROWS,
                f"{len(wanted & leads)} of {len(wanted)} lead intervals, {scored} of {len(rows)} rows scored",
                f"all lead intervals, at least {SCORED_ROWS} rows",
                "warning" if task.name == LONGEST_TASK else "critical",
            )
        )
    return findings
