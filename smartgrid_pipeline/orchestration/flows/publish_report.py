"""The comparison report of a month: everything it shows gathered, rendered, logged and written."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from smartgrid_pipeline.core.evaluation.audits import mape_forensics
from smartgrid_pipeline.core.evaluation.audits import mixture as gate
from smartgrid_pipeline.core.evaluation.promotion import deployment
from smartgrid_pipeline.core.evaluation.report import report
from smartgrid_pipeline.core.forecasting import history
from smartgrid_pipeline.core.schema import EXPERT_NAMES, MODEL_NAMES
from smartgrid_pipeline.orchestration.files import write_atomically
from smartgrid_pipeline.orchestration.flows import compare
from smartgrid_pipeline.orchestration.flows.compare import Comparison
from smartgrid_pipeline.orchestration.flows.train import TrainingContext, month_times
from smartgrid_pipeline.orchestration.io_manager import load_months
from smartgrid_pipeline.orchestration.resources import Resources

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from smartgrid_pipeline.registry import TrackedRun

MEASURED = (*MODEL_NAMES, "lightgbm", "analogue_28d")
"""Models whose cost of running is measured for the deployment scenarios."""


def publish(
    resources: Resources,
    occasion: TrainingContext,
    compared: Comparison,
    table: pd.DataFrame,
    tags: dict[str, str],
) -> "tuple[Path, str, dict[str, Figure]]":
    """Write the report and the month's numbers, log both; returns the page, its tracking run, its figures."""
    inputs = collect(resources, occasion, compared, table)
    drawn = report.figures(inputs)
    html = report.render(inputs, drawn)
    page = resources.settings.data_dir / "reports" / compared.month / "report.html"
    write_atomically(page, html.encode())
    run_id = resources.registry.log_report(
        month=compared.month,
        compared=[run.run_id for run in compared.runs.values()],
        html=html,
        metrics={f"composite/{model}": value for model, value in compared.scores.composite.items()},
        verdicts=compared.evidence,
        figures=drawn,
        tables={"metrics": compared.table, "tests": compared.scores.tests},
        tags=tags,
    )
    summary = report.summary_json(inputs) | {
        "challenger_run_id": compared.runs[compared.challenger].run_id,
        "report_run_id": run_id,
        "failed_audits": [verdict.summary() for verdict in compared.failed_audits],
    }
    compare.write_summary(resources, compared.month, summary)
    return page, run_id, drawn


def collect(
    resources: Resources, occasion: TrainingContext, compared: Comparison, table: pd.DataFrame
) -> report.ReportInputs:
    """All that the report of a month is made of."""
    meter, month = occasion.history.meter, compared.month
    known = table[table.index < pd.Timestamp(str(occasion.split.end))]
    return report.ReportInputs(
        meter=meter,
        month=month,
        data=_data_shown(occasion),
        scores=compared.scores,
        span=compared.span,
        forensics=mape_forensics.investigate(known, meter, resources.settings.seed),
        challenger=compared.challenger,
        champion=_champion_after(compared),
        verdict=compared.decision,
        verdicts=compared.evidence,
        candidacies=compared.candidacies,
        shares=expert_shares(resources, occasion, compared.runs),
        costs=costs(resources, occasion, compared.runs),
        defects=load_months(resources.settings.data_dir, "defects", [month]),
        anomalies=_anomalies(resources, month),
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


def _data_shown(occasion: TrainingContext) -> dict[str, str]:
    meter, split = occasion.history.meter, occasion.split
    shown = {
        "sha256": occasion.data_sha256,
        "rows": f"{len(occasion.history.starts):,} of {meter.working_minutes} minutes",
        "training window": f"{split.start} to {split.end}, later block from {split.train_end}",
        "channels": ", ".join(meter.channels),
    }
    if occasion.left_out:
        shown["months left out"] = ", ".join(occasion.left_out) + " (audit not passed)"
    return shown


def _champion_after(compared: Comparison) -> str | None:
    """Who answers after this decision, as a name."""
    if compared.decision.passed:
        return compared.challenger
    return compared.champion.model if compared.champion else None


def expert_shares(
    resources: Resources, occasion: TrainingContext, runs: "Mapping[str, TrackedRun]"
) -> pd.DataFrame | None:
    """Mean gate weights over the month by hour of the target, lead and expert (gate.SHARE_COLUMNS)."""
    if gate.MIXTURE not in runs:
        return None
    from smartgrid_pipeline.core.forecasting.mixture.mixture import MixtureOfExperts
    from smartgrid_pipeline.core.schema import leads_for

    mixture = resources.registry.load(runs[gate.MIXTURE].run_id)
    assert isinstance(mixture, MixtureOfExperts)
    history, leads = occasion.history, leads_for(occasion.history.meter.working_minutes)
    start, end = month_times(occasion.month)
    origins = history.origins(start, end, 360)
    weights = mixture.expert_weights(history, origins, leads)
    ends = np.array([lead.end_minutes for lead in leads])
    hours = ((origins[:, None] + ends.astype("timedelta64[m]")).astype(np.int64) - 1) // 60 % 24
    frame = pd.DataFrame(weights.reshape(-1, weights.shape[-1]), columns=list(mixture.expert_names))
    frame["hour"], frame["lead_minutes"] = hours.ravel(), np.tile(ends, len(origins))
    long = frame.melt(["hour", "lead_minutes"], list(EXPERT_NAMES), "expert", "share")
    return long.groupby(["hour", "lead_minutes", "expert"], as_index=False)["share"].mean()


def costs(resources: Resources, occasion: TrainingContext, runs: "Mapping[str, TrackedRun]") -> pd.DataFrame:
    """What running each model costs on this machine (deployment.COST_COLUMNS)."""
    from smartgrid_pipeline.core.forecasting.catalogue import loaders
    from smartgrid_pipeline.core.forecasting.newest import WINDOW_DAYS

    known = loaders()
    rows: list[dict[str, Any]] = []
    with TemporaryDirectory(prefix="smartgrid-costs-") as folder:
        recent = history.save(occasion.past.last_days(WINDOW_DAYS), Path(folder) / "recent.npz")
        for name in [name for name in MEASURED if name in runs]:
            directory = resources.registry.model_directory(runs[name].run_id)
            memory = deployment.peak_memory(known[name], directory, recent)
            rows.append({
                "model": name,
                "fit_seconds": float(runs[name].tags.get("fit_cpu_seconds", "nan")),
                "memory_mb": memory.whole_mb,
                "model_memory_mb": memory.model_mb,
                "memory_reason": memory.reason,
                **deployment.measure(known[name], directory, occasion.past, repeats=5),
            })  # fmt: skip
    return pd.DataFrame(rows, columns=list(deployment.COST_COLUMNS))


def _curves(resources: Resources, runs: "Mapping[str, TrackedRun]") -> dict[str, pd.DataFrame]:
    """Loss curves of the neural models, as logged with their training."""
    neural = [name for name in (*EXPERT_NAMES, gate.MIXTURE) if name in runs]
    return {name: resources.registry.table(runs[name].run_id, "curves") for name in neural}


def _anomalies(resources: Resources, month: str) -> dict[str, str]:
    """The month's alarms in short, when the anomaly report was made."""
    events = load_months(resources.settings.data_dir, "anomaly_report", [month])
    if events is None:
        return {}
    by_class = events.groupby("alarm_class").size()
    shown = {f"{name.replace('_', ' ')} events": str(count) for name, count in by_class.items()}
    return {
        "events": str(len(events)),
        "promised false alarms": f"{resources.settings.alarms_per_month:g} a month",
        **shown,
        "energy in doubt": f"{events['energy_kwh'].sum():.1f} kWh",
        "page": "anomalies.html, beside this report",
    }
