"""The comparison report of a month: gather what it shows, render it, log it, write it."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from smartgrid_pipeline.core.evaluation.audits import mape_forensics
from smartgrid_pipeline.core.evaluation.audits.mixture import MIXTURE
from smartgrid_pipeline.core.evaluation.promotion import deployment
from smartgrid_pipeline.core.evaluation.report import report
from smartgrid_pipeline.core.forecasting import history_frames
from smartgrid_pipeline.core.schema import EXPERT_NAMES, MODEL_NAMES
from smartgrid_pipeline.orchestration.files import write_atomically
from smartgrid_pipeline.orchestration.flows.compare import Comparison
from smartgrid_pipeline.orchestration.flows.month_summary import write_summary
from smartgrid_pipeline.orchestration.flows.training_context import TrainingContext, month_times
from smartgrid_pipeline.orchestration.months import load_months
from smartgrid_pipeline.orchestration.resources import Resources

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from smartgrid_pipeline.registry import TrackedRun

MEASURED = (*MODEL_NAMES, "lightgbm", "analogue_28d")
"""Models whose memory and speed are measured for the report's deployment scenarios."""


def publish(
    resources: Resources,
    context: TrainingContext,
    compared: Comparison,
    table: pd.DataFrame,
    tags: dict[str, str],
) -> "tuple[Path, str, dict[str, Figure]]":
    """Write the report and the month's numbers, and log both.

    ``table`` is the feature table up to the month. Returns the page, its tracking run and its figures.
    """
    inputs = collect(resources, context, compared, table)
    figures = report.figures(inputs)
    html = report.render(inputs, figures)
    page = resources.settings.data_dir / "reports" / compared.month / "report.html"
    write_atomically(page, html.encode())
    run_id = resources.registry.log_report(
        month=compared.month,
        compared=[run.run_id for run in compared.runs.values()],
        html=html,
        metrics={f"composite/{model}": value for model, value in compared.scores.composite.items()},
        verdicts=compared.evidence,
        figures=figures,
        tables={"metrics": compared.table, "tests": compared.scores.tests},
        tags=tags,
    )
    summary = report.summary_json(inputs) | {
        "challenger_run_id": compared.runs[compared.challenger].run_id,
        "report_run_id": run_id,
        "failed_audits": [verdict.summary() for verdict in compared.failed_audits],
    }
    write_summary(resources, compared.month, summary)
    return page, run_id, figures


def collect(
    resources: Resources, context: TrainingContext, compared: Comparison, table: pd.DataFrame
) -> report.ReportInputs:
    """The contents of a month's report; raises what loading the models raises."""
    meter, month = context.history.meter, compared.month
    before = table[table.index < pd.Timestamp(str(context.split.end))]
    return report.ReportInputs(
        meter=meter,
        month=month,
        data=_data_facts(context),
        scores=compared.scores,
        span=compared.all_months,
        forensics=mape_forensics.investigate(before, meter, resources.settings.seed),
        challenger=compared.challenger,
        champion=_champion_after(compared),
        verdict=compared.decision,
        verdicts=compared.evidence,
        candidate_outcomes=compared.candidate_outcomes,
        shares=expert_weights(resources, context, compared.runs),
        costs=costs(resources, context, compared.runs),
        defects=load_months(resources.settings.data_dir, "defects", [month]),
        anomalies=_anomaly_facts(resources, month),
        curves=_curves(resources, compared.runs),
        runs={name: run.run_id for name, run in compared.runs.items()},
        links={name: run.link() for name, run in compared.runs.items()},
        commands=(
            f"smartgrid run --month {month}",
            f"smartgrid report --month {month} --json",
            "smartgrid defects --json",
            "smartgrid champion --json",
        ),
    )


def _data_facts(context: TrainingContext) -> dict[str, str]:
    meter, split = context.history.meter, context.split
    facts = {
        "sha256": context.data_sha256,
        "rows": f"{len(context.history.starts):,} of {meter.working_minutes} minutes",
        "training window": f"{split.start} to {split.end}, holdout from {split.train_end}",
        "channels": ", ".join(meter.channels),
    }
    if context.left_out:
        facts["months left out"] = ", ".join(context.left_out) + " (audit not passed)"
    return facts


def _champion_after(compared: Comparison) -> str | None:
    """Name of the champion after this decision; None when there is none."""
    if compared.decision.passed:
        return compared.challenger
    return compared.champion.model if compared.champion else None


def expert_weights(
    resources: Resources, context: TrainingContext, runs: "Mapping[str, TrackedRun]"
) -> pd.DataFrame | None:
    """Mean gate weights of the month by hour of the target, lead and expert (``SHARE_COLUMNS``).

    None without a mixture among the runs.
    """
    if MIXTURE not in runs:
        return None
    from smartgrid_pipeline.core.forecasting.mixture.mixture import MixtureOfExperts
    from smartgrid_pipeline.core.schema import leads_for

    mixture = resources.registry.load(runs[MIXTURE].run_id)
    assert isinstance(mixture, MixtureOfExperts)
    history, leads = context.history, leads_for(context.history.meter.working_minutes)
    start, end = month_times(context.month)
    origins = history.origins(start, end, 360)
    weights = mixture.expert_weights(history, origins, leads)
    ends = np.array([lead.end_minutes for lead in leads])
    hours = ((origins[:, None] + ends.astype("timedelta64[m]")).astype(np.int64) - 1) // 60 % 24
    frame = pd.DataFrame(weights.reshape(-1, weights.shape[-1]), columns=list(mixture.expert_names))
    frame["hour"], frame["lead_minutes"] = hours.ravel(), np.tile(ends, len(origins))
    long = frame.melt(["hour", "lead_minutes"], list(EXPERT_NAMES), "expert", "share")
    return long.groupby(["hour", "lead_minutes", "expert"], as_index=False)["share"].mean()


def costs(resources: Resources, context: TrainingContext, runs: "Mapping[str, TrackedRun]") -> pd.DataFrame:
    """Fitting time, memory, size and speed of each model on this machine (``deployment.COST_COLUMNS``)."""
    from smartgrid_pipeline.core.forecasting.catalogue import loaders
    from smartgrid_pipeline.core.forecasting.newest import WINDOW_DAYS

    load = loaders()
    rows: list[dict[str, Any]] = []
    with TemporaryDirectory(prefix="smartgrid-costs-") as folder:
        recent = history_frames.save(
            context.training_history.last_days(WINDOW_DAYS), Path(folder) / "recent.npz"
        )
        for name in [name for name in MEASURED if name in runs]:
            directory = resources.registry.model_directory(runs[name].run_id)
            memory = deployment.peak_memory(load[name], directory, recent)
            rows.append({
                "model": name,
                "fit_seconds": float(runs[name].tags.get("fit_cpu_seconds", "nan")),
                "memory_mb": memory.whole_mb,
                "model_memory_mb": memory.model_mb,
                "memory_reason": memory.reason,
                **deployment.measure(load[name], directory, context.training_history, repeats=5),
            })  # fmt: skip
    return pd.DataFrame(rows, columns=list(deployment.COST_COLUMNS))


def _curves(resources: Resources, runs: "Mapping[str, TrackedRun]") -> dict[str, pd.DataFrame]:
    """Loss curves of the neural models, as logged with their training."""
    neural = [name for name in (*EXPERT_NAMES, MIXTURE) if name in runs]
    return {name: resources.registry.table(runs[name].run_id, "curves") for name in neural}


def _anomaly_facts(resources: Resources, month: str) -> dict[str, str]:
    """The month's alarms in a few facts; empty when the anomaly report was not made."""
    events = load_months(resources.settings.data_dir, "anomaly_report", [month])
    if events is None:
        return {}
    by_class = events.groupby("alarm_class").size()
    counts = {f"{name.replace('_', ' ')} events": str(count) for name, count in by_class.items()}
    return {
        "events": str(len(events)),
        "promised false alarms": f"{resources.settings.alarms_per_month:g} a month",
        **counts,
        "energy in doubt": f"{events['energy_kwh'].sum():.1f} kWh",
        "page": "anomalies.html, beside this report",
    }
