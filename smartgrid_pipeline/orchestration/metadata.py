"""Dagster metadata of each asset: the numbers, tables and pictures that people look at in the UI."""

import base64
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import pandas as pd

from smartgrid_pipeline.core.schema import ACTIVE_POWER, OBSERVED_SHARE, Finding, Verdict

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from smartgrid_pipeline.orchestration.flows.compare import Comparison
    from smartgrid_pipeline.orchestration.flows.report_anomalies import Assessment
    from smartgrid_pipeline.orchestration.flows.train import EvaluatedCandidate
    from smartgrid_pipeline.registry import Champion, Promotion, TrackedRun
    from smartgrid_pipeline.sources import Readings

Metadata = dict[str, dg.MetadataValue | float | int | str]


def picture(figure: "Figure") -> dg.MarkdownMetadataValue:
    """A matplotlib figure as an embedded PNG."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=80, bbox_inches="tight")
    return dg.MetadataValue.md(f"![](data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()})")


def table(frame: pd.DataFrame, rows: int = 30) -> dg.MarkdownMetadataValue:
    """The first rows of a frame as a Markdown table, numbers to four significant digits."""
    shown = frame.head(rows)
    header = ["| " + " | ".join(map(str, shown.columns)) + " |", "|" + "---|" * len(shown.columns)]
    body = [
        "| " + " | ".join(f"{v:.4g}" if isinstance(v, float) else str(v) for v in row) + " |"
        for row in shown.itertuples(index=False)
    ]
    more = [f"\n… {len(frame) - rows} more rows"] if len(frame) > rows else []
    return dg.MetadataValue.md("\n".join(header + body + more))


def readings(frame: pd.DataFrame) -> Metadata:
    """Size, span, power and a picture of readings or of a feature table."""
    observed = frame[ACTIVE_POWER].notna()
    facts: Metadata = {
        "dagster/row_count": len(frame),
        "observed_share": float(observed.mean()) if len(frame) else 0.0,
        "mean_power_kw": float(frame[ACTIVE_POWER].mean()) if observed.any() else 0.0,
        "max_power_kw": float(frame[ACTIVE_POWER].max()) if observed.any() else 0.0,
        "first": str(frame.index.min()),
        "last": str(frame.index.max()),
        "channels": ", ".join(column for column in frame if column.endswith(("_kw", "_kvar", "_v", "_a"))),
    }
    if observed.any():
        facts["picture"] = picture(_profile(frame))
    return facts


def source(recorded: "Readings") -> Metadata:
    """Where readings came from: location, hash, rows, and the reader's notes on what it assumed."""
    return {
        "source": recorded.fingerprint.location,
        "sha256": recorded.fingerprint.sha256,
        "source_rows": recorded.fingerprint.rows,
        "meter": recorded.meter.meter_id,
        "notes": dg.MetadataValue.md("\n".join(f"- {note}" for note in recorded.notes) or "nothing to note"),
    }


def defects(found: pd.DataFrame) -> Metadata:
    """Minutes of each defect type, and the defects as a table."""
    minutes = found.groupby("kind")["minutes"].agg(["count", "sum"]) if len(found) else found
    by_type = {f"{name}_minutes": int(row["sum"]) for name, row in minutes.iterrows()} if len(found) else {}
    return {"dagster/row_count": len(found), "table": table(found), **by_type}


def tracking_run(run: "TrackedRun") -> Metadata:
    """Id and page of a tracking run, and its metrics as numbers that Dagster plots over the months."""
    numbers: Metadata = {key: float(value) for key, value in sorted(run.metrics.items()) if "/" not in key}
    return {
        "mlflow_run_id": run.run_id,
        "mlflow_run": dg.MetadataValue.url(run.link()),
        "data_sha256": run.data.sha256,
        **numbers,
    }


def candidate(evaluated: "EvaluatedCandidate") -> Metadata:
    """A candidate's run, its metrics on the month, a week of its forecasts, the verdicts of its audits."""
    headline = {key: value for key, value in tracking_run(evaluated.run).items() if _is_headline(key)}
    return {
        "dagster/row_count": len(evaluated.forecasts),
        "reused_training": str(evaluated.reused),
        "metrics": _metrics_by_card(evaluated.run),
        "audits": dg.MetadataValue.md(as_markdown(evaluated.verdicts)),
        "picture": picture(_week_of_forecasts(evaluated.forecasts)),
        **headline,
    }


def candidates(evaluated: "Sequence[EvaluatedCandidate]") -> Metadata:
    """Several candidates of one asset: their rows, and the run of each."""
    runs = pd.DataFrame([{"model": each.name, "mlflow_run_id": each.run.run_id} for each in evaluated])
    return {"dagster/row_count": sum(len(each.forecasts) for each in evaluated), "runs": table(runs)}


def comparison(compared: "Comparison", page: Path, run_id: str, figures: "Mapping[str, Figure]") -> Metadata:
    """Path and run of the report, the ranking, the decision, and every figure of the report."""
    columns = ["card", "model", "rmse_kw", "mae_kw", "mape_percent", "crps_kw", "coverage_80", "n_scored"]
    ranked = compared.table.sort_values(["card", "crps_kw"])[columns]
    composite: Metadata = {f"composite_{name}": float(v) for name, v in compared.scores.composite.items()}
    return {
        "dagster/row_count": len(compared.table),
        "report": dg.MetadataValue.path(str(page)),
        "mlflow_run_id": run_id,
        "challenger": compared.challenger,
        "gate": "passed" if compared.decision.passed else "not passed",
        "decision": dg.MetadataValue.md(as_markdown([compared.decision])),
        "ranking": table(ranked, rows=200),
        **composite,
        **{name: picture(figure) for name, figure in figures.items()},
    }


def decision(
    champion: "Champion | None", promotion: "Promotion | None", outcome: str, ledger: pd.DataFrame
) -> Metadata:
    """The champion after the decision, the outcome in words, and the ledger of all champions."""
    return {
        "champion": f"{champion.model} of {champion.month}" if champion else "none",
        "version": champion.version if champion else 0,
        "mlflow_run_id": champion.run_id if champion else "",
        "promoted": str(bool(promotion and promotion.changed)),
        "decision": dg.MetadataValue.md(outcome.replace("\n", "\n\n")),
        "ledger": table(ledger),
    }


def parameters(run: "TrackedRun") -> pd.DataFrame:
    """Parameters of a run as a frame with the columns ``parameter`` and ``value``, both text."""
    return pd.DataFrame(sorted(run.parameters.items()), columns=["parameter", "value"]).astype(str)


def events(found: pd.DataFrame, figures: "Mapping[str, Figure]", page: Path) -> Metadata:
    """Events of a month: their number and energy, a table, and pictures of the gravest."""
    shown = found[
        ["start", "end", "kind", "alarm_class", "channels", "severity", "energy_kwh", "explanation"]
    ]
    return {
        "dagster/row_count": len(found),
        "energy_in_doubt_kwh": float(found["energy_kwh"].sum()) if len(found) else 0.0,
        "report": dg.MetadataValue.path(str(page)),
        "events": table(shown),
        **{name: picture(figure) for name, figure in figures.items()},
    }


def assessment(found: "Assessment") -> Metadata:
    """Alarms against the promised rate, whether to refit, and the inputs that have drifted most."""
    rate = found.figures.rate
    return {
        "alarms_per_month": rate.alarms / rate.months,
        "promised_per_month": rate.promised_false_alarms_per_month,
        "p_value_of_so_many_alarms": rate.p_value,
        "refit_advised": rate.refit,
        "detector_gate": dg.MetadataValue.md(as_markdown([found.verdict])),
        "drifted_inputs": table(found.drifted_inputs.head(8)),
    }


def as_markdown(verdicts: Sequence[Verdict]) -> str:
    """Verdicts as Markdown tables: each rule, what was found, what was demanded."""
    lines = []
    for verdict in verdicts:
        lines += [f"**{verdict.suite} of {verdict.subject}: {'passed' if verdict.passed else 'FAILED'}**", ""]
        lines += ["| | rule | found | demanded |", "|---|---|---|---|"]
        lines += [
            f"| {_mark(finding)} | {finding.rule} | {finding.found} | {finding.demanded} |"
            for finding in verdict.findings
        ]
        lines.append("")
    return "\n".join(lines)


def _mark(finding: Finding) -> str:
    if finding.passed:
        return "✓"
    return "✗" if finding.severity == "critical" else "!"


def _is_headline(key: str) -> bool:
    name = key.rsplit(".", 1)[-1]
    return key.startswith(("mlflow", "data")) or (
        not key.startswith("validation") and name in ("rmse_kw", "crps_kw", "coverage_80")
    )


def _metrics_by_card(run: "TrackedRun") -> dg.MarkdownMetadataValue:
    columns = (
        "rmse_kw",
        "mae_kw",
        "mape_percent",
        "wape_percent",
        "crps_kw",
        "coverage_80",
        "r2",
        "n_scored",
    )
    cards = sorted({key.split(".")[0] for key in run.metrics if key.endswith(".crps_kw")} - {"validation"})
    rows = [
        {"card": card, **{name: run.metrics.get(f"{card}.{name}", float("nan")) for name in columns}}
        for card in cards
    ]
    return table(pd.DataFrame(rows))


def _week_of_forecasts(forecasts: pd.DataFrame) -> "Figure":
    """Second week of the month: day-ahead forecasts with their 80 % interval, and observed power, in kW."""
    from matplotlib.figure import Figure

    card = "T4" if (forecasts["card"] == "T4").any() else forecasts["card"].iloc[-1]
    week = forecasts[forecasts["card"] == card].sort_values("interval_start").iloc[7 * 24 : 14 * 24]
    figure = Figure(figsize=(8, 2.6), layout="constrained")
    axes = figure.subplots()
    times = week["interval_start"]
    axes.fill_between(
        times, week["q10_kw"], week["q90_kw"], color="#56B4E9", alpha=0.4, label="80 % interval"
    )
    axes.plot(times, week["mean_kw"], color="#0072B2", linewidth=1, label="forecast")
    axes.plot(times, week["observed_kw"], color="#222222", linewidth=0.8, label="observed")
    axes.set_ylabel("mean power (kW)")
    axes.set_title(f"{card}: the second week of the month", fontsize=9)
    axes.legend(fontsize=7, ncols=3)
    return figure


def _profile(frame: pd.DataFrame) -> "Figure":
    """Daily mean power in kW, and the share of each day that was observed."""
    from matplotlib.figure import Figure

    ordered = frame[~frame.index.duplicated()].sort_index()
    daily = ordered[ACTIVE_POWER].resample("1D").mean()
    share = ordered[OBSERVED_SHARE] if OBSERVED_SHARE in ordered else ordered[ACTIVE_POWER].notna()
    observed = share.astype(float).resample("1D").mean()
    figure = Figure(figsize=(8, 3), layout="constrained")
    power, coverage = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    power.plot(daily.index, daily.to_numpy(), color="#0072B2", linewidth=1)
    power.set_ylabel("daily mean (kW)")
    coverage.fill_between(observed.index, 100 * observed.to_numpy(), color="#009E73", step="mid")
    coverage.set_ylabel("observed (%)")
    coverage.set_ylim(0, 105)
    return figure
